"""Rotary positions: queries and keys of patches are turned by angles of their row and column (arXiv 2104.09864).

The product of a turned query with a turned key then depends on how far apart the patches are. A head's D / heads
channels are pairs; half of the pairs turns with the row, half with the column. Class token and registers have no
place, so they are turned by nothing. Two published kinds, which differ in everything:

| | "eva" (EVA-02, arXiv 2303.11331; EVA-X) | "dinov3" (arXiv 2508.10104) |
|---|---|---|
| coordinate | number of the row, times reference grid / grid | centre of the row in [-1, 1], times 2 pi |
| frequency of pair i of n | base^(-i / n), base 10,000 | base^(-i / n), base 100 |
| a pair is channels | 2 i and 2 i + 1 | i and i + (D / heads) / 2 |

n is a quarter of a head's channels: rows take the first n pairs, columns the last n.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Final, Literal, get_args

import torch
from torch import Tensor

RotaryKind = Literal["eva", "dinov3"]
ROTARY_KINDS: Final[tuple[str, ...]] = get_args(RotaryKind)
ROTARY_BASES: Final[dict[str, float]] = {"eva": 10000.0, "dinov3": 100.0}


@dataclass(frozen=True)
class Rotation:
    """How queries and keys of a sequence are turned: cosine and sine per token and channel of a head."""

    cosine: Tensor  # (B or 1, 1, N, D / heads) float32
    sine: Tensor  # the same
    adjacent: bool  # a pair is two neighbouring channels; else channel i goes with i + half

    def turn(self, x: Tensor, tokens: slice = slice(None)) -> Tensor:
        """Turn queries or keys (B, heads, N, D / heads), or those of some tokens of the sequence; dtype of `x`."""
        if self.adjacent:
            across = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
        else:
            first, second = x.chunk(2, dim=-1)
            across = torch.cat([-second, first], dim=-1)
        return (x * self.cosine[:, :, tokens] + across * self.sine[:, :, tokens]).to(x.dtype)

    def of_samples(self, rows: Tensor) -> Rotation:
        """The rotation of some samples of a batch; itself where all samples have the same."""
        if len(self.cosine) == 1:
            return self
        return Rotation(self.cosine[rows], self.sine[rows], self.adjacent)


def rotation(
    kind: RotaryKind,
    head_width: int,
    grid: tuple[int, int],
    *,
    prefix: int,
    keep: Tensor | None = None,
    base: float | None = None,
    reference: int | None = None,
    device: torch.device | str | None = None,
) -> Rotation:
    """The rotation of a sequence of prefix tokens and patches.

    Args:
        kind: see the table of this file.
        head_width: channels of a head, a multiple of 4.
        grid: (rows, columns) of patches.
        prefix: tokens before the patches, which are not turned.
        keep: (B, V) int64 numbers of the patches there are; all of the grid where omitted.
        base: of the frequencies; the kind's own where omitted.
        reference: "eva": patches a side of the grid whose coordinates others are brought to; None leaves them alone.
        device: where to compute it.
    """
    angles = _angles(kind, head_width, grid, base or ROTARY_BASES[kind], reference, device)[None]
    if keep is not None:
        angles = angles[0][keep]
    adjacent = kind == "eva"
    angles = angles.repeat_interleave(2, dim=-1) if adjacent else angles.repeat(1, 1, 2)
    unturned = angles.new_zeros(len(angles), prefix, head_width)
    angles = torch.cat([unturned, angles], dim=1)[:, None]
    return Rotation(angles.cos(), angles.sin(), adjacent)


def _angles(
    kind: RotaryKind,
    head_width: int,
    grid: tuple[int, int],
    base: float,
    reference: int | None,
    device: torch.device | str | None,
) -> Tensor:
    """Angles (rows * columns, head_width / 2) float32: those of the row, then those of the column."""
    pairs = head_width // 4
    frequency = base ** -(torch.arange(pairs, device=device, dtype=torch.float32) / pairs)
    lines = []
    for side in grid:
        number = torch.arange(side, device=device, dtype=torch.float32)
        if kind == "eva":
            lines.append(number if reference is None else number / side * reference)
        else:
            lines.append(2 * pi * (2 * (number + 0.5) / side - 1))
    row, column = torch.meshgrid(*lines, indexing="ij")
    return torch.cat([place.reshape(-1, 1) * frequency for place in (row, column)], dim=1)
