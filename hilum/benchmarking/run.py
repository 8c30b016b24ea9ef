"""`hilum benchmark` as library calls: check everything first, do the cells, write the page.

`prepare` refuses what is wrong before anything is written: encoders that cannot be loaded, films, labels, presets and
options that do not exist, a folder of another benchmark. `run_benchmark` does what is missing and writes the page anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from hilum.benchmarking.cells import Benchmark, Cell
from hilum.benchmarking.encoder_facts import EncoderFacts, encoder_facts
from hilum.benchmarking.leaderboard import failures, mean_places, read_standings, task_entry
from hilum.benchmarking.leaderboard_page import write_leaderboard
from hilum.benchmarking.seen_before import TestFilms, seen_before
from hilum.benchmarking.stores import Need, need_of
from hilum.benchmarking.task_file import ZERO_SHOT
from hilum.benchmarking.work import Say, Workplace, bears_baselines, carry_out, check_same, options_of, state_of
from hilum.encoder import load
from hilum.errors import ConfigError, UserError
from hilum.evaluation.features import Runner
from hilum.evaluation.tasks import task_named
from hilum.labels import check_findings
from hilum.manifest import Manifest
from hilum.models.backbone import Architecture
from hilum.results.classification import software_versions
from hilum.results.page import said

CELLS: Final = "cells"  # the folder by which a benchmark's is known
OURS: Final = {CELLS, "features", "data"} | {
    f"{name}.{kind}" for name in ("leaderboard", "cross") for kind in ("json", "md", "html")
}


@dataclass(frozen=True)
class Prepared:
    """A benchmark that can start."""

    benchmark: Benchmark
    place: Workplace
    facts: Mapping[str, EncoderFacts]  # encoder's name -> what is known of it
    films: Mapping[str, Manifest]  # data folder -> its table
    overlaps: Mapping[str, Mapping[str, Mapping[str, Any]]]  # encoder -> task's name -> has it seen the test films


def prepare(benchmark: Benchmark, out: str | Path, runner: Runner | None = None) -> Prepared:
    """Load and check all that a benchmark names; nothing is written.

    Raises:
        ConfigError: a name or value that does not exist, or a folder that holds something else.
        CheckpointError: an encoder cannot be loaded.
        ManifestError: a data set cannot be read, or has no films to learn from or to test on.
    """
    out = Path(out)
    _check_folder(out)
    facts, sizes = {}, {}
    for spec in benchmark.encoders:
        encoder = load(spec.path)
        facts[spec.name] = encoder_facts(spec, encoder, benchmark.facts.get(spec.name))
        sizes[spec.name] = encoder.model.config
    if unknown := sorted(set(benchmark.facts) - set(facts)):
        what = f"the task file tells facts of {', '.join(unknown)}, which is no encoder of this benchmark"
        raise ConfigError(what, where="encoders", fix=f"Encoders: {', '.join(facts)}")
    films = {task.data: Manifest.read(task.data) for task in benchmark.tasks}
    first = {task.key: next(cell for cell in benchmark.cells() if cell.task == task) for task in benchmark.tasks}
    for cell in first.values():
        _check_task(cell, films[cell.task.data])
        _check_plan(benchmark, cell)
    digests = {name: fact.digest for name, fact in facts.items()} | {
        data: table.digest for data, table in films.items()
    }
    place = Workplace(out, runner or Runner(quiet=True), benchmark.draws, _needs(benchmark, sizes), digests)
    check_same(benchmark.cells(), place)
    return Prepared(benchmark, place, facts, films, _overlaps(benchmark, facts, films))


def run_benchmark(prepared: Prepared, *, say: Say = lambda line: None, command: str = "") -> dict[str, Any]:
    """Do what is missing, then write `leaderboard.html`, `.md` and `.json`.

    Returns:
        What stands on the page, as plain values.

    Raises:
        PreemptedError: asked to stop; what is finished is kept.
    """
    carry_out(prepared.benchmark, prepared.place, say)
    results = leaderboard(prepared, command=command)
    write_leaderboard(prepared.place.out, results)
    return results


def leaderboard(prepared: Prepared, *, command: str = "") -> dict[str, Any]:
    """Everything a reader wants to know, from the cells that are finished."""
    benchmark, out = prepared.benchmark, prepared.place.out
    found = [standings for task in benchmark.tasks if (standings := read_standings(benchmark, task, out)) is not None]
    entries = [task_entry(benchmark, standings) for standings in found]
    names = [encoder.name for encoder in benchmark.encoders]
    cells = benchmark.cells()
    states = [state_of(cell, out) for cell in cells]
    return {
        "title": "Leaderboard",
        "encoders": [prepared.facts[name].to_json() for name in names],
        "tasks": entries,
        "places": mean_places(entries, names),
        "overlaps": prepared.overlaps,
        "labels": {Path(data).name: _label_counts(table) for data, table in prepared.films.items() if table.findings},
        "failed": failures(benchmark, out),
        "cells": {"all": len(cells), "done": states.count("done"), "failed": states.count("failed")},
        "asked": {
            "fractions": list(benchmark.fractions),
            "seeds": benchmark.seeds,
            "reference": benchmark.reference,
        },
        "bootstrap": {
            "unit": "patient",
            "draws": benchmark.draws,
            "permutations": benchmark.permutations,
            "seed": 0,
            "confidence": 0.95,
        },
        "versions": software_versions(),
        "command": command,
    }


def describe(prepared: Prepared) -> list[str]:
    """What would be done, for `--dry-run`: a line a task and encoder, and the sum."""
    benchmark, out = prepared.benchmark, prepared.place.out
    lines = []
    for task in benchmark.tasks:
        table = prepared.films[task.data].table
        sizes = {split: int((table["split"] == split).sum()) for split in ("train", "val", "test")}
        films = ", ".join(f"{count:,} {split}" for split, count in sizes.items())
        learning = (
            [] if not task.trained else [f"{share * sizes['train']:,.0f}" for share in sorted(benchmark.fractions)]
        )
        told = f"; learns from about {', '.join(learning)} films" if learning else "; learns nothing"
        lines.append(f"{task.key} ({task.task}, {Path(task.data).name}: {films}{told})")
        for encoder in benchmark.encoders:
            cells = [cell for cell in benchmark.cells() if cell.task == task and cell.encoder == encoder]
            states = [state_of(cell, out) for cell in cells]
            counted = [f"{states.count(state)} {state}" for state in ("done", "failed", "begun", "to do")]
            shown = ", ".join(text for text in counted if not text.startswith("0 "))
            need = prepared.place.needs.get((encoder.name, task.key), Need())
            once = f"; features once ({'+'.join(need.kinds)}, {sum(sizes.values()):,} films)" if need.kinds else ""
            lines.append(f"  {encoder.name}: {len(cells)} cells, {shown}{once}")
    states = [state_of(cell, out) for cell in benchmark.cells()]
    left = len(states) - states.count("done")
    again = sum(
        state == "done" and bears_baselines(cell, benchmark, out)
        for cell, state in zip(benchmark.cells(), states, strict=True)
    )
    told = f", {again} to judge again, with baselines" if again else ""
    return [*lines, f"{len(states)} cells, {left} to do{told}; {benchmark.draws:,} draws of patients each"]


def summary(results: Mapping[str, Any]) -> list[str]:
    """The leaderboard for the shell: a line a table, best first, its baselines after it."""
    lines = []
    for entry in results["tasks"]:
        for block in entry["tables"]:
            share = "" if block["fraction"] is None else f", {100 * block['fraction']:.4g} % of labels"
            rows = [f"{row['encoder']} {said(row)}" for row in block["rows"]]
            rows += [f"baseline {row['name']} {said(row)}" for row in block["baselines"]]
            lines.append(f"{entry['key']}{share}, {entry['metric']['title']}: {'; '.join(rows)}")
    lines += [f"failed: {row['cell']} ({row['which']}): {row['error']}" for row in results["failed"]]
    return lines


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError("is a file, not a folder", where=out, fix="Give another --out")
    if out.is_dir() and (found := [path.name for path in out.iterdir() if path.name not in OURS]):
        what = f"holds something that is no part of a benchmark: {', '.join(sorted(found)[:3])}"
        raise ConfigError(what, where=out, fix="Give another --out")


def _check_task(cell: Cell, films: Manifest) -> None:
    """A task's options, labels and films, as far as they do not depend on the encoder."""
    options = options_of(cell)
    labels = getattr(options, "labels", ())
    if cell.task.task in ("classify", "survive", ZERO_SHOT) and (labels or cell.task.task == "classify"):
        check_findings(films, labels)  # masks and boxes have names of their own, which their plans check
    for split in ("train", "val", "test") if cell.task.trained else ("test",):
        if not (films.table["split"] == split).any():
            raise ConfigError(f"has no {split} films", where=cell.task.data, fix="Check the column split")


