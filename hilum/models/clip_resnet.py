"""The ResNets of CLIP, with OpenAI's names for the weights: a stem of three convolutions, and attention that pools.

Paper: https://arxiv.org/abs/2103.00020, section 2.4. Strides are means over 2 x 2 cells. The last map, and its mean in
front, get positions; the mean asks, all answer, and a projection leads into the space shared with texts, so the film's
vector is narrower than the map (1024 of 2048 in RN50).

The cells beside the vector pass the same values and the same projection, each for itself, without the question
(MaskCLIP, https://arxiv.org/abs/2112.01071, section 3.2): they lie in the joint space too, so that vector and cells
have one width, and words can be looked for on the film. `forward_stages` has the plain maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.batch_norm import BatchNorm
from hilum.models.convolution import Convolutional, ConvolutionalConfig, halved
from hilum.models.positions import RESIZE_RULES, ResizeRule, resize_table

EXPANSION = 4  # features out of a block / features inside


@dataclass(frozen=True)
class ClipResNetConfig(ConvolutionalConfig):
    """Architecture of one ResNet of CLIP; travels as JSON with the weights."""

    image_size: int = 224  # pixels a side at which the position table is stored
    channels: int = 3  # input channels
    planes: int = 64  # features inside the blocks of the first stage and after the stem, even; 80 in RN50x4
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)  # a stage; this is RN50
    heads: int = 32  # of the attention that pools; the last map's features must divide by it
    output: int = 1024  # features of the film's vector and of each cell: of the joint space
    position_resize: ResizeRule = "bicubic"  # how the table meets other image sizes; see positions.py
    local_stage: int = 4  # whose map is local: 3 or 4

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = (self.image_size, self.channels, self.planes, *self.blocks, self.heads, self.output)
        if min(sizes) < 1 or len(self.blocks) != 4 or self.planes % 2 or self.local_stage not in (3, 4):
            what = f"image, channels, planes, blocks, heads, output are {sizes}, local stage {self.local_stage}"
            raise ConfigError(f"{what}: no ResNet of CLIP", where="CLIP ResNet")
        if self.stage_widths[3] % self.heads or self.position_resize not in RESIZE_RULES:
            what = f"{self.stage_widths[3]} features, {self.heads} heads, positions {self.position_resize!r}"
            raise ConfigError(f"{what}: no attention pooling", where="CLIP ResNet", fix="Heads must divide them")

    @property
    def width(self) -> int:
        """Features of the film's vector and of each cell beside it."""
        return self.output

    @property
    def stage_widths(self) -> tuple[int, int, int, int]:
        """Features of the maps after the four stages."""
        first = self.planes * EXPANSION
        return first, 2 * first, 4 * first, 8 * first

    def stage_sides(self, size: int) -> tuple[int, int, int, int]:
        """Cells a side of the maps after the four stages."""
        first = halved(halved(size, 1, up=True), 1, up=False)
        return first, halved(first, 1, up=False), halved(first, 2, up=False), halved(first, 3, up=False)


class ClipBottleneck(nn.Module):
    """A bottleneck whose stride is a mean over cells; keys conv1..3, bn1..3, downsample.0, downsample.1."""

    def __init__(self, before: int, inside: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        after = inside * EXPANSION
        self.conv1 = nn.Conv2d(before, inside, 1, bias=False)
        self.bn1 = BatchNorm(inside)
        self.conv2 = nn.Conv2d(inside, inside, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(inside)
        self.conv3 = nn.Conv2d(inside, after, 1, bias=False)
        self.bn3 = BatchNorm(after)
        self.downsample: nn.Module | None = None
        if stride > 1 or before != after:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), BatchNorm(after))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 inside, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(self._pool(x))
        x = F.relu(self.bn1(self.conv1(x)))
        x = self._pool(F.relu(self.bn2(self.conv2(x))))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)

    def _pool(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, self.stride) if self.stride > 1 else x


class AttentionPool(nn.Module):
    """The mean of a map asks, its cells and itself answer; keys positional_embedding, {q,k,v,c}_proj."""

    def __init__(self, config: ClipResNetConfig) -> None:
        super().__init__()
        width, (rows, columns) = config.stage_widths[3], config.cells_at(config.image_size)
        self.grid, self.heads, self.rule = (rows, columns), config.heads, config.position_resize
        self.positional_embedding = nn.Parameter(torch.randn(rows * columns + 1, width) / width**0.5)
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, config.output)

    def forward(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """(B, D, rows, columns) -> the film's vector (B, output) and the cells (B, output, rows, columns)."""
        batch, width, rows, columns = last.shape
        cells = last.flatten(2).transpose(1, 2)
        x = torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1)
        x = x + resize_table(self.positional_embedding[None], self.grid, (rows, columns), prefix=1, rule=self.rule)
        values = self.v_proj(x)
        asked, keys, given = (
            part.reshape(batch, -1, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.q_proj(x[:, :1]), self.k_proj(x), values)
        )
        pooled = F.scaled_dot_product_attention(asked, keys, given).transpose(1, 2).reshape(batch, width)
        placed = self.c_proj(values[:, 1:]).transpose(1, 2).reshape(batch, -1, rows, columns)
        return self.c_proj(pooled), placed


class ClipResNet(Convolutional):
    """Films to features."""

    config: ClipResNetConfig
    reader = "attnpool"
    asking = ("attnpool.q_proj", "attnpool.k_proj")

    def __init__(self, config: ClipResNetConfig) -> None:
        super().__init__()
        self.config = config
        half = config.planes // 2
        self.conv1 = nn.Conv2d(config.channels, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = BatchNorm(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(half)
        self.conv3 = nn.Conv2d(half, config.planes, 3, padding=1, bias=False)
        self.bn3 = BatchNorm(config.planes)
        before = config.planes
        for stage, count in enumerate(config.blocks):
            blocks = []
            for stride in [1 if stage == 0 else 2] + [1] * (count - 1):
                blocks.append(ClipBottleneck(before, config.planes * 2**stage, stride))
                before = config.stage_widths[stage]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.attnpool = AttentionPool(config)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def forward_stages(self, images: Tensor) -> list[Tensor]:
        """Maps after the four stages: (B, C, H, W) normalised -> 4 x (B, stage width, rows, columns)."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.relu(self.bn2(self.conv2(x)))
        x, found = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2), []
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
            found.append(x)
        return found

    def read_map(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """What the attention pools, and each cell in the joint space."""
        return cast(tuple[Tensor, Tensor], self.attnpool(last))
