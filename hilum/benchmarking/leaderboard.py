"""What came out of a benchmark, as plain values: places, intervals, differences, curves, findings, and what is amiss.

For each task and share of labels there is one table. Every encoder is the mean over its seeds; all are judged on the
same patients and draws, so what separates each from the reference is a paired difference, with a permutation test
where the metric has one (else the share of bootstrap draws) and Holm's correction over the encoders of the table.
Below the encoders stands what needs no network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.benchmarking.baseline_rows import baseline_rows, not_beaten
from hilum.benchmarking.cells import Benchmark, Cell
from hilum.benchmarking.over_seeds import Standing, difference, permutation_p, places, standing
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.benchmarking.work import DONE, FAILED, JUDGED
from hilum.errors import UserError
from hilum.lookup import unknown_name
from hilum.metrics.label_efficiency import label_efficiency
from hilum.metrics.multiplicity import holm
from hilum.metrics.prevalence import prevalence_bins
from hilum.results.judgement import Judgement, Metric, open_judgement

SURE = 0.05  # below it a difference counts as shown


@dataclass(frozen=True)
class TaskStandings:
    """Everything measured of one task: share of labels -> the encoders' standings."""

    task: BenchmarkTask
    metric: str
    about: Metric
    by_share: Mapping[float | None, tuple[Standing, ...]]
    problems: tuple[str, ...]  # judgements that could not be compared, in words

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the K categories."""
        return next(iter(self.by_share.values()))[0].runs[0].evidence.categories if self.by_share else ()


def read_standings(benchmark: Benchmark, task: BenchmarkTask, out: Path) -> TaskStandings | None:
    """Open every finished cell of a task and average the seeds; None where nothing is finished.

    Raises:
        ConfigError: the metric asked for is none of the task's.
    """
    cells = [cell for cell in benchmark.cells() if cell.task == task and (cell.folder(out) / DONE).is_file()]
    problems: list[str] = []
    opened: dict[tuple[str, float | None], dict[int, Judgement]] = {}  # by encoder and share, then seed
    first: Judgement | None = None
    for cell in cells:
        try:
            found = open_judgement(cell.folder(out) / JUDGED, name=cell.title)
            first = first or found
            alike = found if found is first else found.like(first, first.evidence.categories)
            opened.setdefault((cell.encoder.name, cell.fraction), {})[cell.seed] = alike
        except UserError as error:
            problems.append(str(error))
    if first is None:
        return None
    metric = task.metric or next(iter(first.metrics))
    if metric not in first.metrics:
        raise unknown_name(metric, list(first.metrics), kind="metric", where=task.key)
    by_share: dict[float | None, tuple[Standing, ...]] = {}
    for share in benchmark.shares(task):
        runs = {encoder.name: opened.get((encoder.name, share)) for encoder in benchmark.encoders}
        rows = [
            standing(name, tuple(seeds), tuple(seeds.values()), metric, draws=benchmark.draws)
            for name, seeds in runs.items()
            if seeds
        ]
        if rows:
            by_share[share] = tuple(rows)
    return TaskStandings(task, metric, first.metrics[metric], by_share, tuple(problems))


def task_entry(benchmark: Benchmark, found: TaskStandings) -> dict[str, Any]:
    """One task as plain values."""
    tables = [_table(benchmark, found, share) for share in found.by_share]
    fullest = list(found.by_share.values())[-1]
    evidence = fullest[0].runs[0].evidence
    findings = _findings(fullest)
    return {
        "key": found.task.key,
        "name": found.task.name,
        "task": found.task.task,
        "mode": found.task.mode,
        "preset": found.task.preset,
        "data": Path(found.task.data).name,
        "metric": {"name": found.metric, "title": found.about.title, "higher": found.about.higher},
        "noun": evidence.noun,
        "items": max((row["n"] for row in findings.values()), default=0),  # with a known truth of some category
        "patients": max((row["n_patients"] for row in findings.values()), default=0),
        "tables": tables,
        "curves": _curves(tables, [encoder.name for encoder in benchmark.encoders]) if len(tables) > 1 else {},
        "findings": findings,
        "bins": _bins(fullest, findings) if evidence.noun == "films" and len(findings) > 1 else [],
        "problems": list(found.problems),
    }


def failures(benchmark: Benchmark, out: Path) -> list[dict[str, str]]:
    """The cells that a user's fault stopped, each with its reason; cells with one reason together."""
    told: dict[tuple[str, str], list[str]] = {}
    for cell in benchmark.cells():
        path = cell.folder(out) / FAILED
        if path.is_file() and not (cell.folder(out) / DONE).is_file():
            error = str(json.loads(path.read_text())["error"])
            told.setdefault((f"{cell.task.key}: {cell.encoder.name}", error), []).append(_short(cell))
    return [{"cell": cell, "which": ", ".join(which), "error": error} for (cell, error), which in told.items()]


def mean_places(entries: Sequence[Mapping[str, Any]], encoders: Sequence[str]) -> list[dict[str, Any]]:
    """Each encoder's mean place over all tables in which every encoder stands, best first."""
    whole = [table for entry in entries for table in entry["tables"] if len(table["rows"]) == len(encoders)]
    found = []
    for name in encoders:
        ranks = [row["rank"] for table in whole for row in table["rows"] if row["encoder"] == name]
        ranks = [rank for rank in ranks if rank is not None]
        found.append({"encoder": name, "mean": float(np.mean(ranks)) if ranks else None, "tables": len(ranks)})
    return sorted(found, key=lambda row: (row["mean"] is None, row["mean"] or 0.0))


