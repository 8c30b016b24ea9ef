"""Calibration: does a score of 0.3 mean three films in ten? Reliability curve, ECE, Brier score.

Sources: Brier 1950 (mean squared error of a probability); Naeini, Cooper and Hauskrecht 2015 (ECE: the mean
over bins of |observed share - mean score|, weighted by the films in the bin). With rare findings equal-width
bins leave almost all films in the first one, so bins of equal numbers of films ("quantile") are the default
here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.judged import judged

Strategy = Literal["quantile", "uniform"]
Floats = NDArray[np.float64]


class Reliability(NamedTuple):
    """One point a bin that holds at least one film, lowest scores first; all (B,)."""

    mean_score: Floats
    observed: Floats  # share of the bin's films with the finding
    films: NDArray[np.int64]  # how many the bin holds


def reliability_curve(
    labels: ArrayLike,
    scores: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    bins: int = 10,
    strategy: Strategy = "quantile",
) -> Reliability | None:
    """Mean score and observed share of positives by bins of the score.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) probabilities in [0, 1].
        counts: (N,) how often each image is taken.
        bins: how many bins at most; equal scores always share a bin, and empty bins are left out.
        strategy: "quantile" (equal numbers of films) or "uniform" (equal widths).

    Returns:
        The curve, or None without labels.

    Raises:
        ValueError: a score lies outside [0, 1], `bins` is below 1, or the strategy is unknown.
    """
    positive, score, weight = _probabilities(labels, scores, counts)
    if strategy not in ("quantile", "uniform") or bins < 1:
        raise ValueError(f"strategy must be quantile or uniform and bins >= 1, got {strategy!r} and {bins}")
    if not score.size:
        return None
    if strategy == "uniform":
        where = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], score, side="left")
    else:
        where = _equal_bins(score, weight, bins)
    size = int(where.max()) + 1
    films = np.bincount(where, weights=weight, minlength=size)
    score_sum = np.bincount(where, weights=weight * score, minlength=size)
    positives = np.bincount(where, weights=weight * positive, minlength=size)
    full = films > 0
    return Reliability(score_sum[full] / films[full], positives[full] / films[full], films[full].astype(np.int64))


def expected_calibration_error(
    labels: ArrayLike,
    scores: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    bins: int = 10,
    strategy: Strategy = "quantile",
) -> float | None:
    """ECE in [0, 1]: mean |observed share - mean score| over bins, weighted by films; None without labels."""
    curve = reliability_curve(labels, scores, counts, bins=bins, strategy=strategy)
    if curve is None:
        return None
    return float((curve.films * np.abs(curve.observed - curve.mean_score)).sum() / curve.films.sum())


def brier(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> float | None:
    """Mean squared difference of probability and label, in [0, 1], lower is better; None without labels."""
    positive, score, weight = _probabilities(labels, scores, counts)
    return float((weight * (score - positive) ** 2).sum() / weight.sum()) if score.size else None


def _equal_bins(score: Floats, weight: NDArray[np.int64], bins: int) -> NDArray[np.intp]:
    """Bin of each film of a rising order: bin b ends with the equals of film b (n - 1) // bins, counted in integers."""
    group = np.cumsum(np.append(False, score[1:] != score[:-1]))
    passed = np.cumsum(np.bincount(group, weights=weight).astype(np.int64))
    ends = np.unique(np.searchsorted(passed, np.arange(1, bins) * (passed[-1] - 1) // bins, side="right"))
    return np.searchsorted(ends, group, side="left")


def _probabilities(
    labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.int64]]:
    """`judged`, sorted so that no sum depends on the order of rows; refuses scores beyond [0, 1]."""
    positive, score, weight = judged(labels, scores, counts)
    if ((score < 0) | (score > 1)).any():
        raise ValueError("calibration needs probabilities: a score lies outside [0, 1]")
    order = np.lexsort((positive, score))
    return positive[order], score[order], weight[order]
