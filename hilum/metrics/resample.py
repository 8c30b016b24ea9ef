"""Means and medians of one number an item, with intervals from drawing whole patients.

What a classifier's metrics are to `bootstrap.py`, plain averages are here: recall of a query, overlap of a heat map.
Items of one patient are not independent, so patients are drawn with all their items, and every metric asked of one
`Resample` sees the same draws: two of them differ by a paired difference, not by luck.

Source: Efron 1979 (percentile bootstrap); Field and Welsh 2007 (resampling whole clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.estimate import Difference, Estimate, interval_of, two_sided_share
from hilum.metrics.replicates import LANES, draw_blocks

Floats = NDArray[np.float64]

NOTHING = "no item has a value"
ONE_PATIENT = "one patient: no interval"


class Resample:
    """The same draws of patients for every average of the same N items.

    Args:
        patients: (N,) patient ids; items of one id are drawn together.
        draws: replicates.
        seed: of the draws.
        confidence: coverage of the intervals, in (0, 1).
        interval: "percentile" or "bca" (each patient left out in turn); medians have percentile intervals always,
            because the jackknife of a median is not consistent (Efron and Tibshirani 1993, section 11.6).
    """

    def __init__(
        self,
        patients: ArrayLike,
        *,
        draws: int = 1000,
        seed: int = 0,
        confidence: float = 0.95,
        interval: Literal["percentile", "bca"] = "percentile",
    ) -> None:
        if interval not in ("percentile", "bca"):
            raise ValueError(f"interval must be percentile or bca, got {interval!r}")
        if not 0 < confidence < 1 or draws < 0:
            raise ValueError(f"confidence must lie in (0, 1) and draws be >= 0, got {confidence} and {draws}")
        ids, self.patient = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
        self.count, self.draws, self.seed, self.confidence = int(ids.size), draws, seed, confidence
        self.interval = interval

    def mean(self, values: ArrayLike) -> Estimate:
        """Mean of the items that have a value.

        Args:
            values: (N,), NaN where an item has none.
        """
        value = self._checked(values)
        column = value[:, None]
        return self._estimate(value, _mean(value), self._mean_replicates(column)[0], self._left_out(column))

    def median(self, values: ArrayLike) -> Estimate:
        """Median of the items that have a value; the mean of the middle two of an even number.

        Args:
            values: (N,), NaN where an item has none.
        """
        value = self._checked(values)
        known = np.flatnonzero(~np.isnan(value))
        order = known[np.argsort(value[known], kind="stable")]
        middle = float(np.median(value[known])) if known.size else np.nan
        return self._estimate(value, middle, self._median_replicates(value[order], self.patient[order]))

    def macro(self, values: ArrayLike, categories: Sequence[str] | NDArray[np.str_]) -> Estimate:
        """Mean over categories of the mean in each; a replicate leaves out categories that it did not draw.

        Args:
            values: (N,), NaN where an item has none.
            categories: (N,) a name an item.
        """
        value = self._checked(values)
        split = _by_category(value, categories)
        replicates = _mean_of(self._mean_replicates(split))
        return self._estimate(value, float(_mean_of(_means(split)[:, None])[0]), replicates, self._left_out(split))

    def by_category(
        self, values: ArrayLike, categories: Sequence[str] | NDArray[np.str_], names: Sequence[str]
    ) -> tuple[Floats, Floats]:
        """Mean of each category and its replicates, (C,) and (C, draws); NaN where no item has a value.

        Args:
            values: (N,), NaN where an item has none.
            categories: (N,) a name an item.
            names: the C categories asked for.
        """
        value, category = self._checked(values), np.asarray(categories, dtype=str)
        split = np.stack([np.where(category == name, value, np.nan) for name in names], axis=1)
        return _means(split), self._mean_replicates(split)

    def difference(
        self, first: ArrayLike, second: ArrayLike, categories: Sequence[str] | NDArray[np.str_] | None = None
    ) -> Difference:
        """Paired difference of means, first minus second, over the items that have both; macro where categories are.

        Args:
            first: (N,), NaN where an item has none.
            second: (N,) likewise.
            categories: (N,) a name an item, for the mean over categories.
        """
        gap = self._checked(first) - self._checked(second)
        split = gap[:, None] if categories is None else _by_category(gap, categories)
        value, replicates = _mean_of(_means(split)[:, None])[0], _mean_of(self._mean_replicates(split))
        if np.isnan(value):
            return Difference(None, None, None, None, 0, NOTHING)
        if np.unique(self.patient[~np.isnan(gap)]).size < 2:
            return Difference(float(value), None, None, None, 0, ONE_PATIENT)
        low, high, used, reason = interval_of(float(value), replicates, self._left_out(split), self.confidence)
        return Difference(float(value), low, high, two_sided_share(replicates), used, reason)

    @cached_property
    def _blocks(self) -> list[NDArray[np.uint8]]:
        """How often each patient is in each draw, `LANES` draws a block: one byte a patient and draw."""
        return list(draw_blocks(self.count, self.draws, self.seed))

    def _mean_replicates(self, columns: Floats) -> Floats:
        """Mean of each column (N, M) in each draw -> (M, draws); NaN where a draw has no value."""
        sums, counts = self._per_patient(columns)
        parts = [_divide(sums @ block, counts @ block) for block in (b.astype(np.float64) for b in self._blocks)]
        return np.concatenate([np.empty((columns.shape[1], 0)), *parts], axis=1)[:, : self.draws]

    def _left_out(self, columns: Floats) -> Floats | None:
        """Mean over columns (N, M) of their means without each patient -> (P,); None for percentile intervals.

        A patient without any value is no part of the statistic and is not left out in turn.
        """
        if self.interval == "percentile":
            return None
        sums, counts = self._per_patient(columns)
        left = _divide(sums.sum(axis=1, keepdims=True) - sums, counts.sum(axis=1, keepdims=True) - counts)
        return _mean_of(left)[counts.any(axis=0)]

    def _per_patient(self, columns: Floats) -> tuple[Floats, Floats]:
        """Sums and numbers of values of each column (N, M) and patient -> (M, P) each."""
        known = ~np.isnan(columns)
        sums, counts = np.zeros((2, columns.shape[1], self.count))
        for number in range(columns.shape[1]):
            rows, values = self.patient[known[:, number]], columns[known[:, number], number]
            sums[number] = np.bincount(rows, weights=values, minlength=self.count)
            counts[number] = np.bincount(rows, minlength=self.count)
        return sums, counts

    def _median_replicates(self, ordered: Floats, patient: NDArray[np.intp]) -> Floats:
        """Median in each draw, of values that are sorted already -> (draws,)."""
        found = np.full(self.draws, np.nan)
        if not ordered.size:
            return found
        for number, block in enumerate(self._blocks):
            passed = np.cumsum(block[patient], axis=0, dtype=np.int64)
            total = passed[-1]
            low, high = (2 * passed >= total).argmax(axis=0), (2 * passed > total).argmax(axis=0)
            middle = np.where(total > 0, (ordered[low] + ordered[high]) / 2, np.nan)
            here = slice(number * LANES, min((number + 1) * LANES, self.draws))
            found[here] = middle[: here.stop - here.start]
        return found

    def _checked(self, values: ArrayLike) -> Floats:
        value = np.asarray(values, dtype=np.float64)
        if value.shape != self.patient.shape:
            raise ValueError(f"values {value.shape} must be one for each of {self.patient.size} items")
        return value

    def _estimate(self, values: Floats, point: float, replicates: Floats, left_out: Floats | None = None) -> Estimate:
        known = ~np.isnan(values)
        n, patients = int(known.sum()), int(np.unique(self.patient[known]).size)
        positive = int((values[known] > 0).sum())
        if not n:
            return Estimate(None, None, None, 0, 0, 0, 0, NOTHING)
        if patients < 2:
            return Estimate(float(point), None, None, n, patients, positive, 0, ONE_PATIENT)
        low, high, used, reason = interval_of(float(point), replicates, left_out, self.confidence)
        return Estimate(float(point), low, high, n, patients, positive, used, reason)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def _means(columns: Floats) -> Floats:
    return np.array([_mean(column) for column in columns.T])


def _by_category(values: Floats, categories: Sequence[str] | NDArray[np.str_]) -> Floats:
    """(N,) values as (N, C) columns, NaN where an item is of another category."""
    names, index = np.unique(np.asarray(categories, dtype=str), return_inverse=True)
    columns = np.full((values.size, names.size), np.nan)
    columns[np.arange(values.size), index] = values
    return columns


def _mean_of(rows: Floats) -> Floats:
    """Mean over the first axis (M, R) -> (R,), leaving NaN out; NaN where nothing is left."""
    known = ~np.isnan(rows)
    return _divide(np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _divide(part: Floats, whole: Floats) -> Floats:
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found
