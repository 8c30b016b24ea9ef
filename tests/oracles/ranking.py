"""Slow, independent formulas for ranking metrics, thresholds and calibration: loops over pairs, thresholds
and bins.

Each metric is recomputed from its definition on the images written out as often as they count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def written_out(
    labels: Sequence[float], scores: Sequence[float], counts: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Each labelled image repeated as often as it counts."""
    pairs = [
        (label, score)
        for label, score, count in zip(labels, scores, counts, strict=True)
        for _ in range(int(count))
        if not math.isnan(label)
    ]
    return [label for label, _ in pairs], [score for _, score in pairs]


def auroc(labels: Sequence[float], scores: Sequence[float]) -> float | None:
    """Share of (positive, negative) pairs in the right order, ties one half."""
    positives = [score for label, score in zip(labels, scores, strict=True) if label == 1]
    negatives = [score for label, score in zip(labels, scores, strict=True) if label == 0]
    if not positives or not negatives:
        return None
    twice = sum(2 * (p > n) + (p == n) for p in positives for n in negatives)
    return float(Fraction(twice, 2 * len(positives) * len(negatives)))


def average_precision(labels: Sequence[float], scores: Sequence[float]) -> float | None:
    """Sum over thresholds of precision times the gain in recall."""
    positives = sum(labels)
    if not positives or positives == len(labels):
        return None
    total, recalled = Fraction(0), 0
    for threshold in sorted(set(scores), reverse=True):
        called = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
        hits = int(sum(called))
        total += Fraction(hits, len(called)) * Fraction(hits - recalled, int(positives))
        recalled = hits
    return float(total)


def f1(labels: Sequence[float], scores: Sequence[float], threshold: float) -> float | None:
    """Harmonic mean of precision and recall, from the two."""
    called = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
    hits, positives = sum(called), sum(labels)
    if not called and not positives:
        return None
    if not hits:
        return 0.0
    precision, recall = hits / len(called), hits / positives
    return 2 * precision * recall / (precision + recall)


def calibration_error(labels: Sequence[float], scores: Sequence[float], bins: int) -> float:
    """Equal-width bins (low, high], the first one closed."""
    total = 0.0
    for b in range(bins):
        inside = [
            (label, score)
            for label, score in zip(labels, scores, strict=True)
            if (b / bins < score <= (b + 1) / bins) or (b == 0 and score == 0)
        ]
        if inside:
            total += abs(sum(label for label, _ in inside) - sum(score for _, score in inside))
    return total / len(labels)
