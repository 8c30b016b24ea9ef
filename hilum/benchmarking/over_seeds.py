"""One encoder on one task over its seeds: the mean over runs in every bootstrap draw, and tests between two encoders.

The interval is that of the mean over these runs on other patients; how much single runs spread is their standard
deviation. In the permutation test one coin a patient swaps the answers of all runs of both encoders together, so a
difference of means over runs is tested as such, and not that of one lucky run.

Sources: `hilum.metrics.over_runs` for the mean, `hilum.metrics.permutation` for the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hilum.metrics.bootstrap import Counts
from hilum.metrics.estimate import TIE, Difference, Estimate, percentile_interval, two_sided_share
from hilum.metrics.permutation import permute_items
from hilum.metrics.swaps import pool, precision_gaps, ranking_gaps
from hilum.results.judgement import Judgement
from hilum.results.judgements.items import Items
from hilum.results.judgements.scores import PERMUTED, Scores

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
ONE_PATIENT = "one patient: no interval"


@dataclass(frozen=True)
class Standing:
    """One metric of one encoder, averaged over its seeds; K categories, a row each; NaN where undefined."""

    encoder: str
    seeds: tuple[int, ...]
    runs: tuple[Judgement, ...]  # one a seed, all of the same items in the same order
    points: Floats  # (K,)
    values: Floats  # (K, draws)
    counts: tuple[Counts, ...]
    reasons: tuple[str, ...]
    singles: Floats  # (seeds, K)

    def select(self, rows: NDArray[np.bool_]) -> tuple[float, Floats]:
        """Macro mean over some categories, and its replicates (draws,)."""
        return float(self.points[rows].mean()), mean_defined(self.values[rows])

    def spread(self, rows: NDArray[np.bool_]) -> float | None:
        """Standard deviation (n - 1) of the macro mean over seeds; None for one run."""
        return float(np.std(self.singles[:, rows].mean(axis=1), ddof=1)) if len(self.seeds) > 1 else None

    def macro(self, rows: NDArray[np.bool_]) -> Estimate:
        """The macro mean with its interval."""
        evidence = self.runs[0].evidence
        rest = (int(evidence.items.size), int(np.unique(evidence.patients).size))
        if not rows.any():
            return Estimate(None, None, None, *rest, 0, 0, "nothing is defined for all encoders")
        if self.informed(rows) < 2:
            return Estimate(self.select(rows)[0], None, None, *rest, 0, 0, ONE_PATIENT)
        return _estimate(*self.select(rows), *rest, 0)

    def informed(self, rows: NDArray[np.bool_]) -> int:
        """Patients that the best known of some categories rests on; an interval needs two."""
        return max((count.n_patients for count, fine in zip(self.counts, rows, strict=True) if fine), default=0)

    def category(self, k: int) -> Estimate:
        """One category with its interval."""
        counts = self.counts[k]
        if np.isnan(self.points[k]):
            reason = self.reasons[k] or "undefined"
            return Estimate(None, None, None, counts.n, counts.n_patients, counts.n_positive, 0, reason)
        return _estimate(float(self.points[k]), self.values[k], counts.n, counts.n_patients, counts.n_positive)


def standing(
    encoder: str, seeds: Sequence[int], runs: Sequence[Judgement], metric: str, *, draws: int, seed: int = 0
) -> Standing:
    """Average one encoder's runs.

    Args:
        encoder: its name.
        seeds: of the runs.
        runs: judged on the same items, in the same order.
        metric: a name of their metrics.
        draws: of the bootstrap.
        seed: of the draws.
    """
    found = [run.replicates(metric, draws, seed) for run in runs]
    points = np.stack([part.points for part in found])
    return Standing(
        encoder,
        tuple(seeds),
        tuple(runs),
        points.mean(axis=0),
        np.mean([part.values for part in found], axis=0),
        found[0].counts,
        tuple(next((part.reasons[k] for part in found if part.reasons[k]), "") for k in range(points.shape[1])),
        points,
    )


def difference(first: Standing, second: Standing, rows: NDArray[np.bool_]) -> Difference:
    """Paired difference of macro means, first minus second."""
    if not rows.any():
        return Difference(None, None, None, None, 0, "nothing is defined for all encoders")
    (one, left), (two, right) = first.select(rows), second.select(rows)
    if min(first.informed(rows), second.informed(rows)) < 2:
        return Difference(one - two, None, None, None, 0, ONE_PATIENT)
    low, high, used = percentile_interval(left - right, CONFIDENCE)
    return Difference(one - two, low, high, two_sided_share(left - right), used, "" if used else "no usable draw")


def permutation_p(
    first: Standing, second: Standing, metric: str, rows: NDArray[np.bool_], *, permutations: int, seed: int = 0
) -> float | None:
    """Two-sided p of the macro difference of means over seeds, patients swapped; None where the metric has no test."""
    one, two = first.runs[0].evidence, second.runs[0].evidence
    if not rows.any() or np.unique(one.patients).size < 2:
        return None
    if isinstance(one, Items) and isinstance(two, Items):
        if metric not in one.values:  # a ratio over all items is no mean of them
            return None
        left, right = (np.mean([_values(run, metric) for run in side.runs], axis=0) for side in (first, second))
        inside = np.isin(one.category, [name for name, fine in zip(one.categories, rows, strict=True) if fine])
        return permute_items(
            left[inside], right[inside], one.patients[inside], categories=one.category[inside],
            permutations=permutations, seed=seed,
        ).p  # fmt: skip
    if not isinstance(one, Scores) or metric not in PERMUTED:
        return None
    measure: Literal["auroc", "auprc"] = "auroc" if metric == "auroc" else "auprc"
    pairs = _pairs(first, second)
    gaps = np.mean([_gaps(left, right, measure, rows, permutations, seed) for left, right in pairs], axis=0)
    observed = float((first.points - second.points)[rows].mean())
    return float((1 + (np.abs(gaps) >= abs(observed) - TIE).sum()) / (1 + permutations))


def places(standings: Sequence[Standing], rows: NDArray[np.bool_], *, higher: bool) -> list[tuple[float, float, float]]:
    """Of each encoder over the draws: 2.5 % and 97.5 % quantile of its place, and the share of draws that it leads."""
    macros = np.stack([one.select(rows)[1] for one in standings])
    usable = macros[:, ~np.isnan(macros).any(axis=0)]
    if not usable.size:
        return [(1.0, float(len(standings)), 0.0)] * len(standings)
    found = rankdata(-usable if higher else usable, axis=0, method="min")
    low, high = np.quantile(found, (0.025, 0.975), axis=1, method="nearest")
    return list(zip(low.tolist(), high.tolist(), (found == 1).mean(axis=1).tolist(), strict=True))


def mean_defined(values: Floats) -> Floats:
    """Mean over categories (K, draws) -> (draws,), leaving NaN out; NaN where nothing is left."""
    known = ~np.isnan(values)
    found = np.full(values.shape[1], np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0), out=found, where=known.any(axis=0))
    return found


def _gaps(
    first: Scores, second: Scores, metric: Literal["auroc", "auprc"], rows: NDArray[np.bool_], permutations: int,
    seed: int,
) -> Floats:  # fmt: skip
    """(permutations,) macro differences of one pair of runs under swaps, which are the same for every pair."""
    ids, patient = np.unique(first.patients, return_inverse=True)
    orders = []
    for k in np.flatnonzero(rows):
        known = ~np.isnan(first.labels[:, k])
        left, right = (rankdata(side.scores[known, k]) for side in (first, second))
        orders.append(pool(first.labels[known, k] == 1, left, right, patient[known]))
    swapped = ranking_gaps if metric == "auroc" else precision_gaps
    mean: Floats = swapped(orders, ids.size, permutations, seed).mean(axis=0)
    return mean


def _pairs(first: Standing, second: Standing) -> list[tuple[Scores, Scores]]:
    """Runs of one seed stand against each other; where the seeds differ, every run against every run."""
    left, right = ([run.evidence for run in side.runs] for side in (first, second))
    if first.seeds == second.seeds:
        return list(zip(left, right, strict=True))  # type: ignore[arg-type]
    return [(one, two) for one in left for two in right]  # type: ignore[misc]


def _values(run: Judgement, metric: str) -> Floats:
    assert isinstance(run.evidence, Items)
    return run.evidence.values[metric]


def _estimate(value: float, replicates: Floats, n: int, patients: int, positive: int) -> Estimate:
    if patients < 2:
        return Estimate(value, None, None, n, patients, positive, 0, ONE_PATIENT)
    low, high, used = percentile_interval(replicates, CONFIDENCE)
    return Estimate(value, low, high, n, patients, positive, used, "" if used else "no usable draw: no interval")
