"""Position tables: the fixed sine-cosine one, and the rules by which a table is resized to another grid.

A table is `(1, prefix + rows * columns, width)`, row-major over the grid; prefix rows (the class token) are
never resized. Published encoders resize in three ways that differ by up to 0.26 on unit noise, so the rule
is a name that travels with the weights:

| rule | who | bicubic, `align_corners=False`, and |
|---|---|---|
| bicubic | MAE, MRM, MaCo | exact output size, no antialias |
| bicubic_antialias | timm | exact output size, antialias (matters when the grid shrinks) |
| bicubic_offset | DINOv2, CheXFound | scale factor (target + 0.1) / source, no antialias |
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.models.table_products import resize_by_products

ResizeRule = Literal["bicubic", "bicubic_antialias", "bicubic_offset"]
RESIZE_RULES: Final[tuple[str, ...]] = get_args(ResizeRule)
_OFFSET: Final = 0.1  # DINOv2 `interpolate_offset`


def sincos_table(width: int, grid: tuple[int, int], *, class_token: bool) -> Tensor:
    """The fixed 2-D sine-cosine table of MAE (appendix A.1; Vaswani 2017 in each direction).

    The first half of the channels encodes the column, the second half the row; each half is all sines, then
    all cosines, with frequencies 10000^(-i / (width / 4)). The row of the class token is zero.

    Args:
        width: channels, a multiple of 4.
        grid: (rows, columns).
        class_token: put the zero row in front.

    Returns:
        (1, [1 +] rows * columns, width) float64.
    """
    rows, columns = grid
    frequency = 10000.0 ** (-torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    halves = []
    for place in (column, row):
        angle = place.reshape(-1, 1) * frequency
        halves += [angle.sin(), angle.cos()]
    table = torch.cat(halves, dim=1)
    if class_token:
        table = torch.cat([torch.zeros(1, width, dtype=torch.float64), table])
    return table[None]


def sincos_line(width: int, length: int) -> Tensor:
    """The fixed sine-cosine table along one line (Vaswani 2017): all sines, then all cosines.

    Args:
        width: channels, even.
        length: positions.

    Returns:
        (length, width) float32.
    """
    frequency = 10000.0 ** (-torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angle = torch.arange(length).reshape(-1, 1) * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()


def resize_table(
    table: Tensor, source: tuple[int, int], target: tuple[int, int], *, prefix: int, rule: ResizeRule
) -> Tensor:
    """Resize a position table from one grid to another; the very same tensor when the grids agree.

    Args:
        table: (1, prefix + source rows * columns, width).
        source: (rows, columns) of the table.
        target: (rows, columns) wanted.
        prefix: leading rows that belong to no patch; kept as they are.
        rule: one of `RESIZE_RULES`.

    Returns:
        (1, prefix + target rows * columns, width), dtype of `table`; interpolated in float32.
    """
    if torch.compiler.is_exporting():  # sizes may vary from run to run of the graph: no question about them
        return resize_by_products(table, source, target, prefix=prefix, rule=rule, offset=_OFFSET)
    if source == target:
        return table
    grid = table[:, prefix:].reshape(1, *source, -1).permute(0, 3, 1, 2).float()
    if rule == "bicubic_offset":
        scale = ((target[0] + _OFFSET) / source[0], (target[1] + _OFFSET) / source[1])
        grid = F.interpolate(grid, scale_factor=scale, mode="bicubic", align_corners=False)
    else:
        antialias = rule == "bicubic_antialias"
        grid = F.interpolate(grid, size=target, mode="bicubic", align_corners=False, antialias=antialias)
    patches = grid.permute(0, 2, 3, 1).reshape(1, target[0] * target[1], -1)
    return torch.cat([table[:, :prefix], patches.to(table.dtype)], dim=1)
