"""ResNets of both blocks, with torchvision's names for the weights: films to a vector and a map of local features.

Paper: Deep Residual Learning, https://arxiv.org/abs/1512.03385, with the stride on the 3 x 3 convolution as torchvision
has it. GLoRIA, MGCA and MedIM read ResNet-50 so: films enlarged, the map of stage 3 is local, the mean of stage 4
global; BioViL's local map is that of stage 4; MedKLIP ends with stage 3; torchxrayvision's takes one channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.batch_norm import BatchNorm
from hilum.models.convolution import Convolutional, ConvolutionalConfig, halved

BlockKind = Literal["bottleneck", "basic", "rectified"]
EXPANSION: Final[dict[BlockKind, int]] = {"bottleneck": 4, "basic": 1, "rectified": 4}  # features out / inside


@dataclass(frozen=True)
class ResNetConfig(ConvolutionalConfig):
    """Architecture of one ResNet; travels as JSON with the weights."""

    image_size: int = 224  # pixels a side of the film given
    enlarged: int | None = None  # pixels a side it is first brought to, bilinearly; None: as it is
    channels: int = 3  # input channels
    stem: int = 64  # features after the first convolution
    planes: int = 64  # features inside the blocks of the first stage; doubled from stage to stage
    blocks: tuple[int, ...] = (3, 4, 6, 3)  # a stage; this is ResNet-50; MedKLIP stops after three
    block: BlockKind = "bottleneck"  # "basic" in ResNet-18 and 34, "rectified" in torchxrayvision's autoencoder
    last_planes: int | None = None  # features inside the blocks of the last stage; None: doubled once more
    last_stride: int = 2  # of the last stage; 6 in torchxrayvision's autoencoder
    local_stage: int = 3  # whose map is local: 3 (GLoRIA, MGCA, MedIM) or 4 (BioViL)
    paired: int | None = None  # features that cells are brought to, beside as many of an earlier film (BioViL-T)

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = (self.image_size, self.enlarged, self.channels, self.stem, self.planes, *self.blocks)
        more = (self.last_planes, self.last_stride, self.paired)
        if min(1 if size is None else size for size in (*sizes, *more)) < 1:
            raise ConfigError(f"image, enlarged, channels, stem, planes, blocks are {sizes}: no ResNet", where="ResNet")
        stages = len(self.blocks)
        if self.block not in EXPANSION or stages not in (3, 4) or self.local_stage not in (stages - 1, stages):
            what = f"block {self.block!r}, {stages} stages, local stage {self.local_stage}: no ResNet"
            rule = f"Blocks are {' or '.join(EXPANSION)}; of 3 or 4 stages the last one is local, or the one before"
            raise ConfigError(what, where="ResNet", fix=rule)

    @property
    def width(self) -> int:
        """Features of the film's vector and of each cell beside it."""
        return self.stage_widths[-1] if self.paired is None else 2 * self.paired

    @property
    def stage_planes(self) -> tuple[int, ...]:
        """Features inside the blocks of the stages."""
        *earlier, last = (self.planes * 2**stage for stage in range(len(self.blocks)))
        return *earlier, self.last_planes or last

    @property
    def stage_widths(self) -> tuple[int, ...]:
        """Features of the maps after the stages."""
        return tuple(EXPANSION[self.block] * planes for planes in self.stage_planes)

    def stage_sides(self, size: int) -> tuple[int, ...]:
        """Cells a side of the maps after the stages; the same for every film that is enlarged to one size."""
        sides = [halved(self.enlarged or size, 2 + stage, up=True) for stage in range(len(self.blocks) - 1)]
        return *sides, -(-sides[-1] // self.last_stride)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions around a shortcut; keys conv1..3, bn1..3, downsample.0, downsample.1."""

    rectified = False  # whether a ReLU comes before the shortcut is added, too

    def __init__(self, before: int, inside: int, stride: int, *, sync: bool) -> None:
        super().__init__()
        after = inside * EXPANSION["bottleneck"]
        self.conv1 = nn.Conv2d(before, inside, 1, bias=False)
        self.bn1 = BatchNorm(inside, sync=sync)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride=stride, padding=1, bias=False)
        self.bn2 = BatchNorm(inside, sync=sync)
        self.conv3 = nn.Conv2d(inside, after, 1, bias=False)
        self.bn3 = BatchNorm(after, sync=sync)
        self.downsample = _shortcut(before, after, stride, sync=sync)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 inside, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return F.relu((F.relu(x) if self.rectified else x) + shortcut)


