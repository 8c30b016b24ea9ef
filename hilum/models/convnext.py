"""ConvNeXt of both versions, with timm's names for the weights.

Papers: ConvNeXt, https://arxiv.org/abs/2201.03545; version 2, https://arxiv.org/abs/2301.00808, which has global
response normalisation in place of LayerScale. The film's vector is the mean over the last map behind the last norm,
as the authors classify; each cell passes the same norm, so that heads on cells read what heads on tokens do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.blocks import drop_path
from hilum.models.convolution import Convolutional, ConvolutionalConfig

PATCH = 4  # pixels a side of the first convolution's patches


@dataclass(frozen=True)
class ConvNextConfig(ConvolutionalConfig):
    """Architecture of one ConvNeXt; travels as JSON with the weights."""

    image_size: int = 224  # pixels a side of the film given
    channels: int = 3  # input channels
    widths: tuple[int, int, int, int] = (96, 192, 384, 768)  # features a stage
    blocks: tuple[int, int, int, int] = (3, 3, 9, 3)  # a stage; this is ConvNeXt-T
    layer_scale: float | None = 1e-6  # its start; None leaves it out (version 2)
    response_norm: bool = False  # global response normalisation in every block (version 2)
    norm_eps: float = 1e-6  # epsilon of every LayerNorm
    drop_path: float = 0.0  # stochastic depth of the last block; grows linearly from 0 at the first
    local_stage: int = 4  # whose map is local: 3 or 4

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = (self.image_size, self.channels, *self.widths, *self.blocks)
        if min(sizes) < 1 or len(self.widths) != 4 or len(self.blocks) != 4 or self.local_stage not in (3, 4):
            what = f"image, channels, widths, blocks, local stage are {(*sizes, self.local_stage)}: no ConvNeXt"
            raise ConfigError(what, where="ConvNeXt")
        if not 0 <= self.drop_path < 1:
            raise ConfigError(f"drop_path is {self.drop_path!r} and must be in [0, 1)", where="ConvNeXt")

    @property
    def stage_widths(self) -> tuple[int, int, int, int]:
        """Features of the maps after the four stages."""
        return self.widths

    def stage_sides(self, size: int) -> tuple[int, int, int, int]:
        """Cells a side of the maps after the four stages."""
        return size // PATCH, size // PATCH // 2, size // PATCH // 4, size // PATCH // 8


class MapNorm(nn.LayerNorm):
    """LayerNorm over the channels of each cell of a map: (B, C, H, W) -> (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each cell."""
        normed: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """Global response normalisation (2301.00808, section 3.2); keys weight, bias, zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> the same shape."""
        norm = x.norm(dim=(1, 2), keepdim=True)
        share = norm / (norm.mean(dim=-1, keepdim=True) + 1e-6)
        return x + torch.addcmul(self.bias, self.weight, x * share)


class ConvNextMlp(nn.Module):
    """Linear, GELU, (response norm,) linear; keys fc1, grn, fc2."""

    def __init__(self, width: int, response_norm: bool) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.grn = ResponseNorm(4 * width) if response_norm else nn.Identity()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        out: Tensor = self.fc2(self.grn(F.gelu(self.fc1(x))))
        return out


class ConvNextBlock(nn.Module):
    """7 x 7 convolution of each channel, norm, MLP, around a shortcut; keys conv_dw, norm, mlp.*, gamma."""

    def __init__(self, width: int, config: ConvNextConfig, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.conv_dw = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.mlp = ConvNextMlp(width, config.response_norm)
        self.gamma = None
        if config.layer_scale is not None:
            self.gamma = nn.Parameter(torch.full((width,), config.layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        branch: Tensor = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        if self.gamma is not None:
            branch = branch * self.gamma
        if self.drop_path and self.training:  # of whole samples, as `blocks.drop_path` has them: (B, cells, C)
            branch = drop_path(branch.flatten(1, 2), self.drop_path, self.training).view_as(branch)
        return x + branch.permute(0, 3, 1, 2)


class ConvNextStage(nn.Module):
    """Norm and a 2 x 2 convolution that halves the map (but in the first stage), then blocks; keys downsample, blocks.

    Args:
        before: features that come in.
        stage: its number from 0.
        config: sizes.
    """

    def __init__(self, before: int, stage: int, config: ConvNextConfig) -> None:
        super().__init__()
        width, first = config.widths[stage], sum(config.blocks[:stage])
        self.downsample: nn.Module = nn.Identity()
        if stage:
            halve = nn.Conv2d(before, width, 2, stride=2)
            self.downsample = nn.Sequential(MapNorm(before, eps=config.norm_eps), halve)
        rates = [config.drop_path * (first + block) / max(config.depth - 1, 1) for block in range(config.blocks[stage])]
        self.blocks = nn.Sequential(*(ConvNextBlock(width, config, rate) for rate in rates))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, width, H / 2, W / 2)."""
        return cast(Tensor, self.blocks(self.downsample(x)))


class ConvNext(Convolutional):
    """Films to features."""

    config: ConvNextConfig
    reader = "norm"

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__()
        self.config = config
        patches = nn.Conv2d(config.channels, config.widths[0], PATCH, stride=PATCH)
        self.stem = nn.Sequential(patches, MapNorm(config.widths[0], eps=config.norm_eps))
        before = (config.widths[0], *config.widths[:3])
        self.stages = nn.ModuleList(ConvNextStage(before[stage], stage, config) for stage in range(4))
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(cast(Tensor, part.bias))

    def forward_stages(self, images: Tensor) -> list[Tensor]:
        """Maps after the four stages, without norm: (B, C, H, W) normalised -> 4 x (B, stage width, rows, columns)."""
        x, found = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def read_map(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """The norm of the mean, and the norm of each cell."""
        cells = self.norm(last.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.norm(last.mean((2, 3))), cells
