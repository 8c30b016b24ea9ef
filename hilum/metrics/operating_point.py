"""Metrics at one threshold, and the threshold that validation chooses.

One rule everywhere: a film is called positive when `score >= threshold`. Each metric is undefined (None) only
where its own denominator is zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hilum.metrics.judged import judged
from hilum.metrics.ranking import passed


class Confusion(NamedTuple):
    """How many judged films fall in each cell."""

    tp: int
    fp: int
    fn: int
    tn: int


def confusion(
    labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None, *, threshold: float = 0.5
) -> Confusion:
    """Count true and false positives and negatives at `threshold`.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present.
        counts: (N,) how often each image is taken.
        threshold: films with a score of at least this are called positive.
    """
    positive, score, weight = judged(labels, scores, counts)
    called = score >= threshold
    return Confusion(
        tp=int(weight[positive & called].sum()),
        fp=int(weight[~positive & called].sum()),
        fn=int(weight[positive & ~called].sum()),
        tn=int(weight[~positive & ~called].sum()),
    )


def sensitivity(
    labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None, *, threshold: float = 0.5
) -> float | None:
    """Share of the positives that are called positive, TP / (TP + FN); None without positives."""
    cells = confusion(labels, scores, counts, threshold=threshold)
    return _share(cells.tp, cells.tp + cells.fn)


def specificity(
    labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None, *, threshold: float = 0.5
) -> float | None:
    """Share of the negatives that are called negative, TN / (TN + FP); None without negatives."""
    cells = confusion(labels, scores, counts, threshold=threshold)
    return _share(cells.tn, cells.tn + cells.fp)


def f1(
    labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None, *, threshold: float = 0.5
) -> float | None:
    """2 TP / (2 TP + FP + FN), harmonic mean of precision and sensitivity; None when that is 0 / 0."""
    cells = confusion(labels, scores, counts, threshold=threshold)
    return _share(2 * cells.tp, 2 * cells.tp + cells.fp + cells.fn)


def accuracy(
    labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None, *, threshold: float = 0.5
) -> float | None:
    """Share of the films called rightly, (TP + TN) / N; None without labels."""
    cells = confusion(labels, scores, counts, threshold=threshold)
    return _share(cells.tp + cells.tn, sum(cells))


def best_f1_threshold(labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None) -> float | None:
    """The threshold of the largest F1 on these images; meant for the validation split.

    Of several equally good ones the highest is taken. It lies half-way between the lowest score called
    positive and the highest called negative, so that rounding a score in its last digit does not move a film
    across.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present.
        counts: (N,) how often each image is taken.

    Returns:
        The threshold, or None without a positive or without a negative.
    """
    score, tp, fp = passed(labels, scores, counts)
    if not (tp.size and tp[-1] > 0 and fp[-1] > 0):
        return None
    # 2 TP / (2 TP + FP + FN), and TP + FN = all positives
    values = 2 * tp / (tp + fp + tp[-1])
    best = int(np.argmax(values))
    chosen = float(score[best])
    if best + 1 == score.size:
        return chosen
    below = float(score[best + 1])
    middle = below + (chosen - below) / 2
    return middle if below < middle <= chosen else chosen


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
