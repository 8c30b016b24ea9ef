"""The number of a cell, read from judged folders: one run, or the mean over runs that differ in their seed alone.

Runs of several seeds are judged on the same films and draw the same patients, so their replicates are averaged draw by
draw before the interval is taken; the standard deviation over runs stands beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.metrics.estimate import percentile_interval
from hilum.metrics.resample import Resample
from hilum.results.judgement import open_judgement
from hilum.results.predictions import check_predictions

Floats = NDArray[np.float64]
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Reading:
    """Our number for a cell, as a share of one."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None  # standard deviation over runs
    runs: int = 0
    reason: str = ""  # why there is no value

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


class Reader(Protocol):
    """How a measure is read from one judged folder."""

    def __call__(self, folder: Path, finding: str, draws: int, seed: int) -> tuple[float, Floats] | Reading:
        """The point and its replicates (draws,), or a finished reading where there are no replicates."""
        ...


def read(measure: str, folders: Sequence[Path], finding: str, *, draws: int = 1000, seed: int = 0) -> Reading:
    """The number of a cell over its runs.

    Args:
        measure: a name of MEASURES.
        folders: judged folders, one a run.
        finding: a finding, or "macro".
        draws: of patients.
        seed: of the draws.
    """
    found = [MEASURES[measure](folder, finding, draws, seed) for folder in folders]
    finished = [one for one in found if isinstance(one, Reading)]
    drawn = [one for one in found if not isinstance(one, Reading)]
    if finished:
        return finished[0]
    points = np.array([point for point, _ in drawn])
    if np.isnan(points).any():
        return Reading(runs=len(points), reason="undefined on these test films")
    low, high, used = percentile_interval(np.mean([replicates for _, replicates in drawn], axis=0), CONFIDENCE)
    spread = float(points.std(ddof=1)) if len(points) > 1 else None
    return Reading(float(points.mean()), low, high, spread, len(points), "" if used else "no usable draw: no interval")


def score_of_nothing(folder: Path) -> float | None:
    """What drawing nothing scores on the films of a judged segmentation, by the Dice of the tables; a share of one."""
    value: float | None = _results(folder)["macro"]["dice_all"]["blind"]["nothing"]["value"]["value"]
    return value


def _judged(metric: str, folder: Path, finding: str, draws: int, seed: int) -> tuple[float, Floats]:
    """A metric that `hilum compare` knows, of one finding or as the mean over those defined."""
    judgement = open_judgement(folder)
    found = judgement.replicates(metric, draws, seed)
    if finding != "macro":
        if finding not in found.categories:
            return float("nan"), np.full(draws, np.nan)
        row = found.categories.index(finding)
        return float(found.points[row]), found.values[row]
    defined = ~np.isnan(found.points)
    if not defined.any():
        return float("nan"), np.full(draws, np.nan)
    values, known = found.values[defined], ~np.isnan(found.values[defined])
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return float(found.points[defined].mean()), np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _accuracy(folder: Path, finding: str, draws: int, seed: int) -> tuple[float, Floats]:
    """Share of films whose highest class is the true one."""
    table = check_predictions(pd.read_parquet(folder / "predictions.parquet"))
    known = ~np.isnan(table.labels).any(axis=1)
    right = (table.labels[known].argmax(axis=1) == table.scores[known].argmax(axis=1)).astype(np.float64)
    groups = np.zeros(right.size, dtype=np.str_)
    points, replicates = Resample(table.patients[known], draws=draws, seed=seed).by_category(right, groups, ("",))
    return float(points[0]), replicates[0]


def _estimate(found: Mapping[str, Any]) -> Reading:
    return Reading(found["value"], found["low"], found["high"], None, 1, found.get("reason", ""))


def _results(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results


def _survival(group: str, folder: Path, finding: str, draws: int, seed: int) -> Reading:
    """Share of the low- or high-risk group that is alive at the horizon."""
    return _estimate(_results(folder)["endpoints"][finding]["groups"][group]["survival"])


def _grounded(metric: str, folder: Path, finding: str, draws: int, seed: int) -> Reading:
    """A mean over pairs of film and phrase, with the position prior where the encoder has one."""
    ways = _results(folder)["ways"]
    return _estimate(ways.get("with_prior", ways.get("without_prior", {}))[metric]["micro"])


def _recalled(direction: str, k: str, folder: Path, finding: str, draws: int, seed: int) -> Reading:
    """Share of queries whose own partner is among the first k."""
    return _estimate(_results(folder)["directions"][direction]["pair"]["recall"][k])


MEASURES: Final[dict[str, Reader]] = {
    "auroc": partial(_judged, "auroc"),
    "auprc": partial(_judged, "auprc"),
    "f1": partial(_judged, "f1@validation"),
    "accuracy": _accuracy,
    "dice": partial(_judged, "dice_all"),  # a film without the finding scores 1 if nothing is drawn on it, else 0
    "ap50": partial(_judged, "ap50"),
    "survival_low": partial(_survival, "low"),
    "survival_high": partial(_survival, "high"),
    **{name: partial(_grounded, name) for name in ("miou", "cnr", "pointing")},
    **{
        f"{direction}@{k}": partial(_recalled, direction, str(k))
        for direction in ("report_to_image", "image_to_report")
        for k in (1, 5, 10)
    },
}
