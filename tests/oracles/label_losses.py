"""Slow, independent formulas for the losses of labels: one cell at a time, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def asymmetric_cell(z: float, y: float, positive: float, negative: float, margin: float) -> float:
    """Ridnik et al. 2021, equations 4 to 7, for one logit and one target."""
    p = sigmoid(z)
    shifted = max(p - margin, 0.0)
    return y * -((1 - p) ** positive) * math.log(p) + (1 - y) * -(shifted**negative) * math.log(1 - shifted)


def effective_number(count: int, beta: float) -> float:
    """Cui et al. 2019, equation 2, as the sum it comes from: 1 + b + ... + b^(n - 1)."""
    return sum(beta**power for power in range(count))


def balanced_weights(counts: Sequence[int], beta: float) -> list[float]:
    """1 / E(n), in sum the number of classes with films."""
    raw = [1 / effective_number(count, beta) if count else 0.0 for count in counts]
    return [weight * sum(count > 0 for count in counts) / sum(raw) for weight in raw]


def mean_over_known(cells: Sequence[Sequence[float]], targets: Sequence[Sequence[float]]) -> float:
    """Mean of the cells whose target is known."""
    kept = [
        cell
        for row, known in zip(cells, targets, strict=True)
        for cell, y in zip(row, known, strict=True)
        if not math.isnan(y)
    ]
    return sum(kept) / len(kept)
