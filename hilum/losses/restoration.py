"""The film back from its masked features: mean squared error of tanh, over the whole film or what was hidden.

Paper: MedIM, https://doi.org/10.1007/978-3-031-43907-0_2, eq. 6 (facts checked against YtongXie/MedIM at 825599e,
    nothing copied).
Departures: none; the mean over hidden pixels is an option of ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hilum.losses.gather import total, world


def restoration_error(drawn: Tensor, films: Tensor, hidden: Tensor | None = None) -> Tensor:
    """Mean squared error of tanh(drawn) against films, in float32 or better.

    Args:
        drawn: (B, C, H, W) output of the decoder, before tanh.
        films: (B, C, H, W) in [-1, 1].
        hidden: (B, rows, columns) bool; only pixels of these cells count then, alike over all devices. None: all.

    Returns:
        Scalar; its mean over devices is the mean over the global batch.
    """
    exact = torch.promote_types(films.dtype, torch.float32)
    error = (drawn.to(exact).tanh() - films.to(exact)).square()
    if hidden is None:
        return error.mean()
    height, width = (side // cells for side, cells in zip(films.shape[-2:], hidden.shape[-2:], strict=True))
    pixels = hidden.repeat_interleave(height, 1).repeat_interleave(width, 2)[:, None].to(exact)
    counted = total(pixels.sum() * films.shape[1]).clamp(min=1) / world()
    return (error * pixels).sum() / counted
