"""Train on each data set, test on every other: `hilum benchmark --cross A,B,C`, after CXRBase's external tests.

A classifier learns the findings that its own set shares with another; its thresholds are chosen on its own validation
part and carried to the other sets as they are. A cell of the matrix rests on the findings that both sets label; beside
it stands the difference to the classifier that was trained where it is tested, on the same test films and draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from hilum.benchmarking.cells import Benchmark
from hilum.benchmarking.cross_page import write_cross
from hilum.benchmarking.cross_sets import CrossSet, cross_sets
from hilum.benchmarking.encoder_facts import EncoderSpec
from hilum.benchmarking.leaderboard import defined_for_all, failures
from hilum.benchmarking.over_seeds import Standing, difference, permutation_p, standing
from hilum.benchmarking.run import Prepared, prepare
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.benchmarking.work import DONE, JUDGED, Say, carry_out, judged_on, state_of
from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.results.classification import software_versions
from hilum.results.judgement import Judgement, open_judgement

AT_THRESHOLD: Final = ("f1@validation", "sensitivity@validation", "specificity@validation")


@dataclass(frozen=True)
class PreparedCross:
    """A cross matrix that can start."""

    prepared: Prepared
    sets: tuple[CrossSet, ...]
    label_names: Mapping[str, Mapping[str, str]]


def prepare_cross(
    encoders: Sequence[EncoderSpec],
    folders: Sequence[str],
    out: str | Path,
    *,
    labels: Sequence[str] = (),
    label_names: Mapping[str, Mapping[str, str]] | None = None,
    task: BenchmarkTask | None = None,
    fraction: float = 1.0,
    seeds: int = 3,
    draws: int = 1000,
    permutations: int = 1000,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    runner: Runner | None = None,
) -> PreparedCross:
    """Load and check all that a cross matrix names; only the sets' tables are written.

    Args:
        encoders: at least one.
        folders: at least two data folders.
        out: the benchmark's folder.
        labels: common names of findings; all that two sets share where empty.
        label_names: folder name -> its own name of a finding -> the common name.
        task: whose mode, preset and options hold; a frozen probe where omitted.
        fraction: share of the training patients' labels.
        seeds: runs a training set.
        draws: of the bootstrap.
        permutations: of the paired test.
        facts: what the user says of encoders.
        runner: device and loader processes.

    Raises:
        ConfigError: as `cross_sets` and `prepare`, or a set without a finding to learn.
    """
    sets = cross_sets(folders, Path(out), labels=labels, label_names=label_names)
    like = task or BenchmarkTask("cross", "", "classify", mode="frozen")
    if like.task != "classify":
        raise ConfigError(f"crosses classifiers, not {like.task}", where="tasks", fix="Give a task of classify")
    tasks = []
    for one in sets:
        if not one.findings:
            what = f"{one.name} has no shared finding that its films can teach"
            raise ConfigError(what, where="cross", fix="Leave it out, or map names")
        others = [other for other in sets if other is not one and set(other.manifest.findings) & set(one.findings)]
        own = replace(like, name=f"trained on {one.name}", data=one.folder, metric=None)
        options = {**like.options, "labels": one.findings}
        tasks.append(replace(own, options=options, also={other.name: other.folder for other in others}))
    benchmark = Benchmark(tuple(encoders), tuple(tasks), (fraction,), seeds, draws, permutations, facts=facts or {})
    return PreparedCross(prepare(benchmark, out, runner), sets, label_names or {})


def run_cross(cross: PreparedCross, *, say: Say = lambda line: None, command: str = "") -> dict[str, Any]:
    """Do what is missing, then write `cross.html`, `.md` and `.json`; returns what stands there."""
    carry_out(cross.prepared.benchmark, cross.prepared.place, say)
    results = cross_results(cross, command=command)
    write_cross(cross.prepared.place.out, results)
    return results


def cross_results(cross: PreparedCross, *, command: str = "") -> dict[str, Any]:
    """The matrices as plain values."""
    benchmark, out = cross.prepared.benchmark, cross.prepared.place.out
    core = [name for name in cross.sets[0].findings if all(name in one.findings for one in cross.sets)]
    states = [state_of(cell, out) for cell in benchmark.cells()]
    return {
        "title": f"Train × test: {', '.join(one.name for one in cross.sets)}",
        "encoders": [cross.prepared.facts[spec.name].to_json() for spec in benchmark.encoders],
        "sets": [_about(one, cross.label_names.get(one.name, {})) for one in cross.sets],
        "core": core,
        "matrices": {spec.name: _matrix(cross, spec.name, core) for spec in benchmark.encoders},
        "overlaps": cross.prepared.overlaps,
        "failed": failures(benchmark, out),
        "cells": {"all": len(states), "done": states.count("done"), "failed": states.count("failed")},
        "asked": {"fractions": list(benchmark.fractions), "seeds": benchmark.seeds},
        "bootstrap": {
            "unit": "patient", "draws": benchmark.draws, "permutations": benchmark.permutations, "seed": 0,
            "confidence": 0.95,
        },
        "versions": software_versions(),
        "command": command,
    }  # fmt: skip


def _about(one: CrossSet, names: Mapping[str, str]) -> dict[str, Any]:
    split = one.manifest.table["split"]
    return {
        "name": one.name,
        "films": {part: int((split == part).sum()) for part in ("train", "val", "test")},
        "findings": list(one.findings),
        "alone": list(one.alone),
        "unfit": dict(one.unfit),
        "derived": one.derived,
        "renamed": dict(names),
    }


def _matrix(cross: PreparedCross, encoder: str, core: Sequence[str]) -> dict[str, Any]:
    """Trained on -> tested on -> macro AUROC, the gap to the one trained there, and every finding."""
    found: dict[str, Any] = {}
    for train in cross.sets:
        found[train.name] = {}
        for test in cross.sets:
            names = [name for name in train.findings if name in test.manifest.findings]
            runs = _runs(cross, encoder, train, test)
            if names and runs:
                at_home = None if train is test else _runs(cross, encoder, test, test)
                found[train.name][test.name] = _entry(cross, names, core, runs, at_home)
    return found


def _entry(
    cross: PreparedCross,
    names: Sequence[str],
    core: Sequence[str],
    runs: Mapping[int, Judgement],
    at_home: Mapping[int, Judgement] | None,
) -> dict[str, Any]:
    """One cell of the matrix."""
    benchmark = cross.prepared.benchmark
    away = _standing(runs, names, "auroc", benchmark)
    rows = defined_for_all([away])
    inside = [name in (core or names) for name in names]
    points = {metric: _standing(runs, names, metric, benchmark) for metric in AT_THRESHOLD}
    entry: dict[str, Any] = {
        "macro": away.macro(rows & inside).to_json(),
        "spread": away.spread(rows & inside) if (rows & inside).any() else None,
        "over": [name for name, fine, there in zip(names, rows, inside, strict=True) if fine and there],
        "findings": {
            name: {"auroc": away.category(k).to_json(), **{m: one.category(k).to_json() for m, one in points.items()}}
            for k, name in enumerate(names)
        },
        "gap": None,
        "p": None,
    }
    there = next(iter(at_home.values())).evidence.categories if at_home else ()
    learned = [name for name in names if name in there]
    if at_home and learned:
        one, home = (_standing(side, learned, "auroc", benchmark) for side in (runs, at_home))
        both = defined_for_all([one, home])
        entry["gap"] = difference(one, home, both).to_json() if both.any() else None
        entry["p"] = permutation_p(one, home, "auroc", both, permutations=benchmark.permutations)
    return entry


def _runs(cross: PreparedCross, encoder: str, train: CrossSet, test: CrossSet) -> dict[int, Judgement]:
    """Seed -> what came out of it, for cells that are done."""
    out, place = cross.prepared.place.out, JUDGED if train is test else judged_on(test.name)
    return {
        cell.seed: open_judgement(cell.folder(out) / place, name=cell.title)
        for cell in cross.prepared.benchmark.cells()
        if cell.encoder.name == encoder and cell.task.data == train.folder and (cell.folder(out) / DONE).is_file()
    }


def _standing(runs: Mapping[int, Judgement], names: Sequence[str], metric: str, benchmark: Benchmark) -> Standing:
    first = next(iter(runs.values()))
    first = replace(first, evidence=first.evidence.select(names))
    alike = [first if k == 0 else run.like(first, names) for k, run in enumerate(runs.values())]
    return standing("", tuple(runs), alike, metric, draws=benchmark.draws)
