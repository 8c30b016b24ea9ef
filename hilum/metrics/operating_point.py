"""Metrics at one threshold, and the threshold that validation chooses: best F1, or a fixed sensitivity or specificity.

One rule everywhere: a film is called positive when `score >= threshold`. Each metric is undefined (None) only
where its own denominator is zero.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.judged import judged
from hilum.metrics.ranking import Passed, passed

ROUNDING: Final = 1e-12  # 0.9 x 10 positives is 9, whatever the last digit of 0.9 says


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
    return _between(score, int(np.argmax(values)))


def threshold_at_sensitivity(
    labels: ArrayLike, scores: ArrayLike, target: float, counts: ArrayLike | None = None
) -> float | None:
    """The highest threshold with at least this sensitivity on these images, so with the best specificity.

    Meant for the validation split. It lies half-way to the next lower score, like `best_f1_threshold`.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present.
        target: sensitivity to reach, in (0, 1].
        counts: (N,) how often each image is taken.

    Returns:
        The threshold, or None without a positive or without a negative.

    Raises:
        ValueError: the target lies outside (0, 1].
    """
    found = _passed_for(labels, scores, target, counts)
    if found is None:
        return None
    return _between(found.score, int(np.argmax(found.tp >= target * found.tp[-1] * (1 - ROUNDING))))


def threshold_at_specificity(
    labels: ArrayLike, scores: ArrayLike, target: float, counts: ArrayLike | None = None
) -> float | None:
    """The lowest threshold with at least this specificity on these images, so with the best sensitivity.

    Meant for the validation split. It lies half-way to the next lower score; where even the highest score lets too
    many negatives through, it lies just above that score, and no film is called positive.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) larger means more likely present.
        target: specificity to reach, in (0, 1].
        counts: (N,) how often each image is taken.

    Returns:
        The threshold, or None without a positive or without a negative.

    Raises:
        ValueError: the target lies outside (0, 1].
    """
    found = _passed_for(labels, scores, target, counts)
    if found is None:
        return None
    negatives = found.fp[-1]
    allowed = np.flatnonzero(negatives - found.fp >= target * negatives * (1 - ROUNDING))
    return _between(found.score, int(allowed[-1])) if allowed.size else float(np.nextafter(found.score[0], np.inf))


def _passed_for(labels: ArrayLike, scores: ArrayLike, target: float, counts: ArrayLike | None) -> Passed | None:
    """What each threshold lets through; None without a positive or without a negative."""
    if not 0 < target <= 1:
        raise ValueError(f"a sensitivity or specificity to reach must lie in (0, 1], got {target}")
    found = passed(labels, scores, counts)
    return found if found.tp.size and found.tp[-1] > 0 and found.fp[-1] > 0 else None


def _between(score: NDArray[np.float64], last: int) -> float:
    """A threshold that calls the groups up to `last` positive: half-way between its score and the next lower one."""
    chosen = float(score[last])
    if last + 1 == score.size:
        return chosen
    below = float(score[last + 1])
    middle = below + (chosen - below) / 2
    return middle if below < middle <= chosen else chosen


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
