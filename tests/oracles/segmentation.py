"""Slow formulas of masks, pixel by pixel, written from the definitions and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixel = tuple[int, int]


def pixels_of(mask: NDArray[np.bool_]) -> set[Pixel]:
    return {(i, j) for i in range(mask.shape[0]) for j in range(mask.shape[1]) if mask[i, j]}


def dice_of_sets(drawn: set[Pixel], true: set[Pixel]) -> float:
    """Empty = 1 where nothing is drawn."""
    if not true:
        return 1.0 if not drawn else 0.0
    return 2 * len(drawn & true) / (len(drawn) + len(true))


def outline(mask: NDArray[np.bool_]) -> set[Pixel]:
    """Pixels of a mask with an edge neighbour outside it; beyond the film is outside."""
    inside = pixels_of(mask)
    return {(i, j) for i, j in inside if not {(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)} <= inside}


def directed_distance(of: set[Pixel], to: set[Pixel], spacing: tuple[float, float], percentile: float) -> float:
    def apart(a: Pixel, b: Pixel) -> float:
        return math.hypot((a[0] - b[0]) * spacing[0], (a[1] - b[1]) * spacing[1])

    return float(np.percentile([min(apart(a, b) for b in to) for a in sorted(of)], percentile))


def focal(logits: NDArray[np.float64], truth: NDArray[np.uint8], gamma: float, alpha: float | None) -> float:
    """(B, K, M, H, W) and (B, K, H, W) of 0, 1, 255: mean of -a (1 - p_t)^gamma log p_t over known pixels and maps."""
    total, count = 0.0, 0
    for place in np.ndindex(truth.shape):
        if truth[place] == 255:
            continue
        b, k, i, j = place
        maps = logits.shape[2]
        for m in range(maps):
            positive = int(truth[place]) if m == maps - 1 else 1 - int(truth[place])
            p = 1 / (1 + math.exp(-logits[b, k, m, i, j]))
            right = p if positive else 1 - p
            weight = 1.0 if alpha is None else alpha if positive else 1 - alpha
            total -= weight * (1 - right) ** gamma * math.log(right)
            count += 1
    return total / count if count else 0.0


def soft_dice_parts(
    logits: NDArray[np.float64], truth: NDArray[np.uint8], films: Sequence[int], finding: int, *, squared: bool
) -> float | None:
    """Dice of one finding over some films with smooth 1; None where no pixel is known."""
    both = whole = 0.0
    seen = 0
    for b in films:
        for i, j in np.ndindex(truth.shape[2:]):
            if truth[b, finding, i, j] == 255:
                continue
            seen += 1
            values = logits[b, finding, :, i, j]
            if len(values) == 1:
                p = 1 / (1 + math.exp(-values[0]))
            else:
                p = math.exp(values[1]) / (math.exp(values[0]) + math.exp(values[1]))
            t = float(truth[b, finding, i, j])
            both += p * t
            whole += p * p + t * t if squared else p + t
    return (2 * both + 1) / (whole + 1) if seen else None


def focal_dice(logits: NDArray[np.float64], truth: NDArray[np.uint8]) -> float:
    """MRM: 2 focal + mean over films and findings of (1 - Dice) / 2."""
    films, findings = truth.shape[:2]
    parts = [soft_dice_parts(logits, truth, [b], k, squared=True) for b in range(films) for k in range(findings)]
    known = [1 - part for part in parts if part is not None]
    return 2 * focal(logits, truth, 2, 0.5) + (sum(known) / len(known) / 2 if known else 0.0)


def focal_log_dice(logits: NDArray[np.float64], truth: NDArray[np.uint8]) -> float:
    """MedIM: 10 focal - mean over findings of log Dice of the batch."""
    films, findings = truth.shape[:2]
    parts = [soft_dice_parts(logits, truth, range(films), k, squared=False) for k in range(findings)]
    known = [-math.log(part) for part in parts if part is not None]
    return 10 * focal(logits, truth, 2, None) + (sum(known) / len(known) if known else 0.0)
