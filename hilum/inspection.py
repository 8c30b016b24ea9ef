"""What a folder is: data set, run, encoder, checkpoint or results, in a few lines for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hilum.checkpoint import CONFIG, FILES, checkpoints, read_config, verify
from hilum.encoder import load
from hilum.errors import UserError
from hilum.evaluation.feature_shards import INDEX
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.survival.endpoints import follow_up
from hilum.manifest import Manifest
from hilum.released.account import account
from hilum.results.judgement import RESULTS
from hilum.run_folder import RunFolder

Fact = tuple[str, str]
WEIGHTS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")  # of files that others released


def inspect(path: str | Path) -> list[Fact]:
    """Name and describe what lies at `path`; damage is an error that names the file.

    Raises:
        UserError: nothing there, or nothing that Hilum writes or reads.
    """
    folder = Path(path)
    if not folder.exists():
        raise UserError("no such file or folder", where=folder, fix="Give a data, run, encoder or checkpoint folder")
    if folder.suffix in WEIGHTS:
        return list(_released(folder))
    if folder.is_file() or any((folder / name).is_file() for name in ("manifest.parquet", "manifest.csv")):
        return list(_data(Manifest.read(folder)))
    if (folder / INDEX).is_file():
        return list(_features(FeatureStore.open(folder)))
    if (folder / FILES).is_file():
        return list(_checkpoint(folder))
    if (folder / CONFIG).is_file() and (folder / "env.json").is_file():
        return list(_run(RunFolder(folder, resume=True)))
    if (folder / RESULTS).is_file():
        return list(_results(folder))
    if any(file.suffix in WEIGHTS for file in folder.glob("*.*")):
        return list(_released(folder))
    raise UserError(
        "is neither a data set nor a run, encoder, checkpoint, features or results of Hilum",
        where=folder,
        fix="Look one folder higher or lower",
    )


def _released(path: Path) -> Iterator[Fact]:
    facts = account(load(path))
    yield "kind", "released encoder; hilum convert makes it one of ours"
    yield from _flat({name: value for name, value in facts.items() if name != "notes"})
    for note in facts["notes"]:
        yield "note", note


def _data(manifest: Manifest) -> Iterator[Fact]:
    table = manifest.table
    yield "kind", "data set"
    yield (
        "films",
        f"{len(table):,} of {table['patient_id'].nunique():,} patients, {table['study_id'].nunique():,} studies",
    )
    for split in ("train", "val", "test", ""):
        rows = table[table["split"] == split]
        if len(rows):
            yield f"split {split or '(none)'}", f"{len(rows):,} films, {rows['patient_id'].nunique():,} patients"
    yield "views", ", ".join(f"{name or 'blank'} {n:,}" for name, n in table["view_position"].value_counts().items())
    if {"width", "height"} <= set(table):
        sizes = Counter(zip(table["width"], table["height"], strict=True))
        shown = [f"{width:.0f} x {height:.0f} ({n:,})" for (width, height), n in sizes.most_common(3)]
        yield "size", ", ".join(shown) + (" ..." if len(sizes) > 3 else "")
    for finding in manifest.findings:
        values = manifest.labels((finding,))[:, 0]
        counts = {"present": values == 1, "absent": values == 0, "uncertain": values == -1, "blank": values != values}
        yield finding, ", ".join(f"{n:,} {word}" for word, mask in counts.items() if (n := int(mask.sum())))
    for endpoint in manifest.endpoints:
        found = follow_up(table, endpoint)
        counts = {"event": found.events, "competing": found.competing, "censored": found.censored}
        ends = ", ".join(f"{n:,} {word}" for word, n in {**counts, "without follow-up": found.blank}.items() if n)
        yield f"endpoint {endpoint}", f"{ends}; up to {found.longest:g} days"
    if "report" in table:
        yield "reports", f"{int((table['report'] != '').sum()):,} films"
    yield "sha256", manifest.digest


def _features(store: FeatureStore) -> Iterator[Fact]:
    yield "kind", "features of hilum embed"
    yield "films", f"{len(store):,}"
    for kind in store.index.kinds:
        yield kind, f"{len(store):,} x {' x '.join(map(str, store.index.shape(kind)))}, float16"
    yield from _flat({"encoder_sha256": store.index.encoder_sha256, "origin": store.index.origin})


def _checkpoint(folder: Path) -> Iterator[Fact]:
    verify(folder)
    config = read_config(folder)
    yield "kind", str(config.get("kind", "checkpoint"))
    yield "files", "all match their sha256"
    yield from _flat(config)


def _run(run: RunFolder) -> Iterator[Fact]:
    config = run.config()
    yield "kind", f"run of hilum {config.get('verb', '?')}"
    done = [record for record in run.metrics() if "loss" in record]
    total = config.get("steps")
    if done:
        yield "step", f"{done[-1]['step']:,}" + (f" of {total:,}" if total else "") + f", loss {done[-1]['loss']:.4f}"
    for path in checkpoints(run.path):
        yield "checkpoint", path.name
    for name in ("encoder", "model"):
        if (run.path / name / FILES).is_file():
            yield name, str(run.path / name)
    yield from _flat(config)


def _results(folder: Path) -> Iterator[Fact]:
    try:
        found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        facts = {name: found.get(name) or {} for name in ("counts", "bootstrap", "context")}
        kind = f"results of the task {found['task']}"
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError("is damaged", where=folder / RESULTS, fix="Make these results again") from error
    yield "kind", kind
    yield "page", str(folder / "results.html")
    for part in facts.values():
        yield from _flat(part)
    for note in found.get("notes", []):
        yield "note", str(note)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[Fact]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif key != "kind":
            yield prefix + key, value if isinstance(value, str) else json.dumps(value)
