"""Scores of risk: subjects, their follow-up, and how well the score tells early from late events.

A person under one endpoint is the item, an endpoint the category.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.bootstrap import Counts
from hilum.metrics.survival import Discrimination, discrimination
from hilum.results.judgement import Metric, Replicates, Tests, read_table

Floats = NDArray[np.float64]

METRICS: Final = {
    "harrell": Metric("Harrell's C"),
    "uno": Metric("Uno's C up to the horizon"),
    "auroc": Metric("AUROC at the horizon"),
}
COLUMNS: Final = ("patient_id", "endpoint", "score", "time", "event")


@dataclass(frozen=True)
class Risks:
    """N persons under an endpoint each; a person followed for two endpoints stands twice."""

    items: NDArray[np.str_]  # (N,) "endpoint: patient"
    patients: NDArray[np.str_]  # (N,)
    endpoint: NDArray[np.str_]  # (N,)
    score: Floats  # (N,) larger means an earlier event
    time: Floats  # (N,) days; NaN unknown
    event: Floats  # (N,) 0, 1 or 2; NaN unknown
    horizons: Mapping[str, float]  # endpoint -> days
    categories: tuple[str, ...]
    noun: str = "persons"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)
    made: dict[tuple[str, int, int], Discrimination] = field(default_factory=dict, repr=False, compare=False)

    def select(self, categories: Sequence[str]) -> Self:
        """Only these endpoints."""
        found = self.reorder(np.flatnonzero(np.isin(self.endpoint, list(categories))))
        return replace(found, categories=tuple(categories))

    def reorder(self, rows: NDArray[np.intp]) -> Self:
        """The persons in another order."""
        names = ("items", "patients", "endpoint", "score", "time", "event")
        return replace(self, made={}, **{name: getattr(self, name)[rows] for name in names})

    def disagreement(self, other: Self) -> str:
        """Whether anybody's follow-up, or a horizon, differs."""
        for name in self.categories:
            if self.horizons[name] != other.horizons[name]:
                return f"the horizons of {name} differ: {self.horizons[name]:g} and {other.horizons[name]:g} days"
        for name in ("time", "event"):
            one, two = getattr(self, name), getattr(other, name)
            differing = self.items[(one != two) & ~(np.isnan(one) & np.isnan(two))]
            if differing.size:
                return f"the {name} of {differing.size} differs, the first is {str(differing[0])!r}"
        return ""

    def replicates(self, metric: str, draws: int, seed: int) -> Replicates:
        """Concordance of each endpoint in each draw of patients."""
        row = list(METRICS).index(metric)
        judged = [self._judged(name, draws, seed) for name in self.categories]
        estimates = [(found.harrell, found.uno, found.auroc[0])[row] for found in judged]
        return Replicates(
            self.categories,
            np.array([np.nan if found.value is None else found.value for found in estimates]),
            np.stack([found.replicates[row] for found in judged]),
            tuple(Counts(found.n, found.n_patients, found.n_positive) for found in estimates),
            tuple("" if found.value is not None else found.reason for found in estimates),
        )

    def tests(self, other: Self, metric: str, permutations: int, seed: int) -> Tests | None:
        """None: scores of risk of two models have no common scale on which persons could be swapped."""
        del other, metric, permutations, seed
        return None

    def _judged(self, endpoint: str, draws: int, seed: int) -> Discrimination:
        key = (endpoint, draws, seed)
        if key not in self.made:
            here = (self.endpoint == endpoint) & ~np.isnan(self.time)
            horizon = self.horizons[endpoint]
            self.made[key] = discrimination(
                self.time[here],
                self.event[here],
                self.score[here],
                self.patients[here],
                at=[horizon],
                tau=horizon,
                draws=draws,
                seed=seed,
            )
        return self.made[key]


def open_survival(folder: Path, results: Mapping[str, Any]) -> Risks:
    """Read subjects.parquet and the horizons beside it."""
    table = read_table(folder, "subjects", COLUMNS)
    endpoint, patients = (table[name].to_numpy(dtype=str) for name in ("endpoint", "patient_id"))
    score, time, event = (table[name].to_numpy(np.float64, na_value=np.nan) for name in ("score", "time", "event"))
    return Risks(
        items=np.array([f"{name}: {who}" for name, who in zip(endpoint, patients, strict=True)], dtype=str),
        patients=patients,
        endpoint=endpoint,
        score=score,
        time=time,
        event=event,
        horizons={name: float(entry["horizon"]) for name, entry in results["endpoints"].items()},
        categories=tuple(results["endpoints"]),
    )