def _check_plan(benchmark: Benchmark, cell: Cell) -> None:
    """A task that can be planned for none of the encoders is at fault itself; for one of them is enough."""
    if not cell.task.trained:
        return
    fault: UserError | None = None
    for encoder in benchmark.encoders:
        try:
            task_named(cell.task.task).make_plan(options_of(replace(cell, encoder=encoder)))
        except UserError as error:
            fault = fault or error
        else:
            return
    assert fault is not None
    raise fault


def _needs(benchmark: Benchmark, sizes: Mapping[str, Architecture]) -> dict[tuple[str, str], Need]:
    """What each task reads of each encoder, and with it what other tasks of the same films read: one store for all."""
    own: dict[tuple[str, str], Need] = {}
    shared: dict[tuple[str, str], Need] = {}
    for cell in benchmark.cells():
        if cell.seed == 0 and cell.fraction in (None, max(benchmark.fractions)):
            try:
                need = need_of(cell.task, options_of(cell), sizes[cell.encoder.name])
            except ConfigError:
                continue  # this head cannot read this encoder: the cell will say so
            own[cell.encoder.name, cell.task.key] = need
            where = (cell.encoder.name, cell.task.data)
            shared[where] = shared.get(where, Need()).with_(need)
    tasks = {task.key: task.data for task in benchmark.tasks}
    return {(name, key): shared[name, tasks[key]] for (name, key), need in own.items() if need.kinds}


def _overlaps(
    benchmark: Benchmark, facts: Mapping[str, EncoderFacts], films: Mapping[str, Manifest]
) -> dict[str, dict[str, Mapping[str, Any]]]:
    tested = {
        task.name: TestFilms.of(films[task.data], folder=task.data, collection=task.collection)
        for task in benchmark.tasks
    }
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, fact in facts.items():
        found[name] = {}
        for task, test in tested.items():
            overlap = seen_before(fact, test)
            found[name][task] = {**overlap.to_json(), "mark": overlap.mark}
    return found


def _label_counts(films: Manifest) -> dict[str, Any]:
    """Finding -> split -> positive and negative films."""
    labels, split = films.labels(films.findings), films.table["split"].to_numpy(dtype=str)
    return {
        name: {
            part: {
                "positive": int(((labels[:, k] == 1) & (split == part)).sum()),
                "negative": int(((labels[:, k] == 0) & (split == part)).sum()),
                "blank": int((np.isnan(labels[:, k]) & (split == part)).sum()),
            }
            for part in ("train", "val", "test")
        }
        for k, name in enumerate(films.findings)
    }
