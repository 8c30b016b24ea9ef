"""Paired permutation tests: would the difference be as large if the two models' answers were swapped at random?

Under the null hypothesis it does not matter which model an answer came from. So for every patient a coin decides
whether the two models' answers on his images are swapped, for all images and all findings together, and the difference
of the metric is taken again. With b of m random swaps at least as far from 0 as the observed difference,
p = (1 + b) / (1 + m): two-sided, and never 0, because the observed order is itself one of the swaps. m belongs in every
record of p, whose smallest possible value is 1 / (1 + m).

Swapping answers means that both models' scores stand in one order. Two models need not share a scale, so scores are
replaced by their mid-ranks within each model first; p then does not change when a model's scores are stretched.

Three questions, three tests: `permutation_test` swaps patients and asks about AUROC or AUPRC; `permute_items` swaps
patients and asks about a mean of one number an item; `permute_findings` swaps whole findings: is a model better across
findings, whatever the patients. The last one takes findings as independent draws, which they are not on one set of
patients; it is here because papers report it.

Sources: Bandos, Rockette and Gur 2005 (permutation of ranks for paired AUROCs); Phipson and Smyth 2010 ("Permutation
p-values should never be zero"); CheXFound 2025, section III-D (across findings). Referees: scikit-learn in every swap,
scipy.stats.permutation_test over all swaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from hilum.metrics.estimate import TIE
from hilum.metrics.judged import judged, undefined_reason
from hilum.metrics.ranking import auroc, average_precision
from hilum.metrics.swaps import PooledOrder, pool, precision_gaps, ranking_gaps, sign_gaps

Floats = NDArray[np.float64]
Metric = Literal["auroc", "auprc"]

ONE_PATIENT: Final = "one patient: nothing to swap against"
NOTHING: Final = "nothing has a value on both sides"


@dataclass(frozen=True)
class Permuted:
    """Result for K findings and their macro average; None where undefined, with the reason."""

    metric: str
    observed: tuple[float | None, ...]  # (K,) first minus second
    p: tuple[float | None, ...]  # (K,) two-sided, at least 1 / (1 + permutations)
    observed_macro: float | None  # mean over the defined findings
    p_macro: float | None
    permutations: int  # m
    seed: int
    reasons: tuple[str, ...]  # (K,) why a finding's p is None, or ""
    reason_macro: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class PermutedMean:
    """Result for one mean difference; None where undefined, with the reason."""

    observed: float | None  # first minus second
    p: float | None  # two-sided, at least 1 / (1 + permutations)
    permutations: int  # m
    seed: int
    n: int  # items or findings with a value on both sides
    n_units: int  # patients or findings that are swapped
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


def permutation_test(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: ArrayLike,
    *,
    metric: Metric = "auroc",
    permutations: int = 1000,
    seed: int = 0,
    ranks: bool = True,
) -> Permuted:
    """Is one model's AUROC or AUPRC better than another's, by swapping their scores patient by patient?

    Args:
        labels: (N, K) or (N,) 1, 0, or NaN (blank, left out).
        first: scores of the first model, of the shape of `labels`.
        second: scores of the second on the same images.
        patients: (N,) ids; one coin a patient swaps all his images and findings.
        metric: "auroc" or "auprc".
        permutations: m, at least 1.
        seed: of the coins.
        ranks: replace scores by their mid-ranks within each model; False swaps raw scores, for models on one scale.

    Returns:
        Differences and p for each finding and for the mean over the defined ones, with one and the same swaps.

    Raises:
        ValueError: shapes differ, labels are not 1, 0 or NaN, a judged score is NaN, or permutations < 1.
    """
    _check(permutations)
    if metric not in ("auroc", "auprc"):
        raise ValueError(f"metric must be auroc or auprc, got {metric!r}")
    label, one, two = (_columns(table) for table in (labels, first, second))
    ids, patient = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    if not label.shape == one.shape == two.shape or label.shape[:1] != patient.shape:
        raise ValueError(f"labels {label.shape} and scores {one.shape}, {two.shape} must agree, one row an image")
    observed, orders, reasons = _observe(label, one, two, patient, metric, ranks)
    values = np.array([observed[k] for k in orders], dtype=np.float64)
    mean = float(values.mean()) if orders else None
    p: list[float | None] = [None] * len(observed)
    reason, p_macro = "" if orders else "no finding is defined", None
    if orders and ids.size < 2:
        reason, reasons = ONE_PATIENT, tuple(reason or ONE_PATIENT for reason in reasons)
    if mean is not None and not reason:
        swapped = ranking_gaps if metric == "auroc" else precision_gaps
        gaps = swapped(list(orders.values()), ids.size, permutations, seed)
        p_macro = _p(mean, gaps.mean(axis=0))
        for row, k in enumerate(orders):
            p[k] = _p(values[row], gaps[row])
    return Permuted(metric, observed, tuple(p), mean, p_macro, permutations, seed, reasons, reason)


def permute_items(
    first: ArrayLike,
    second: ArrayLike,
    patients: ArrayLike,
    *,
    categories: Sequence[str] | NDArray[np.str_] | None = None,
    permutations: int = 1000,
    seed: int = 0,
) -> PermutedMean:
    """Is the mean of one number an item (Dice, overlap, recall) different, by swapping patient by patient?

    Args:
        first: (N,) values, NaN where an item has none.
        second: (N,) likewise, of the same items; only items with both values count.
        patients: (N,) ids; one coin a patient swaps all his items.
        categories: (N,) a name an item, for the mean over categories of the mean in each.
        permutations: m, at least 1.
        seed: of the coins.

    Raises:
        ValueError: shapes differ or permutations < 1.
    """
    gap = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    given = np.asarray(patients, dtype=str)
    if gap.ndim != 1 or gap.shape != given.shape:
        raise ValueError(f"items {gap.shape} and patients {given.shape} must be vectors of one length")
    _check(permutations)
    known = ~np.isnan(gap)
    ids, patient = np.unique(given[known], return_inverse=True)
    names = np.zeros(gap.size, dtype=int) if categories is None else np.asarray(categories, dtype=str)
    _, category = np.unique(names[known], return_inverse=True)
    share = 1 / np.bincount(category) / max(int(category.max(initial=-1)) + 1, 1)
    weighted = gap[known] * share[category]
    order = np.lexsort((weighted, category, patient))  # sums that do not depend on the order of rows
    gains = np.bincount(patient[order], weights=weighted[order], minlength=ids.size).astype(np.float64, copy=False)
    return _flip(gains, int(known.sum()), permutations, seed, ONE_PATIENT)


def permute_findings(
    first: Sequence[float | None], second: Sequence[float | None], *, permutations: int = 1000, seed: int = 0
) -> PermutedMean:
    """Is the mean over findings of a metric different, by swapping the two models finding by finding?

    With K findings only 2 ** (K - 1) differences can arise up to their sign, so p cannot come far below
    2 ** (1 - K), however large m is: five findings never reach 0.05.

    Args:
        first: (K,) the metric of the first model; None where undefined.
        second: (K,) likewise; only findings with both values count.
        permutations: m, at least 1.
        seed: of the coins.
    """
    one, two = (np.array([np.nan if v is None else v for v in values], dtype=np.float64) for values in (first, second))
    if one.shape != two.shape:
        raise ValueError(f"{one.size} findings on one side and {two.size} on the other")
    _check(permutations)
    gap = one - two
    gap = gap[~np.isnan(gap)]
    return _flip(gap / max(gap.size, 1), int(gap.size), permutations, seed, "one finding: nothing to swap against")


def _columns(table: ArrayLike) -> Floats:
    """(N,) or (N, K) as (N, K)."""
    found = np.asarray(table, dtype=np.float64)
    return found[:, None] if found.ndim == 1 else found


def _observe(
    label: Floats, one: Floats, two: Floats, patient: NDArray[np.intp], metric: Metric, ranks: bool
) -> tuple[tuple[float | None, ...], dict[int, PooledOrder], tuple[str, ...]]:
    """Differences, pooled orders of the defined findings, and reasons for the others."""
    measure = auroc if metric == "auroc" else average_precision
    observed: list[float | None] = []
    reasons: list[str] = []
    orders: dict[int, PooledOrder] = {}
    for k in range(label.shape[1]):
        known = ~np.isnan(label[:, k])
        positive, left, _ = judged(label[:, k], one[:, k])
        right = judged(label[:, k], two[:, k])[1]
        reasons.append(undefined_reason(int(positive.sum()), int((~positive).sum())))
        if reasons[-1]:
            observed.append(None)
            continue
        if ranks:
            left, right = rankdata(left), rankdata(right)
        values = measure(positive, left), measure(positive, right)
        observed.append(None if values[0] is None or values[1] is None else values[0] - values[1])
        orders[k] = pool(positive, left, right, patient[known])
    return tuple(observed), orders, tuple(reasons)


def _flip(gains: Floats, n: int, permutations: int, seed: int, too_few: str) -> PermutedMean:
    if not n:
        return PermutedMean(None, None, permutations, seed, 0, 0, NOTHING)
    observed, units = float(gains.sum()), int(gains.size)
    if units < 2:
        return PermutedMean(observed, None, permutations, seed, n, units, too_few)
    gaps = sign_gaps(gains[None], permutations, seed)[0]
    return PermutedMean(observed, _p(observed, gaps), permutations, seed, n, units)


def _p(observed: float, gaps: Floats) -> float:
    """(1 + b) / (1 + m), b = swaps as far from 0 as the observed difference, or farther, but for rounding."""
    return float((1 + (np.abs(gaps) >= abs(observed) - TIE).sum()) / (1 + gaps.size))


def _check(permutations: int) -> None:
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}")
