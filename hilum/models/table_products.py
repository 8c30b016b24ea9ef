"""Position tables resized as two matrix products: for graphs whose sizes are known only when they run (ONNX).

`positions.resize_table` asks whether two grids agree and calls an interpolation of PyTorch; an exported graph can do
neither for sizes that vary. Here each side's bicubic interpolation is a matrix (new rows, old rows) made of
tensor arithmetic alone, and a grid that stays as it is gets the identity, so nothing has to be asked. Values equal
PyTorch's to 1e-5.

Bicubic is the convolution kernel of Keys 1981 with a = -0.75, or -0.5 and widened to the step where it antialiases,
as PyTorch has them.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

SHARP: Final = -0.75  # a of the kernel as PyTorch interpolates
SOFT: Final = -0.5  # and where it antialiases


def resize_by_products(
    table: Tensor, source: tuple[int, int], target: tuple[int, int], *, prefix: int, rule: str, offset: float
) -> Tensor:
    """What `positions.resize_table` gives, without a branch on the sizes.

    Args:
        table: (1, prefix + source rows * columns, width).
        source: (rows, columns) of the table.
        target: (rows, columns) wanted; may be symbolic.
        prefix: leading rows that belong to no patch; kept as they are.
        rule: a key of `positions.RESIZE_RULES`.
        offset: added to the target by "bicubic_offset", unless both sides stay as they are.

    Returns:
        (1, prefix + target rows * columns, width), dtype of `table`.
    """
    device = table.device
    counts = [torch.ones(side, device=device).sum() for side in target]  # a size as a tensor
    same = torch.stack([count == side for count, side in zip(counts, source, strict=True)]).all()
    matrices = []
    for count, new, old in zip(counts, target, source, strict=True):
        added = torch.where(same, 0.0, offset) if rule == "bicubic_offset" else 0.0
        step = old / (count + added)
        place = torch.arange(new, device=device, dtype=torch.float32) + 0.5
        matrices.append(_soft(place * step, step, old) if rule == "bicubic_antialias" else _sharp(place * step, old))
    grid = table[0, prefix:].reshape(*source, -1).float()
    grid = torch.einsum("nr,rcd->ncd", matrices[0], grid)
    grid = torch.einsum("mc,ncd->nmd", matrices[1], grid)
    patches = grid.reshape(1, target[0] * target[1], -1)
    return torch.cat([table[:, :prefix], patches.to(table.dtype)], dim=1)


def _sharp(place: Tensor, old: int) -> Tensor:
    """Weights (new, old) of four neighbours, those beyond the rim folded into it; place (new,) in old pixels."""
    centre = place - 0.5
    number = torch.arange(old, device=place.device, dtype=torch.float32)
    first = centre.floor()
    weights = torch.zeros_like(centre)[:, None] * number
    for step in (-1, 0, 1, 2):
        neighbour = first + step
        there = neighbour.clamp(0, old - 1)[:, None] == number
        weights = weights + _keys(centre - neighbour, SHARP)[:, None] * there.float()
    return weights


def _soft(place: Tensor, step: Tensor, old: int) -> Tensor:
    """Weights (new, old) of a kernel as wide as the step, those of each row summing to 1."""
    centres = torch.arange(old, device=place.device, dtype=torch.float32) + 0.5
    weights = _keys((centres - place[:, None]) / step.clamp(min=1.0), SOFT)
    return weights / weights.sum(dim=1, keepdim=True)


def _keys(distance: Tensor, a: float) -> Tensor:
    """The cubic convolution kernel (Keys 1981, eq. 15 for a = -0.5): zero from a distance of 2 on."""
    d = distance.abs()
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0.0))
