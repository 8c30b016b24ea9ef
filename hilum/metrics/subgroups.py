"""How a metric differs between groups of films or people: a table, the largest gap, and whether it could be luck.

Each group is judged by itself, with the draws of whole patients that all groups share. The gap is the best group's
value minus the worst's. Its interval is the paired bootstrap of these two groups; having been chosen because they
differ most, they would look different even if nothing were behind it, so the interval must not be read as a test.

The test is a permutation: group names are dealt out again at random and the largest gap is taken anew, which allows for
the choice. Names are dealt among units with the finding and among units without, separately, so that every group keeps
its numbers of both: a group with more disease is not a gap. A unit is a patient, or, where the attribute changes within
a patient (view, age), his images of one group.

Sources: Phipson and Smyth 2010 (p = (1 + b) / (1 + m)); Good 2005, "Permutation, parametric and bootstrap tests of
hypotheses", chapter 3 (k samples). Referee: scikit-learn in every permutation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.bootstrap import Bootstrap, bootstrap
from hilum.metrics.estimate import TIE, Difference, Estimate, percentile_interval
from hilum.metrics.replicates import LANES, rank_block, sort_finding

Floats = NDArray[np.float64]
Metric = Literal["auroc", "auprc"]

FEW_GROUPS: Final = "fewer than two groups have both classes"


@dataclass(frozen=True)
class SubgroupGap:
    """One metric by group; `low`, `high` and `p` belong to `gap`."""

    metric: str
    groups: tuple[str, ...]  # in alphabetical order; images without a group are left out
    estimates: tuple[Estimate, ...]  # one a group, undefined ones with their reason
    best: str | None
    worst: str | None
    gap: Difference  # best minus worst, interval of these two; `p` of the permutation of group names
    permutations: int  # m of that p
    unknown: int  # labelled images without a group

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


def subgroup_gaps(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    groups: ArrayLike,
    *,
    metric: Metric = "auroc",
    draws: int = 1000,
    permutations: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> SubgroupGap:
    """Judge one finding in each group and test the largest gap.

    AUPRC grows with prevalence, so that its gap may be nothing else; AUROC does not.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present.
        patients: (N,) ids; images of one id are drawn together.
        groups: (N,) group names, None or "" where unknown.
        metric: "auroc" or "auprc".
        draws: bootstrap replicates.
        permutations: m, at least 1.
        seed: of draws and permutations.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ValueError: shapes differ, labels are not 1, 0 or NaN, a judged score is NaN, or permutations < 1.
    """
    label, score = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    given = np.array(["" if name is None else str(name) for name in np.asarray(groups, dtype=object)], dtype=str)
    if not label.shape == score.shape == given.shape or label.ndim != 1:
        raise ValueError(f"labels {label.shape}, scores {score.shape} and groups {given.shape} must be one an image")
    if permutations < 1 or metric not in ("auroc", "auprc"):
        raise ValueError(f"permutations must be at least 1 and metric auroc or auprc, got {permutations}, {metric!r}")
    known = ~np.isnan(label)
    names = tuple(map(str, np.unique(given[known & (given != "")])))
    runs = [_judge(np.where(given == name, label, np.nan), score, patients, draws, seed, confidence) for name in names]
    estimates = tuple(run.estimate(metric, "") for run in runs)
    values = np.array([np.nan if found.value is None else found.value for found in estimates], dtype=np.float64)
    unknown = int((known & (given == "")).sum())
    if (~np.isnan(values)).sum() < 2:
        nothing = Difference(None, None, None, None, 0, FEW_GROUPS)
        return SubgroupGap(metric, names, estimates, None, None, nothing, permutations, unknown)
    best, worst = int(np.nanargmax(values)), int(np.nanargmin(values))
    tested = known & np.isin(given, [name for name, value in zip(names, values, strict=True) if not np.isnan(value)])
    dealt = _dealt_again(
        label[tested] == 1,
        score[tested],
        np.asarray(patients, dtype=str)[tested],
        given[tested],
        metric,
        permutations,
        seed,
    )
    gap = _gap(runs[best], runs[worst], metric, dealt)
    return SubgroupGap(metric, names, estimates, names[best], names[worst], gap, permutations, unknown)


def _judge(label: Floats, score: Floats, patients: ArrayLike, draws: int, seed: int, confidence: float) -> Bootstrap:
    """One group; the patients of the others stay in the draws, so that all groups share them."""
    return bootstrap(
        label[:, None], score[:, None], patients, findings=("",), draws=draws, seed=seed, confidence=confidence
    )


def _gap(best: Bootstrap, worst: Bootstrap, metric: Metric, dealt: Floats) -> Difference:
    """Best minus worst with its paired interval, and p from the largest gaps under dealt names."""
    value = float(best.points[metric][0] - worst.points[metric][0])
    # an undefined permutation speaks against nothing: it counts as "as far"
    p = float((1 + (~(dealt < value - TIE)).sum()) / (1 + dealt.size))
    low, high, used = percentile_interval(best.replicates[metric][0] - worst.replicates[metric][0], best.confidence)
    return Difference(value, low, high, p, used, "" if used else "no usable draw: no interval")


def _dealt_again(
    positive: NDArray[np.bool_],
    score: Floats,
    patients: NDArray[np.str_],
    groups: NDArray[np.str_],
    metric: Metric,
    permutations: int,
    seed: int,
) -> Floats:
    """(permutations,) largest gap with group names dealt at random; NaN where no group is defined."""
    ids, row = np.unique(np.stack([patients, groups]), axis=1, return_inverse=True)
    unit, code = row.ravel(), np.unique(ids[1], return_inverse=True)[1]
    with_finding = np.bincount(unit, weights=positive) > 0
    order = sort_finding(positive, score, unit)
    rng = np.random.default_rng(seed)
    found, values = np.empty(permutations), np.empty((2, LANES))
    for first in range(0, permutations, LANES):
        lanes = min(LANES, permutations - first)
        dealt = np.full((code.size, LANES), code.max() + 1)
        for stratum in (with_finding, ~with_finding):
            names = np.broadcast_to(code[stratum], (lanes, int(stratum.sum())))
            dealt[stratum, :lanes] = rng.permuted(names, axis=1).T
        high, low = np.full(LANES, np.nan), np.full(LANES, np.nan)
        for group in range(int(code.max()) + 1):
            rank_block((dealt == group).astype(np.uint8), *order, values[0], values[1])
            here = values[0 if metric == "auroc" else 1]
            high, low = np.fmax(high, here), np.fmin(low, here)
        found[first : first + lanes] = (high - low)[:lanes]
    return found
