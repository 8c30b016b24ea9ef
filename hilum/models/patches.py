"""Films to rows of patch pixels, and rows of patch pixels to tokens.

Inside a row pixels are channel-last, (row in patch, column in patch, channel), as MAE's targets are. The
embedding keeps the convolution weight of timm (`proj.weight`, (width, channels, p, p)) so released weights
load unchanged, but is computed as one matrix product over gathered rows: hidden patches are never touched.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.onednn import linear


def grid_of(images: Tensor, patch_size: int, stride: int | None = None) -> tuple[int, int]:
    """(rows, columns) of patches in images (B, C, H, W).

    Args:
        images: of them the sides alone are looked at.
        patch_size: p, pixels a side.
        stride: pixels from one patch to the next; p where omitted.

    Raises:
        ConfigError: patches do not tile a side.
    """
    step = patch_size if stride is None else stride
    height, width = images.shape[-2:]
    if min(height, width) < patch_size or (height - patch_size) % step or (width - patch_size) % step:
        sides = f"a multiple of {patch_size}" if step == patch_size else f"{patch_size} + a multiple of {step}"
        raise ConfigError(
            f"images of {height} x {width} pixels do not divide into patches of {patch_size}",
            where="image_size",
            fix=f"Make each side {sides}",
        )
    return (height - patch_size) // step + 1, (width - patch_size) // step + 1


def patchify(images: Tensor, patch_size: int, chosen: Tensor | None = None, *, stride: int | None = None) -> Tensor:
    """Cut images into rows of pixels, all patches or only the chosen ones.

    Args:
        images: (B, C, H, W).
        patch_size: p, pixels a side.
        chosen: (B, V) int64 patch numbers, row-major over the grid; None means all L.
        stride: pixels from one patch to the next; p where omitted. Less lets patches overlap.

    Returns:
        (B, V or L, p * p * C), pixels channel-last within a patch.

    Raises:
        ConfigError: patches do not tile a side.
    """
    rows, columns = grid_of(images, patch_size, stride)
    batch, channels = images.shape[:2]
    if stride is None or stride == patch_size:
        cut = images.reshape(batch, channels, rows, patch_size, columns, patch_size).permute(0, 2, 4, 3, 5, 1)
    else:  # a view: no pixel is copied before the patches are chosen
        windows = images.unfold(2, patch_size, stride).unfold(3, patch_size, stride)
        cut = windows.permute(0, 2, 3, 4, 5, 1)
    if chosen is None:
        return cut.reshape(batch, rows * columns, -1)
    sample = torch.arange(batch, device=images.device)[:, None]
    return cut[sample, chosen // columns, chosen % columns].flatten(2)


def unpatchify(rows_of_pixels: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """The inverse of `patchify`: (B, L, p * p * C) to (B, C, H, W)."""
    rows, columns = grid
    batch = rows_of_pixels.shape[0]
    cut = rows_of_pixels.reshape(batch, rows, columns, patch_size, patch_size, -1)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, rows * patch_size, columns * patch_size)


class PatchEmbed(nn.Module):
    """Linear embedding of patches; keys `proj.weight`, [`proj.bias`] as in timm."""

    def __init__(
        self, patch_size: int, channels: int, width: int, *, stride: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        self.patch_size, self.stride = patch_size, stride
        self.proj = nn.Conv2d(channels, width, kernel_size=patch_size, stride=stride or patch_size, bias=bias)

    def forward(self, images: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Embed all patches, or only the chosen ones (B, V), of images (B, C, H, W): (B, V or L, width)."""
        weight = self.proj.weight.permute(0, 2, 3, 1).flatten(1)  # to the pixel order of `patchify`
        rows = patchify(images, self.patch_size, chosen, stride=self.stride)
        # FSDP2 casts weights, not what forward makes
        return linear(rows.to(weight.dtype), weight, self.proj.bias)
