"""The fixed sine-cosine table, number by number."""

from __future__ import annotations

import math


def sincos(width: int, rows: int, columns: int) -> list[list[float]]:
    """Row-major table: first half encodes the column, second half the row, each half sines then cosines."""
    table = []
    for row in range(rows):
        for column in range(columns):
            values = []
            for place in (column, row):
                angles = [place / 10000 ** (index / (width / 4)) for index in range(width // 4)]
                values += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            table.append(values)
    return table