def _table(benchmark: Benchmark, found: TaskStandings, share: float | None) -> dict[str, Any]:
    """One leaderboard: all encoders of a task at one share of the labels, best first."""
    standings = found.by_share[share]
    rows = defined_for_all(standings)
    macros = [one.macro(rows) for one in standings]
    sign = -1 if found.about.higher else 1
    ranks = [None] * len(macros) if not rows.any() else [
        1 + sum(sign * other.value < sign * one.value for other in macros) for one in macros  # type: ignore[operator]
    ]  # fmt: skip
    spans = places(standings, rows, higher=found.about.higher) if rows.any() else None
    chief = _reference(benchmark.reference, standings, ranks)
    tests = [_against(benchmark, found, one, standings[chief], rows) for one in standings]
    corrected = holm([test["p"] for test in tests])
    entries = []
    for k, (one, macro, test, adjusted) in enumerate(zip(standings, macros, tests, corrected, strict=True)):
        entry = {
            "encoder": one.encoder,
            "seeds": list(one.seeds),
            **macro.to_json(),
            "spread": one.spread(rows) if rows.any() else None,
            "rank": ranks[k],
            "rank_low": None if spans is None else spans[k][0],
            "rank_high": None if spans is None else spans[k][1],
            "leads": None if spans is None else spans[k][2],
            "reference": k == chief,
            **test,
            "holm": adjusted,
            "shown": None if adjusted is None else adjusted < SURE,
        }
        entries.append(entry)
    entries.sort(key=lambda entry: (entry["rank"] is None, entry["rank"] or 0))
    absent = [encoder.name for encoder in benchmark.encoders if encoder.name not in {one.encoder for one in standings}]
    names = found.categories
    baselines = baseline_rows(found.task.task, found.metric, standings)
    return {
        "fraction": share,
        "reference": standings[chief].encoder,
        "rows": entries,
        "baselines": baselines,
        "warning": not_beaten(entries, baselines),
        "absent": absent,
        "categories": [name for name, fine in zip(names, rows, strict=True) if fine],
        "undefined": {
            name: next((one.reasons[k] for one in standings if one.reasons[k]), "undefined for one of the encoders")
            for k, name in enumerate(names)
            if not rows[k]
        },
    }


def defined_for_all(standings: Sequence[Standing]) -> NDArray[np.bool_]:
    """(K,) the categories that can be judged for every encoder."""
    known = ~np.isnan(np.stack([one.points for one in standings]))
    return np.asarray(known.all(axis=0), dtype=np.bool_)


def _against(
    benchmark: Benchmark, found: TaskStandings, one: Standing, chief: Standing, rows: NDArray[np.bool_]
) -> dict[str, Any]:
    """An encoder minus the reference."""
    if one is chief:
        return {"difference": None, "p": None, "test": None}
    gap = difference(one, chief, rows)
    p = permutation_p(one, chief, found.metric, rows, permutations=benchmark.permutations)
    test = "bootstrap" if p is None else "permutation"
    return {"difference": gap.to_json(), "p": gap.p if p is None else p, "test": test}


def _reference(asked: str, standings: Sequence[Standing], ranks: Sequence[int | None]) -> int:
    names = [one.encoder for one in standings]
    if asked in names:
        return names.index(asked)
    if asked == "best" and ranks[0] is not None:
        return min(range(len(ranks)), key=lambda k: ranks[k] or len(ranks))
    return 0


def _curves(tables: Sequence[Mapping[str, Any]], encoders: Sequence[str]) -> dict[str, Any]:
    """Value against share of labels, encoder by encoder, and the area under the curve over log(share)."""
    found: dict[str, Any] = {}
    for name in encoders:
        points = [
            {"fraction": table["fraction"], **{key: row[key] for key in ("value", "low", "high", "spread")}}
            for table in tables
            for row in table["rows"]
            if row["encoder"] == name
        ]
        values = [np.nan if point["value"] is None else point["value"] for point in points]
        area = label_efficiency([point["fraction"] for point in points], values).area
        if points:
            found[name] = {"points": points, "area": area if len(points) == len(tables) else None}
    return found


def _findings(standings: Sequence[Standing]) -> dict[str, Any]:
    """Every category with its counts and each encoder's value."""
    found: dict[str, Any] = {}
    for k, name in enumerate(standings[0].runs[0].evidence.categories):
        counts = standings[0].counts[k]
        found[name or "all"] = {
            "n": counts.n,
            "n_patients": counts.n_patients,
            "n_positive": counts.n_positive,
            "encoders": {one.encoder: one.category(k).to_json() for one in standings},
        }
    return found


def _bins(standings: Sequence[Standing], findings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Means over the findings of a prevalence bin; bins without a finding that all encoders share are left out."""
    fine = defined_for_all(standings)
    names = list(findings)
    counts = [entry["n_positive"] for entry in findings.values()]
    bins, _ = prevalence_bins(counts, [entry["n"] for entry in findings.values()])
    found = []
    for part in bins:
        rows: NDArray[np.bool_] = np.isin(np.arange(len(names)), part.findings) & fine
        if rows.any():
            members = [names[k] for k in np.flatnonzero(rows)]
            values = {one.encoder: one.macro(rows).to_json() for one in standings}
            found.append({"name": part.name, "findings": members, "encoders": values})
    return found


def _short(cell: Cell) -> str:
    return "once" if cell.fraction is None else f"{100 * cell.fraction:.4g} %, seed {cell.seed}"
