"""Maps of where a score comes from, written as loops over NumPy numbers, and slopes by finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def slow_rollout(blocks: Sequence[Floats]) -> Floats:
    """Blocks of attention (heads, N, N) of one film, first first -> (N, N): the product of (mean + identity) / 2."""
    size = blocks[0].shape[-1]
    joint = np.eye(size)
    for heads in blocks:
        mixed = np.zeros((size, size))
        for row in range(size):
            for column in range(size):
                mixed[row, column] = 0.5 * np.mean([head[row, column] for head in heads]) + 0.5 * (row == column)
            mixed[row] /= mixed[row].sum()
        joint = mixed @ joint
    return joint


def slow_relevance(blocks: Sequence[Floats], slopes: Sequence[Floats]) -> Floats:
    """Attention (heads, N, N) of one film and the score's slope by it -> (N, N)."""
    size = blocks[0].shape[-1]
    joint = np.eye(size)
    for heads, gradients in zip(blocks, slopes, strict=True):
        useful = np.zeros((size, size))
        for head, gradient in zip(heads, gradients, strict=True):
            useful += np.maximum(head * gradient, 0) / len(heads)
        joint = joint + useful @ joint
    return joint


def slow_grad_cam(places: Floats, slopes: Floats) -> Floats:
    """Features (P, D) of one film and the score's slope by them -> (P,)."""
    found = np.zeros(len(places))
    for place in range(len(places)):
        for channel in range(places.shape[1]):
            found[place] += slopes[:, channel].mean() * places[place, channel]
    return np.maximum(found, 0)


def slopes_of(score: Callable[[Floats], float], at: Floats, step: float = 1e-5) -> Floats:
    """Central differences of a score by each number it is computed from."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        ends = []
        for sign in (1, -1):
            moved = at.copy()
            moved[place] += sign * step
            ends.append(score(moved))
        found[place] = (ends[0] - ends[1]) / (2 * step)
    return found
