"""Predictions of classifiers and of zero-shot scoring: labels and scores of films, judged by ranking and at thresholds.

A film is the item, a finding the category. Ranking and calibration do not ask for a threshold; the others are taken at
the one that each run's own validation films chose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.bootstrap import NO_THRESHOLD, Bootstrap, bootstrap
from hilum.metrics.delong import delong_test
from hilum.metrics.permutation import Metric as Permutable
from hilum.metrics.permutation import permutation_test
from hilum.results.judgement import Metric, Replicates, Tests, read_table
from hilum.results.predictions import check_predictions

Floats = NDArray[np.float64]

METRICS: Final = {
    "auroc": Metric("AUROC"),
    "auprc": Metric("AUPRC"),
    "brier": Metric("Brier score", higher=False),
    "ece": Metric("ECE", higher=False),
    "f1@validation": Metric("F1 at the validation threshold"),
    "sensitivity@validation": Metric("Sensitivity at the validation threshold"),
    "specificity@validation": Metric("Specificity at the validation threshold"),
}
PERMUTED: Final = ("auroc", "auprc")  # metrics that a swap of two runs' scores leaves defined


@dataclass(frozen=True)
class Scores:
    """Labels and scores of N films and K findings."""

    items: NDArray[np.str_]  # (N,) image ids
    patients: NDArray[np.str_]  # (N,)
    categories: tuple[str, ...]  # K findings
    labels: Floats  # (N, K) 1, 0 or NaN
    scores: Floats  # (N, K) in [0, 1]
    thresholds: Mapping[str, float | None]
    noun: str = "films"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)
    made: dict[tuple[int, int], Bootstrap] = field(default_factory=dict, repr=False, compare=False)

    def select(self, categories: Sequence[str]) -> Self:
        """Only these findings."""
        columns = [self.categories.index(name) for name in categories]
        labels, scores = self.labels[:, columns], self.scores[:, columns]
        return replace(self, categories=tuple(categories), labels=labels, scores=scores, made={})

    def reorder(self, rows: NDArray[np.intp]) -> Self:
        """The films in another order."""
        part: dict[str, Any] = {name: getattr(self, name)[rows] for name in ("items", "patients", "labels", "scores")}
        return replace(self, made={}, **part)

    def disagreement(self, other: Self) -> str:
        """Findings whose labels are not the same."""
        same = (self.labels == other.labels) | (np.isnan(self.labels) & np.isnan(other.labels))
        differing = [
            f"{name} ({int(count)} films)" for name, count in zip(self.categories, (~same).sum(0), strict=True) if count
        ]
        return f"their labels differ: {', '.join(differing)}" if differing else ""

    def replicates(self, metric: str, draws: int, seed: int) -> Replicates:
        """Points and patient-level replicates of one metric."""
        if (draws, seed) not in self.made:
            self.made[draws, seed] = bootstrap(
                self.labels,
                self.scores,
                self.patients,
                findings=self.categories,
                operating_points={"validation": [self.thresholds.get(name) for name in self.categories]},
                draws=draws,
                seed=seed,
            )
        judged = self.made[draws, seed]
        points = judged.points[metric]
        reasons = tuple(
            reason or (NO_THRESHOLD if np.isnan(point) else "")
            for reason, point in zip(judged.reasons, points, strict=True)
        )
        return Replicates(self.categories, points, judged.replicates[metric], judged.counts, reasons)

    def tests(self, other: Self, metric: str, permutations: int, seed: int) -> Tests | None:
        """Patients swapped between the two; of AUROC also DeLong's test, with the films of a patient as one cluster."""
        if metric not in PERMUTED:
            return None
        kind: Permutable = "auroc" if metric == "auroc" else "auprc"
        found = permutation_test(
            self.labels, self.scores, other.scores, self.patients, metric=kind, permutations=permutations, seed=seed
        )
        beside = {"delong": self._delong(other)} if metric == "auroc" else {}
        return Tests(found.p, found.p_macro, beside)

    def _delong(self, other: Self) -> tuple[float | None, ...]:
        columns = zip(self.labels.T, self.scores.T, other.scores.T, strict=True)
        return tuple(delong_test(label, one, two, self.patients).p for label, one, two in columns)


def open_scores(folder: Path, results: Mapping[str, Any]) -> Scores:
    """Read predictions.parquet and the thresholds beside it."""
    table = check_predictions(read_table(folder, "predictions"))
    thresholds = {name: entry.get("threshold") for name, entry in results.get("findings", {}).items()}
    return Scores(
        items=table.table["image_id"].to_numpy(dtype=str),
        patients=table.patients,
        categories=table.findings,
        labels=table.labels,
        scores=table.scores,
        thresholds=thresholds,
    )
