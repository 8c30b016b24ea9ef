"""MedIM's decoder: a feature map up to a film, by four blocks of convolution, norm, ReLU and doubling.

Two heads draw what word-driven and sentence-driven masks hid; both halves pass the blocks as one batch, so they share
its statistics. Keys of the state dict are those of the official files (decoder_1.0, decoder_1.1, ..., final_out_word,
final_out_sent).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models.batch_norm import BatchNorm

HEADS = ("word", "sent")


class RestorationDecoder(nn.Module):
    """Feature maps to films, 2 ** blocks times larger.

    Args:
        width: D, features of the map.
        channels: features after each block.
        outputs: channels of a film.
        heads: which of `HEADS` there are; each gets one map.
        sync: batch statistics over all devices.
    """

    def __init__(
        self,
        width: int,
        channels: Sequence[int],
        outputs: int,
        *,
        heads: Sequence[str] = HEADS,
        sync: bool = True,
    ) -> None:
        super().__init__()
        self.heads = tuple(heads)
        before = width
        for number, after in enumerate(channels, start=1):
            block = nn.Sequential(nn.Conv2d(before, after, 3, padding=1), BatchNorm(after, sync=sync), nn.ReLU())
            self.add_module(f"decoder_{number}", block)
            before = after
        self.blocks = len(channels)
        for head in self.heads:
            self.add_module(f"final_out_{head}", nn.Conv2d(before, outputs, 3, padding=1))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One map (B, D, rows, columns) a head -> one drawing (B, C, H, W) a head, unbounded."""
        assert len(maps) == len(self.heads)
        x = torch.cat(list(maps))
        for number in range(1, self.blocks + 1):
            x = F.interpolate(self.get_submodule(f"decoder_{number}")(x), scale_factor=2.0, mode="nearest")
        parts = zip(self.heads, x.chunk(len(maps)), strict=True)
        return [self.get_submodule(f"final_out_{head}")(part) for head, part in parts]
