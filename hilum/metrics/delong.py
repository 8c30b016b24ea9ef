"""DeLong's interval of an AUROC and his paired test of two, in O(N log N), with patients as clusters where asked.

AUROC is a mean over pairs, so its variance follows from how each positive stands among the negatives (V10) and each
negative among the positives (V01). Mid-ranks give both without forming a pair. Images of one patient are not
independent: with `patients` the placements are summed per patient first, which is Obuchowski's variance and equals
DeLong's where every patient has one image.

Sources: DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014, "Fast implementation of DeLong's algorithm"
(mid-ranks); Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from hilum.metrics.estimate import Difference, Estimate
from hilum.metrics.judged import judged, undefined_reason

Floats = NDArray[np.float64]

FEW_POSITIVES = "positives of fewer than two patients: no variance"
FEW_NEGATIVES = "negatives of fewer than two patients: no variance"
NO_VARIANCE = "the variance is zero: no interval"


def delong(
    labels: ArrayLike, scores: ArrayLike, patients: ArrayLike | None = None, *, confidence: float = 0.95
) -> Estimate:
    """AUROC with the normal interval of DeLong, cut off at 0 and 1.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present; only the order matters.
        patients: (N,) ids, whose images are one cluster; without them every image counts as independent.
        confidence: coverage, in (0, 1).

    Returns:
        An estimate with `draws` 0. No value without both classes; no interval where a class comes from one
        patient or the variance is zero (perfect separation).
    """
    found = _Placements(labels, (scores,), patients)
    if found.reason:
        return Estimate(None, None, None, *found.counts, 0, found.reason)
    value = float(found.auroc[0])
    variance, reason = found.variance(np.ones(1))
    if reason:
        return Estimate(value, None, None, *found.counts, 0, reason)
    reach = float(norm.ppf((1 + confidence) / 2)) * variance**0.5
    return Estimate(value, max(value - reach, 0.0), min(value + reach, 1.0), *found.counts, 0)


def delong_test(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
) -> Difference:
    """Paired difference of two AUROCs, first minus second, with interval and two-sided p of the normal law.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        first: (N,) scores of the first model.
        second: (N,) scores of the second, on the same images.
        patients: (N,) ids, whose images are one cluster; without them every image counts as independent.
        confidence: coverage, in (0, 1).

    Returns:
        A difference with `draws` 0. Two models that rank alike differ by 0 with p = 1 and no interval.
    """
    found = _Placements(labels, (first, second), patients)
    if found.reason:
        return Difference(None, None, None, None, 0, found.reason)
    value = float(found.auroc[0] - found.auroc[1])
    variance, reason = found.variance(np.array([1.0, -1.0]))
    if reason:
        return Difference(value, None, None, 1.0 if reason == NO_VARIANCE and value == 0 else None, 0, reason)
    deviation = variance**0.5
    reach = float(norm.ppf((1 + confidence) / 2)) * deviation
    low, high = max(value - reach, -1.0), min(value + reach, 1.0)
    return Difference(value, low, high, float(2 * norm.sf(abs(value) / deviation)), 0)


class _Placements:
    """Structural components of M models on the same images, centred and summed per patient."""

    def __init__(self, labels: ArrayLike, scores: tuple[ArrayLike, ...], patients: ArrayLike | None) -> None:
        positive = judged(labels, scores[0])[0]
        table = np.stack([judged(labels, score)[1] for score in scores])
        known = ~np.isnan(np.asarray(labels, dtype=np.float64))
        given = np.arange(known.size) if patients is None else np.asarray(patients, dtype=str)
        if given.shape != known.shape:
            raise ValueError(f"patients {given.shape} must be one for each of {known.size} images")
        ids, patient = np.unique(given[known], return_inverse=True)
        m, n = int(positive.sum()), int((~positive).sum())
        self.reason, self.counts = undefined_reason(m, n), (m + n, int(ids.size), m)
        if self.reason:
            return
        ranks = rankdata(table, axis=1)
        above = (
            ranks[:, positive] - rankdata(table[:, positive], axis=1)
        ) / n  # (M, m) V10: negatives below a positive
        below = (ranks[:, ~positive] - rankdata(table[:, ~positive], axis=1)) / m  # (M, n) 1 - V01
        # exact sums of half-integers before the one division: equal rankings give equal areas
        self.auroc = (ranks[:, positive].sum(axis=1) - m * (m + 1) / 2) / (m * n)
        self._above, self._in_above = _per_patient(above - self.auroc[:, None], patient[positive], ids.size)
        self._below, self._in_below = _per_patient(1 - below - self.auroc[:, None], patient[~positive], ids.size)
        self._m, self._n = m, n

    def variance(self, weights: Floats) -> tuple[float, str]:
        """Variance of `weights @ auroc`, or the reason why there is none."""
        i10, i01 = int(self._in_above.sum()), int(self._in_below.sum())
        if i10 < 2:
            return np.nan, FEW_POSITIVES
        if i01 < 2:
            return np.nan, FEW_NEGATIVES
        above, below = weights @ self._above / self._m, weights @ self._below / self._n
        everyone = int((self._in_above | self._in_below).sum())
        found = i10 / (i10 - 1) * (above**2).sum() + i01 / (i01 - 1) * (below**2).sum()
        found += 2 * everyone / (everyone - 1) * (above * below).sum()
        return (float(found), "") if found > 1e-24 else (0.0, NO_VARIANCE)


def _per_patient(values: Floats, patient: NDArray[np.intp], count: int) -> tuple[Floats, NDArray[np.bool_]]:
    """(M, images) summed to (M, patients), and which patients have any."""
    sums = np.stack([np.bincount(patient, weights=row, minlength=count) for row in values])
    return sums.astype(np.float64, copy=False), np.bincount(patient, minlength=count) > 0
