"""DenseNets with torchvision's names for the weights, as torchxrayvision trains DenseNet-121 on films of one channel.

Paper: Densely Connected Convolutional Networks, https://arxiv.org/abs/1608.06993 (the variant with bottlenecks and
compression, "DenseNet-BC"). The film's vector is the mean over the last map after its norm and ReLU.

Layers keep their inputs by concatenation, so the map of a block has all that came before. The maps given to other heads
are those that the following transition reads: after its norm and ReLU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.batch_norm import BatchNorm
from hilum.models.convolution import Convolutional, ConvolutionalConfig, halved

BOTTLENECK: Final = 4  # features inside a layer / features it adds


@dataclass(frozen=True)
class DenseNetConfig(ConvolutionalConfig):
    """Architecture of one DenseNet; travels as JSON with the weights."""

    image_size: int = 224  # pixels a side of the film given
    channels: int = 1  # input channels
    stem: int = 64  # features after the first convolution
    growth: int = 32  # features that a layer adds
    blocks: tuple[int, int, int, int] = (6, 12, 24, 16)  # layers a stage; this is DenseNet-121
    local_stage: int = 4  # whose map is local: 3 or 4

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = (self.image_size, self.channels, self.stem, self.growth, *self.blocks)
        if min(sizes) < 1 or len(self.blocks) != 4 or self.local_stage not in (3, 4):
            told = (*sizes, self.local_stage)
            what = f"image, channels, stem, growth, blocks, local stage are {told}: no DenseNet"
            raise ConfigError(what, where="DenseNet")

    @property
    def stage_widths(self) -> tuple[int, int, int, int]:
        """Features of the maps after the four stages; half of them enter the next one."""
        found, entering = [], self.stem
        for count in self.blocks:
            found.append(entering + count * self.growth)
            entering = found[-1] // 2
        return found[0], found[1], found[2], found[3]

    def stage_sides(self, size: int) -> tuple[int, int, int, int]:
        """Cells a side of the maps after the four stages."""
        first = halved(size, 2, up=True)
        return first, halved(first, 1, up=False), halved(first, 2, up=False), halved(first, 3, up=False)


class DenseLayer(nn.Module):
    """1 x 1 and 3 x 3 convolution, each behind norm and ReLU; keys norm1, conv1, norm2, conv2."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.norm1 = BatchNorm(before)
        self.conv1 = nn.Conv2d(before, BOTTLENECK * growth, 1, bias=False)
        self.norm2 = BatchNorm(BOTTLENECK * growth)
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C + growth, H, W)."""
        new = self.conv1(F.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(F.relu(self.norm2(new)))], dim=1)


class Transition(nn.Module):
    """Norm, ReLU, a 1 x 1 convolution to half the features, and the mean of 2 x 2 cells; keys norm, conv."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.norm = BatchNorm(before)
        self.conv = nn.Conv2d(before, before // 2, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the stage's map (B, C, H, W), what enters the next stage (B, C / 2, H / 2, W / 2)."""
        found = F.relu(self.norm(x))
        return found, F.avg_pool2d(self.conv(found), 2)


class DenseNet(Convolutional):
    """Films to features."""

    config: DenseNetConfig

    def __init__(self, config: DenseNetConfig) -> None:
        super().__init__()
        self.config = config
        self.features = nn.Module()
        self.features.add_module("conv0", nn.Conv2d(config.channels, config.stem, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", BatchNorm(config.stem))
        before = config.stem
        for stage, (count, after) in enumerate(zip(config.blocks, config.stage_widths, strict=True), start=1):
            block = nn.Sequential()
            for layer in range(count):
                block.add_module(f"denselayer{layer + 1}", DenseLayer(before + layer * config.growth, config.growth))
            self.features.add_module(f"denseblock{stage}", block)
            if stage < 4:
                self.features.add_module(f"transition{stage}", Transition(after))
                before = after // 2
        self.features.add_module("norm5", BatchNorm(config.width))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)

    def forward_stages(self, images: Tensor) -> list[Tensor]:
        """Maps after the four stages: (B, C, H, W) normalised -> 4 x (B, stage width, rows, columns), all >= 0."""
        part = self.features.get_submodule
        x = F.relu(part("norm0")(part("conv0")(images)))
        x, found = F.max_pool2d(x, 3, stride=2, padding=1), []
        for stage in (1, 2, 3):
            kept, x = part(f"transition{stage}")(part(f"denseblock{stage}")(x))
            found.append(kept)
        return [*found, F.relu(part("norm5")(part("denseblock4")(x)))]
