"""Slow, independent formulas for the statistics: pair by pair, film by film, coin by coin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product

import numpy as np


def wins(positive: float, negative: float) -> float:
    return 1.0 if positive > negative else 0.5 if positive == negative else 0.0


def delong_covariance(
    labels: Sequence[float], models: Sequence[Sequence[float]], patients: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """AUROCs (M,) and their covariance (M, M) by Obuchowski's sums over patients; DeLong's without `patients`."""
    ids = list(range(len(labels))) if patients is None else list(patients)
    positives = [i for i, label in enumerate(labels) if label == 1]
    negatives = [i for i, label in enumerate(labels) if label == 0]
    m, n = len(positives), len(negatives)
    aurocs, above, below = [], [], []
    for scores in models:
        v10 = {i: sum(wins(scores[i], scores[j]) for j in negatives) / n for i in positives}
        v01 = {j: sum(wins(scores[i], scores[j]) for i in positives) / m for j in negatives}
        theta = sum(v10.values()) / m
        aurocs.append(theta)
        people = sorted({ids[i] for i in positives + negatives})
        above.append([sum(v - theta for i, v in v10.items() if ids[i] == person) for person in people])
        below.append([sum(v - theta for j, v in v01.items() if ids[j] == person) for person in people])
    i10, i01 = len({ids[i] for i in positives}), len({ids[j] for j in negatives})
    everyone = len({ids[i] for i in positives + negatives})
    found = np.zeros((len(models), len(models)))
    for a, b in product(range(len(models)), repeat=2):
        s10 = i10 / ((i10 - 1) * m) * sum(x * y for x, y in zip(above[a], above[b], strict=True))
        s01 = i01 / ((i01 - 1) * n) * sum(x * y for x, y in zip(below[a], below[b], strict=True))
        s11 = everyone / (everyone - 1) * sum(x * y for x, y in zip(above[a], below[b], strict=True))
        s11 += everyone / (everyone - 1) * sum(x * y for x, y in zip(above[b], below[a], strict=True))
        found[a, b] = s10 / m + s01 / n + s11 / (m * n)
    return np.array(aurocs), found


def swapped_gaps(
    metric: Callable[[np.ndarray, np.ndarray], float],
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    swaps: np.ndarray,
) -> np.ndarray:
    """metric(first) - metric(second) with the answers of the images marked in each column of `swaps` exchanged."""
    return np.array(
        [
            metric(labels, np.where(coin, second, first)) - metric(labels, np.where(coin, first, second))
            for coin in swaps.astype(bool).T
        ]
    )


def equal_bins_error(labels: Sequence[float], scores: Sequence[float], bins: int) -> float:
    """ECE with equally filled bins: bin b reaches to film floor(b (n - 1) / bins), rising, and its equals."""
    films = sorted(zip(scores, labels, strict=True))
    n, at, total = len(films), 0, Fraction(0)
    for b in range(1, bins + 1):
        edge = films[b * (n - 1) // bins][0] if b < bins else math.inf
        inside = []
        while at < n and films[at][0] <= edge:
            inside.append(films[at])
            at += 1
        total += abs(sum((Fraction(label) - Fraction(score) for score, label in inside), Fraction(0)))
    return float(total / n)


def net_benefit(labels: Sequence[float], scores: Sequence[float], threshold: float) -> float:
    """Hits per film less false alarms per film at the price of the threshold's odds."""
    films = [(label, score) for label, score in zip(labels, scores, strict=True) if not math.isnan(label)]
    hits = sum(1 for label, score in films if label == 1 and score >= threshold)
    alarms = sum(1 for label, score in films if label == 0 and score >= threshold)
    return hits / len(films) - alarms / len(films) * threshold / (1 - threshold)
