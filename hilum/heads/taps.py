"""What a head with attention reads: class and patch tokens of an encoder's last blocks, side by side on the channels.

CheXFound's heads read the last four blocks (arXiv 2502.05142, IV-A), each through the backbone's final norm. A
convolutional encoder takes part: the cells of its last map count as patch tokens, the vector read from it as class
token.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

from hilum.errors import ConfigError
from hilum.models.backbone import Architecture, Backbone, Convolutional, ConvolutionalConfig

Part = Literal["cls", "patch"]
Reads = Literal["pooled", "taps"]  # a head's `reads`: one vector (B, D) a film, or `Taps`
PARTS: Final[tuple[Part, ...]] = ("cls", "patch")


@dataclass(frozen=True)
class Taps:
    """Tokens of the last n blocks, the oldest block's channels first; a part nobody asked for is None."""

    cls: Tensor | None  # (B, n * D)
    patches: Tensor | None  # (B, P, n * D), row by row

    def __len__(self) -> int:
        return len(self.any)

    def __getitem__(self, rows: Tensor | slice) -> Taps:
        """Some films."""
        return Taps(*(None if part is None else part[rows] for part in (self.cls, self.patches)))

    @property
    def any(self) -> Tensor:
        """Whichever part is there: it tells length, channels, type and device."""
        part = self.cls if self.cls is not None else self.patches
        assert part is not None, "taps without any part"
        return part

    @property
    def device(self) -> torch.device:
        """Where they lie."""
        return self.any.device

    def to(self, like: torch.device | torch.dtype | Tensor) -> Taps:
        """The same on another device or in another type."""
        return Taps(*(None if part is None else part.to(like) for part in (self.cls, self.patches)))


def taps_of(backbone: Backbone, images: Tensor, blocks: int, parts: Collection[Part] = PARTS) -> Taps:
    """Run films through a backbone and keep what a head asked for.

    Args:
        backbone: a Vision Transformer or a convolutional encoder.
        images: (B, C, H, W) normalised.
        blocks: how many of the last blocks; a convolutional encoder has one map, so 1.
        parts: class tokens, patch tokens, or both. Without a class token the mean of the patch tokens takes its place.

    Raises:
        ConfigError: more blocks than the backbone gives.
    """
    check_blocks(backbone.config, blocks)
    layers = [backbone(images)] if isinstance(backbone, Convolutional) else _last_blocks(backbone, images, blocks)
    prefix = backbone.num_prefix_tokens
    cls = patches = None
    if "cls" in parts:
        first = backbone.config.class_token
        cls = torch.cat([x[:, 0] if first else x[:, prefix:].mean(dim=1) for x in layers], dim=-1)
    if "patch" in parts:
        patches = torch.cat([x[:, prefix:] for x in layers], dim=-1)
    return Taps(cls, patches)


def blocks_at_most(architecture: Architecture, wanted: int) -> int:
    """How many of the `wanted` blocks an encoder gives: all it has if fewer, one map of a convolution."""
    return 1 if isinstance(architecture, ConvolutionalConfig) else min(wanted, architecture.depth)


def check_blocks(architecture: Architecture, blocks: int) -> None:
    """Refuse a number of blocks that an encoder does not give.

    Raises:
        ConfigError: says how many there are.
    """
    most = blocks_at_most(architecture, max(blocks, architecture.depth))
    if not 1 <= blocks <= most:
        raise ConfigError(f"asked for the last {blocks} blocks of an encoder that gives {most}", where="blocks")


def _last_blocks(backbone: Backbone, images: Tensor, blocks: int) -> list[Tensor]:
    assert not isinstance(backbone, Convolutional)
    return backbone.forward_intermediates(images, blocks, norm=True)
