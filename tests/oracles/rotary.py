"""Rotary positions by their definition: one pair of channels of one token after another, with complex numbers."""

from __future__ import annotations

import cmath

import numpy as np


def turned(
    vector: np.ndarray, row: int, column: int, grid: tuple[int, int], *, kind: str, base: float, reference: int | None
) -> np.ndarray:
    """One head's query or key (d,) of the patch at (row, column), turned."""
    width = len(vector)
    pairs = width // 2
    out = np.zeros(width)
    for pair in range(pairs):
        place, side = (row, grid[0]) if pair < pairs // 2 else (column, grid[1])
        if kind == "eva":
            coordinate = place if reference is None else place * reference / side
            first, second = 2 * pair, 2 * pair + 1
        else:
            coordinate = 2 * np.pi * ((place + 0.5) / side * 2 - 1)
            first, second = pair, pair + pairs
        frequency = base ** -((pair % (pairs // 2)) / (pairs // 2))
        point = complex(vector[first], vector[second]) * cmath.exp(1j * coordinate * frequency)
        out[first], out[second] = point.real, point.imag
    return out
