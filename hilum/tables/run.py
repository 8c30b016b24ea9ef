"""Fill a table: every job of every encoder, then our number beside the published one in each cell.

What is done stays done: a call that was stopped is repeated with `resume`, and encoders may be added to it. A fault of
one job (a data set that is not there, an encoder without a text tower) costs its own cells, which then say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from hilum.errors import ConfigError, PreemptedError, UserError
from hilum.evaluation.features import Runner
from hilum.manifest import Manifest
from hilum.metrics.estimate import ENOUGH_DRAWS
from hilum.results.classification import software_versions
from hilum.run_folder import RunFolder, write_atomic
from hilum.tables.check import ready
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.jobs import Place, do_job
from hilum.tables.measures import Reading, read, score_of_nothing
from hilum.tables.page import as_markdown, as_page
from hilum.tables.record import WITHOUT_TRAINING, Column, Job, PaperTable, Published, Row
from hilum.tables.stand_in import draw_films, make_stand_in
from hilum.tables.tiny_encoder import tiny_encoder

TINY: Final = "miniature"  # name of the encoder, and of its rows
WARNING: Final = (
    "MINIATURE: phantom films in the shape of the data sets and a tiny untrained encoder. Our numbers show that the "
    "table runs to its end; they say nothing about any encoder and do not compare with the published ones."
)


@dataclass(frozen=True)
class Filled:
    """A filled table: numbers, page, and what the shell prints."""

    folder: Path
    page: Path
    results: dict[str, Any]
    lines: list[str]


@dataclass
class Done:
    """What became of the jobs: judged folders, or why there is none, by encoder and job."""

    folders: dict[tuple[str, str], list[Path]]
    faults: dict[tuple[str, str], str]


def run_table(
    table: PaperTable,
    root: str | Path | None,
    out: str | Path,
    *,
    encoders: Mapping[str, str] | None = None,
    miniature: bool = False,
    resume: bool = False,
    seeds: Sequence[int] | None = None,
    draws: int = 1000,
    runner: Runner | None = None,
    command: str = "",
) -> Filled:
    """Run a table's jobs and write results.json, .md and .html.

    Args:
        table: of the papers.
        root: folder of the data sets; not read for a miniature.
        out: a new folder, or the one to go on with.
        encoders: name -> folder or file; a name of a row fills that row, another gets rows of its own.
        miniature: stand-ins of the data and a tiny encoder instead.
        resume: go on with what is there.
        seeds: of the runs; default those the paper averages over, and one for a miniature.
        draws: of patients, for the intervals.
        runner: device and so on.
        command: shown on the page.

    Raises:
        ConfigError: no encoder, no data set there, a folder of another table, or too few draws.
    """
    if draws < ENOUGH_DRAWS:
        raise ConfigError(f"{draws} are too few", where="draws", fix="1000 is usual, 100 the least")
    place = Place(Path(root or ""), Path(out), runner or Runner(), draws, miniature)
    given = {} if miniature else dict(encoders or {})
    if not miniature and not given:
        raise ConfigError(
            "no encoder is named", where="encoders", fix="Give --encoders NAME=PATH,..., or --miniature for a trial"
        )
    seeds = tuple(seeds or ((0,) if miniature else table.seeds))
    _begin(table, place, given, seeds, resume)
    if miniature:
        place, given = _stand_ins(table, place)
    there = {name for name in table.data_sets() if ready(DATA_SETS[name], place.root)}
    if not there:
        raise ConfigError(
            "none of its data sets is there",
            where=place.root,
            fix=f"See what is missing: --table {table.name} --dry-run",
        )
    done = _carry_out(table, place, given, seeds, there)
    results = _results(table, place, given, done, seeds, command)
    write_atomic(place.out / "results.json", json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    write_atomic(place.out / "results.md", as_markdown(results))
    write_atomic(place.out / "results.html", as_page(results))
    page = place.out / "results.html"
    return Filled(place.out, page, results, [f"{table.name}: {results['filled']}", *results["faults"]])


def _begin(table: PaperTable, place: Place, given: Mapping[str, str], seeds: tuple[int, ...], resume: bool) -> None:
    """Make the folder, or see that it is of the same table."""
    config = {
        "verb": "benchmark",
        "table": table.name,
        "miniature": place.miniature,
        "seeds": list(seeds),
        "draws": place.draws,
        "encoders": dict(given),
    }
    path = place.out / "config.json"
    if resume and path.is_file():
        before = json.loads(path.read_text())
        changed = [key for key in ("table", "miniature", "seeds", "draws") if before.get(key) != config[key]]
        old = before.get("encoders", {})
        changed += [f"encoder {name}" for name, where in given.items() if old.get(name, where) != where]
        if changed:
            raise ConfigError(
                f"was begun with another {', '.join(changed)}",
                where=place.out,
                fix="Ask for the same, or give another --out",
            )
        config["encoders"] = {**old, **given}
    RunFolder(place.out, resume=resume and path.is_file()).start(config)


def _stand_ins(table: PaperTable, place: Place) -> tuple[Place, dict[str, str]]:
    root = place.out / "stand-ins"
    films = draw_films(root)
    for name in table.data_sets():
        make_stand_in(DATA_SETS[name], root, films)
    return replace(place, root=root), {TINY: str(tiny_encoder(place.out / "tiny-encoder", films))}


def _films(name: str, root: Path) -> list[int] | None:
    """Films of the train, val and test split of a data set; None where it is not all there."""
    if not ready(DATA_SETS[name], root):
        return None
    splits = Manifest.read(root / name).table["split"]
    return [int((splits == split).sum()) for split in ("train", "val", "test")]


def jobs_of(table: PaperTable, name: str) -> dict[str, Job]:
    """The jobs an encoder is needed for: those of its rows, or all where it has rows of its own."""
    settings = {row.setting for row in table.rows if row.encoder == name}
    return {job.name: job for setting, _, job, _, _ in table.cells() if not settings or setting in settings}


def _carry_out(
    table: PaperTable, place: Place, given: Mapping[str, str], seeds: Sequence[int], there: set[str]
) -> Done:
    done = Done({}, {})
    for encoder, path in given.items():
        for name, job in jobs_of(table, encoder).items():
            absent = [wanted for wanted in dict.fromkeys((job.data, job.judged)) if wanted not in there]
            if absent:
                done.faults[encoder, name] = f"the data set {' and '.join(absent)} is not there"
                continue
            runs = seeds[:1] if job.task in WITHOUT_TRAINING else seeds
            try:
                done.folders[encoder, name] = [
                    do_job(job, path, place.out / "jobs" / name / f"{encoder}-seed{seed}", seed, place) for seed in runs
                ]
            except PreemptedError:
                raise
            except UserError as error:
                if place.miniature:
                    raise
                done.faults[encoder, name] = str(error)
    return done


def _results(
    table: PaperTable, place: Place, given: Mapping[str, str], done: Done, seeds: Sequence[int], command: str
) -> dict[str, Any]:
    rows = [
        _row(table, row, row.encoder if row.encoder in given else None, done, place.draws)
        for row in _rows(table, given)
    ]
    ours = [cell["ours"] for row in rows for cell in row["cells"] if cell["ours"] is not None]
    filled = sum(cell["value"] is not None for cell in ours)
    faults = [f"{encoder}, {table.jobs()[name].data}: {fault}" for (encoder, name), fault in done.faults.items()]
    return {
        "task": "paper table",
        "table": table.name,
        "title": table.title,
        "source": table.source,
        "miniature": place.miniature,
        "warning": WARNING if place.miniature else "",
        "filled": f"{filled} of {len(ours)} cells of {len(given)} encoder{'' if len(given) == 1 else 's'}",
        "columns": [{"key": column.key, "group": column.group, "scale": column.scale} for column in table.columns],
        "rows": rows,
        "flags": _flags(rows),
        "data_sets": [
            {
                "name": name,
                "title": DATA_SETS[name].title,
                "split": DATA_SETS[name].split,
                "counts": list(DATA_SETS[name].counts),
                "films": _films(name, place.root),
                "defects": list(DATA_SETS[name].defects),
            }
            for name in table.data_sets()
        ],
        "jobs": [{"name": name, **asdict(job), "options": _plain(job.options)} for name, job in table.jobs().items()],
        "faults": faults,
        "notes": [*table.notes, *_trivial(table, done)],
        "bootstrap": {"unit": "patient", "draws": place.draws, "seed": 0, "confidence": 0.95},
        "seeds": list(seeds),
        "versions": software_versions(),
        "context": {"title": f"{table.source}: {table.title}", "encoders": dict(given), "command": command},
    }


def _rows(table: PaperTable, given: Mapping[str, str]) -> list[Row]:
    """The published rows, and at the end of each block those of encoders that the paper does not have."""
    own = {row.encoder for row in table.rows}
    rows: list[Row] = []
    for setting in table.settings:
        rows += [row for row in table.rows if row.setting == setting.name]
        rows += [
            Row(setting.name, name, tuple(Published() for _ in table.columns), name)
            for name in given
            if name not in own and setting.job
        ]
    return rows


def _row(table: PaperTable, row: Row, encoder: str | None, done: Done, draws: int) -> dict[str, Any]:
    readings: dict[str, Reading] = {}
    if encoder is not None:
        readings = {
            column.key: _reading(table, row.setting, column, encoder, done, draws)
            for column in table.columns
            if not column.mean_of and _has(table, row.setting, column)
        }
        for column in table.columns:
            if column.mean_of:
                readings[column.key] = _mean([readings[key] for key in column.mean_of])
    cells = [
        {
            "published": None if number.value is None else asdict(number),
            "ours": readings[column.key].to_json() if column.key in readings else None,
        }
        for column, number in zip(table.columns, row.numbers, strict=True)
    ]
    return {
        "setting": row.setting,
        "method": row.method,
        "encoder": row.encoder,
        "pretrain": row.pretrain,
        "cells": cells,
    }


def _reading(table: PaperTable, setting: str, column: Column, encoder: str, done: Done, draws: int) -> Reading:
    found = table.cell(setting, column)
    if found is None:
        return Reading(reason="the paper does not say enough to repeat it, or its data are private")
    job, measure, finding = found
    if (encoder, job.name) in done.faults:
        return Reading(reason=done.faults[encoder, job.name])
    return read(measure, done.folders[encoder, job.name], finding, draws=draws)


def _has(table: PaperTable, setting: str, column: Column) -> bool:
    """Whether the data set of a cell has its finding at all; where it has not, the paper prints a dash."""
    found = table.cell(setting, column)
    if found is None:
        return True
    job, _, finding = found
    known = job.options.get("labels", (*DATA_SETS[job.data].findings, *DATA_SETS[job.data].endpoints))
    return finding == "macro" or finding in known


def _mean(parts: Sequence[Reading]) -> Reading:
    """The plain average of several cells; without an interval, since the cells are of other data."""
    values = [part.value for part in parts if part.value is not None]
    absent = len(parts) - len(values)
    if not values:
        return Reading(reason="none of its columns has a value")
    return Reading(sum(values) / len(values), runs=1, reason=f"{absent} columns have no value" if absent else "")


def _trivial(table: PaperTable, done: Done) -> list[str]:
    """What drawing nothing scores on each set of masks, which the papers' Dice rewards on films without the finding."""
    found = {
        table.jobs()[name].judged: score_of_nothing(folders[0])
        for (_, name), folders in done.folders.items()
        if table.jobs()[name].task == "segment"
    }
    return [
        f"Drawing nothing at all scores a Dice of {100 * score:.1f} on our test films of {name}."
        for name, score in found.items()
        if score is not None
    ]


def _flags(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The reasons why published numbers are flagged, each once, in order of first use."""
    cells = (cell for row in rows for cell in row["cells"])
    return list(
        dict.fromkeys(cell["published"]["flag"] for cell in cells if cell["published"] and cell["published"]["flag"])
    )


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
