"""Ranking metrics: AUROC, average precision and their curves, with ties and whole-number counts exact.

Everything follows from one table: sort by score from high to low and, at the end of each group of equal
scores, write down how many positives (`tp`) and negatives (`fp`) have been passed. All sums up to the last
division are integers, so the results do not depend on the order of rows.

Sources: Fawcett 2006, "An introduction to ROC analysis" (curve and ties); Mann and Whitney 1947 (AUROC as the
probability that a positive outranks a negative, ties half); average precision as the step-wise sum
sum_k (R_k - R_{k-1}) P_k, without interpolation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.judged import judged

Floats = NDArray[np.float64]


class Passed(NamedTuple):
    """What has been passed at the end of each group of equal scores, highest score first; all (G,)."""

    score: Floats  # the score of the group
    tp: NDArray[np.int64]  # positives with this score or a higher one
    fp: NDArray[np.int64]  # negatives with this score or a higher one


class Curve(NamedTuple):
    """Points of a curve, from the strictest threshold to the loosest; all (G,) or (G + 1,)."""

    x: Floats
    y: Floats
    threshold: Floats  # a film is called positive when score >= threshold


def passed(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> Passed:
    """Sort once and count positives and negatives at or above each distinct score."""
    positive, score, weight = judged(labels, scores, counts)
    order = np.argsort(-score, kind="stable")
    score, positive, weight = score[order], positive[order], weight[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)) if score.size else np.empty(0, dtype=np.int64)
    return Passed(score[ends], np.cumsum(weight * positive)[ends], np.cumsum(weight * ~positive)[ends])


def auroc(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> float | None:
    """Area under the ROC curve in [0, 1]; None without a positive or without a negative.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present; only the order matters.
        counts: (N,) how often each image is taken.
    """
    _, tp, fp = passed(labels, scores, counts)
    if not _both_classes(tp, fp):
        return None
    before = tp - np.diff(tp, prepend=0)
    twice_area = int((np.diff(fp, prepend=0) * (tp + before)).sum())  # trapezia: ties count one half
    return twice_area / (2 * int(tp[-1]) * int(fp[-1]))


def average_precision(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> float | None:
    """Area under the precision-recall curve (AUPRC) as the step-wise sum; None without both classes.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present; only the order matters.
        counts: (N,) how often each image is taken.
    """
    _, tp, fp = passed(labels, scores, counts)
    if not _both_classes(tp, fp):
        return None
    return float((np.diff(tp, prepend=0) * (tp / (tp + fp))).sum() / tp[-1])


def roc_curve(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> Curve | None:
    """ROC curve from (0, 0): x = 1 - specificity, y = sensitivity; None without both classes."""
    score, tp, fp = passed(labels, scores, counts)
    if not _both_classes(tp, fp):
        return None
    return Curve(
        np.concatenate(([0.0], fp / fp[-1])),
        np.concatenate(([0.0], tp / tp[-1])),
        np.concatenate(([np.inf], score)),
    )


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> Curve | None:
    """Precision-recall curve: x = recall (rising), y = precision; None without both classes."""
    score, tp, fp = passed(labels, scores, counts)
    if not _both_classes(tp, fp):
        return None
    return Curve(tp / tp[-1], tp / (tp + fp), score)


def _both_classes(tp: NDArray[np.int64], fp: NDArray[np.int64]) -> bool:
    return bool(tp.size and tp[-1] > 0 and fp[-1] > 0)
