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


def grid_of(images: Tensor, patch_size: int) -> tuple[int, int]:
    """(rows, columns) of patches in images (B, C, H, W).

    Raises:
        ConfigError: a side is no multiple of the patch.
    """
    height, width = images.shape[-2:]
    if height % patch_size or width % patch_size:
        raise ConfigError(
            f"images of {height} x {width} pixels do not divide into patches of {patch_size}",
            where="image_size",
            fix=f"Use sides that are multiples of {patch_size}",
        )
    return height // patch_size, width // patch_size


def patchify(images: Tensor, patch_size: int, chosen: Tensor | None = None) -> Tensor:
    """Cut images into rows of pixels, all patches or only the chosen ones.

    Args:
        images: (B, C, H, W), sides multiples of `patch_size`.
        patch_size: p, pixels a side.
        chosen: (B, V) int64 patch numbers, row-major over the grid; None means all L.

    Returns:
        (B, V or L, p * p * C), pixels channel-last within a patch.
    """
    rows, columns = grid_of(images, patch_size)
    batch, channels = images.shape[:2]
    cut = images.reshape(batch, channels, rows, patch_size, columns, patch_size).permute(0, 2, 4, 3, 5, 1)
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
    """Linear embedding of patches; keys `proj.weight`, `proj.bias` as in timm."""

    def __init__(self, patch_size: int, channels: int, width: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(channels, width, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Embed all patches, or only the chosen ones (B, V), of images (B, C, H, W): (B, V or L, width)."""
        weight = self.proj.weight.permute(0, 2, 3, 1).flatten(1)  # to the pixel order of `patchify`
        rows = patchify(images, self.patch_size, chosen).to(weight.dtype)  # FSDP2 casts weights, not what forward makes
        return linear(rows, weight, self.proj.bias)
