"""What a table needs and what of it is there: the answer of `--dry-run`, without torch and without a film decoded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from hilum.tables.data_set import MASK_TABLE, DataSet
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.record import PaperTable

MANIFESTS: Final = ("manifest.parquet", "manifest.csv")
RELEASES: Final = "releases"  # folder under the data root where releases lie as their owners pack them


class Need(NamedTuple):
    """One thing a table needs."""

    path: str  # relative to the data root; "FILE: COLUMN" where a column is meant
    there: bool
    what: str  # what it is


def missing(table: PaperTable, root: str | Path) -> list[Need]:
    """Everything the data of a table need, each with whether it is there.

    A prepared folder `ROOT/<data set>` is what a run reads: a manifest with certain columns, and boxes or masks beside
    it. Where there is none, the files of the release it is made from are asked for too, under `ROOT/releases`.

    Args:
        table: of the papers.
        root: the folder of the data sets.
    """
    needs = [need for name in table.data_sets() for need in needs_of(DATA_SETS[name], Path(root))]
    return list(dict.fromkeys(needs))


def needs_of(data_set: DataSet, root: Path) -> list[Need]:
    """What one data set needs, and whether it is there."""
    folder = root / data_set.name
    manifest = manifest_of(folder)
    if manifest is None:
        columns = ", ".join(data_set.columns())
        needs = [Need(f"{data_set.name}/{MANIFESTS[0]}", False, f"manifest (or {MANIFESTS[1]}) with {columns}")]
    else:
        given = _columns(manifest)
        needs = [Need(f"{data_set.name}/{manifest.name}", True, f"manifest; {counts_text(data_set, manifest)}")]
        needs += [
            Need(f"{data_set.name}/{manifest.name}: {column}", False, what)
            for column, what in data_set.columns().items()
            if column not in given and not (column == "label.NoFinding" and _derivable(given))
        ]
    for name, what in data_set.beside().items():
        there = (folder / name).exists() or (name == "masks" and (folder / MASK_TABLE).is_file())
        needs.append(Need(f"{data_set.name}/{name}", there, what))
    if manifest is None:
        needs += [
            Need(f"{RELEASES}/{file.path}", (root / RELEASES / file.path).exists(), file.what)
            for file in data_set.release
        ]
    return needs


def ready(data_set: DataSet, root: Path) -> bool:
    """Whether a run can read the data set."""
    return all(need.there for need in needs_of(data_set, root) if not need.path.startswith(RELEASES))


def manifest_of(folder: Path) -> Path | None:
    """The manifest of a prepared folder."""
    return next((folder / name for name in MANIFESTS if (folder / name).is_file()), None)


def counts_text(data_set: DataSet, manifest: Path) -> str:
    """Films of each split beside the published counts."""
    if manifest.suffix == ".parquet":
        table = pd.read_parquet(manifest, columns=["split"])
    else:
        table = pd.read_csv(manifest, usecols=["split"])
    found = table["split"].value_counts()
    parts = []
    for name, published in zip(("train", "val", "test"), data_set.counts, strict=True):
        paper = "" if published is None else f" (published: {published:,})"
        parts.append(f"{name} {int(found.get(name, 0)):,}{paper}")
    return ", ".join(parts)


def dry_run(table: PaperTable, root: str | Path, encoders: Mapping[str, str] | None = None) -> str:
    """What a run would need and do, for the shell.

    Args:
        table: of the papers.
        root: the folder of the data sets.
        encoders: names of the table's rows, or others -> folder or file.
    """
    needs, given = missing(table, root), dict(encoders or {})
    absent = [need for need in needs if not need.there]
    lines = [f"{table.name}: {table.title} ({table.source})", "", f"Data under {root}:"]
    lines += [f"  {'there  ' if need.there else 'MISSING'} {need.path}: {need.what}" for need in needs]
    lines += ["", "Splits:"]
    for name in table.data_sets():
        data_set = DATA_SETS[name]
        lines += [f"  {name}: {data_set.split}", *(f"    defect: {text}" for text in data_set.defects)]
    lines += ["", f"Runs of each encoder (seeds {', '.join(map(str, table.seeds))}):"]
    for job in table.jobs().values():
        options = ", ".join(f"{key}={value}" for key, value in job.options.items())
        judged = "" if job.judged == job.data else f", judged on {job.judged}"
        lines.append(f"  {job.task} {job.data}{judged}, preset {job.preset or 'none'}: {options or 'nothing over it'}")
    lines += ["", "Encoders, given as --encoders NAME=PATH:"]
    for name, command in pretraining(table).items():
        place = given.get(name)
        said = f"MISSING {place}" if place and not Path(place).exists() else f"there {place}" if place else "not given"
        lines.append(f"  {name}: {said}" + (f"; made by {command}" if command else ""))
    lines += [f"  {name}: a row of its own, {path}" for name, path in given.items() if name not in pretraining(table)]
    lines += ["", f"{len(absent)} of {len(needs)} things are missing." if absent else "Nothing is missing."]
    return "\n".join(lines) + "\n"


def pretraining(table: PaperTable) -> dict[str, str]:
    """Names of the encoders of the rows that can be run -> the command that makes each, or ""."""
    rows = [row for row in table.rows if row.encoder and table.setting(row.setting).job]
    return {row.encoder: row.pretrain for row in rows}


def _columns(manifest: Path) -> list[str]:
    if manifest.suffix == ".csv":
        return list(pd.read_csv(manifest, nrows=0).columns)
    import pyarrow.parquet as parquet

    return [str(name) for name in parquet.read_schema(manifest).names]


def _derivable(columns: list[str]) -> bool:
    """NoFinding follows from the other labels where there are some."""
    return any(name.startswith("label.") for name in columns)