class RectifiedBottleneck(Bottleneck):
    """The block of torchxrayvision's autoencoder: what it adds to the shortcut is nowhere negative."""

    rectified = True


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; keys conv1..2, bn1..2, downsample.0, downsample.1."""

    def __init__(self, before: int, inside: int, stride: int, *, sync: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, inside, 3, stride=stride, padding=1, bias=False)
        self.bn1 = BatchNorm(inside, sync=sync)
        self.conv2 = nn.Conv2d(inside, inside, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(inside, sync=sync)
        self.downsample = _shortcut(before, inside, stride, sync=sync)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, inside, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


def _shortcut(before: int, after: int, stride: int, *, sync: bool) -> nn.Module | None:
    """A 1 x 1 convolution where the block changes the shape."""
    if stride == 1 and before == after:
        return None
    return nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), BatchNorm(after, sync=sync))


BLOCKS: Final[dict[BlockKind, type[Bottleneck | BasicBlock]]] = {
    "bottleneck": Bottleneck,
    "basic": BasicBlock,
    "rectified": RectifiedBottleneck,
}


class Pair(nn.Module):
    """BioViL-T's cells of one film: fewer features of its own, and as many that stand for an earlier film.

    Paper: https://arxiv.org/abs/2301.04558, section 3.1: the same learned vector for every cell where there is none.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(before, after, 1, bias=False)
        self.no_earlier = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, after, 1, 1), std=0.02))

    def forward(self, last: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, 2 after, H, W)."""
        return torch.cat([self.reduce(last), self.no_earlier.expand(len(last), -1, *last.shape[-2:])], dim=1)


class ResNet(Convolutional):
    """Films to features.

    Args:
        config: sizes.
        sync: batch statistics over all devices.
    """

    config: ResNetConfig

    def __init__(self, config: ResNetConfig, *, sync: bool = True) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.channels, config.stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm(config.stem, sync=sync)
        before = config.stem
        for stage, count in enumerate(config.blocks):
            blocks = []
            last = stage + 1 == len(config.blocks)
            for stride in [config.last_stride if last else min(stage + 1, 2)] + [1] * (count - 1):
                blocks.append(BLOCKS[config.block](before, config.stage_planes[stage], stride, sync=sync))
                before = config.stage_widths[stage]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        if config.paired is not None:
            self.pair, self.reader = Pair(before, config.paired), "pair"
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def read_map(self, last: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of the cells, and the cells; of BioViL-T pairs with an earlier film that is not given."""
        return super().read_map(last if self.config.paired is None else self.pair(last))

    def forward_stages(self, images: Tensor) -> list[Tensor]:
        """Maps after the stages: (B, C, H, W) normalised -> stages x (B, stage width, rows, columns)."""
        x = F.relu(self.bn1(self.conv1(self.enlarge(images))))
        x, found = F.max_pool2d(x, 3, stride=2, padding=1), []
        for stage in range(len(self.config.blocks)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            found.append(x)
        return found

    def enlarge(self, images: Tensor) -> Tensor:
        """What the first convolution sees: (B, C, H, W) -> (B, C, enlarged, enlarged), bilinear between corners."""
        side = self.config.enlarged
        if side is None:
            return images
        if not torch.compiler.is_exporting() and images.shape[-2:] == (side, side):  # a graph asks nothing of sizes
            return images
        return F.interpolate(images, size=(side, side), mode="bilinear", align_corners=True)
