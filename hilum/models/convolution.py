"""What all convolutional encoders share: the Vision Transformer's face, so that no head asks which of the two it holds.

A convolutional encoder halves its map from stage to stage, of which there are four (three in MedKLIP). The cells of its
last map count as patch tokens, and the vector its authors read from that map (mean, mean and norm, attention) stands
where a class token does. One map is local: that which its reports were aligned with, stage 3 in GLoRIA and MGCA, the
last one in BioViL and CLIP.

In evaluation mode batch normalisation uses the statistics of pretraining; frozen heads always read it so. In training
mode (fine-tuning, segmentation, detection) it uses those of the batch and moves the stored ones along.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class ConvolutionalConfig(ABC):
    """What the sizes of any convolutional encoder tell; the families' own dataclasses hold the numbers."""

    image_size: int  # pixels a side of the film given
    channels: int  # input channels
    blocks: tuple[int, ...]  # a stage
    local_stage: int  # whose map is local, counted from 1: the last one, or the one before

    @property
    @abstractmethod
    def stage_widths(self) -> tuple[int, ...]:
        """Features of the maps after the stages."""

    @abstractmethod
    def stage_sides(self, size: int) -> tuple[int, ...]:
        """Cells a side of the maps after the stages, of a film of `size` pixels a side."""

    @property
    def local_is_last(self) -> bool:
        """Whether the local map is the last one, whose cells stand beside the film's vector."""
        return self.local_stage == len(self.blocks)

    @property
    def width(self) -> int:
        """Features of the film's vector and of each cell beside it."""
        return self.stage_widths[-1]

    @property
    def local_width(self) -> int:
        """Features of a cell of the local map."""
        return self.width if self.local_is_last else self.stage_widths[self.local_stage - 1]

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return sum(self.blocks)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the local map at `image_size`."""
        return self.grid_at(self.image_size)

    def grid_at(self, size: int) -> tuple[int, int]:
        """(rows, columns) of the local map of a film of `size` pixels a side."""
        side = self.stage_sides(size)[self.local_stage - 1]
        return side, side

    def cells_at(self, size: int) -> tuple[int, int]:
        """(rows, columns) of the last map, whose cells stand for patches, of a film of `size` pixels a side."""
        side = self.stage_sides(size)[-1]
        return side, side

    @property
    def patches(self) -> int:
        """Cells of the local map."""
        return self.grid[0] * self.grid[1]

    @property
    def class_token(self) -> bool:
        """The film's vector stands where a class token does."""
        return True


class Convolutional(nn.Module, ABC):
    """Films to features; a family says what its stages are and how the last map becomes a vector."""

    config: ConvolutionalConfig
    num_prefix_tokens = 1  # tokens before the cells in `forward_features`: the film's vector
    reader: str | None = None  # the module that makes the vector of the last map, where it has weights
    asking: tuple[str, ...] = ()  # those of its parts that the cells do without

    def __init__(self) -> None:
        super().__init__()
        self.last_map = nn.Identity()  # the last stage's map passes here, where Grad-CAM listens

    @abstractmethod
    def forward_stages(self, images: Tensor) -> list[Tensor]:
        """Maps after the stages, early ones first: (B, C, H, W) normalised -> stages x (B, stage width, ., .)."""

    def read_map(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """The film's vector and the cells beside it: (B, D, ., .) of the last stage -> (B, width), (B, width, ., .)."""
        return last.mean((2, 3)), last

    def freeze_reader(self, *, cells: bool = False) -> None:
        """Let what makes the vector stay as it is: what is read without it sends no gradient there.

        Args:
            cells: the cells are read; of plain maps otherwise nothing of the reader is.
        """
        for name in self.asking if cells else (self.reader,):
            if name is not None:
                self.get_submodule(name).requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """The same as `forward_features`."""
        return self.forward_features(images)

    def forward_features(self, images: Tensor) -> Tensor:
        """The film's vector, then the cells row by row: (B, C, H, W) normalised -> (B, 1 + cells, width)."""
        vector, cells = self.read_map(self.last_map(self.forward_stages(images)[-1]))
        return torch.cat([vector[:, None], cells.flatten(2).transpose(1, 2)], dim=1)

    def forward_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The local map and the cells: (B, C, H, W) normalised -> (B, local_width, *grid), (B, width, *cells)."""
        stages = self.forward_stages(images)
        cells = self.read_map(self.last_map(stages[-1]))[1]
        return (cells if self.config.local_is_last else stages[self.config.local_stage - 1]), cells

    def pooled_mean(self, tokens: Tensor) -> Tensor:
        """The mean of the cells among the tokens of `forward_features`: (B, 1 + cells, width) -> (B, width)."""
        return tokens[:, self.num_prefix_tokens :].mean(dim=1)


def halved(side: int, times: int, *, up: bool) -> int:
    """Cells a side after halving `times` times; an odd side is rounded up (padded strides) or down (pooling of 2)."""
    step = 1 << times
    return -(-side // step) if up else side // step
