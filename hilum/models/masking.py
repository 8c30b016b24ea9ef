"""Which patches are visible: uniform noise, drawn with the sample, is sorted; the smallest stay visible.

The draw happens in the loader, keyed by sample, so the mask does not depend on devices, workers or batch
size.
"""

from __future__ import annotations

import torch
from torch import Tensor


def visible_count(patches: int, mask_ratio: float) -> int:
    """Number of visible patches out of `patches`: the integer part of patches * (1 - mask_ratio)."""
    return int(patches * (1 - mask_ratio))


def order_by_noise(noise: Tensor) -> Tensor:
    """Patch numbers by ascending noise, ties by patch number: (B, L) float -> (B, L) int64.

    The first `visible_count` of a row are visible, the others hidden; `order.argsort(1)` puts a sequence in
    this order back into the order of the grid.
    """
    return torch.argsort(noise, dim=1, stable=True)
