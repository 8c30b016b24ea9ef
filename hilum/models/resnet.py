"""ResNet-50: films to a global vector and a map of local features, with torchvision's names for the weights.

Paper: Deep Residual Learning, https://arxiv.org/abs/1512.03385, with the stride on the 3 x 3 convolution as torchvision
has it. GLoRIA, MGCA and MedIM read it so: films enlarged, the map of stage 3 is local, the mean of stage 4 global.

It shows the face of the Vision Transformer: `forward_features` gives the global vector first and the cells of stage 4
behind it, so pooling, probes and exports do not ask which of the two they hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.batch_norm import BatchNorm

EXPANSION = 4  # features out of a block / features inside


@dataclass(frozen=True)
class ResNetConfig:
    """Architecture of one ResNet of bottleneck blocks; travels as JSON with the weights."""

    image_size: int = 224  # pixels a side of the film given
    enlarged: int = 320  # pixels a side it is brought to before the first convolution (bilinear)
    channels: int = 3  # input channels
    stem: int = 64  # features after the first convolution
    planes: int = 64  # features inside the blocks of the first stage; doubled from stage to stage
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)  # a stage; this is ResNet-50

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = (self.image_size, self.enlarged, self.channels, self.stem, self.planes, *self.blocks)
        if min(sizes) < 1 or len(self.blocks) != 4:
            raise ConfigError(f"image, enlarged, channels, stem, planes, blocks are {sizes}: no ResNet", where="ResNet")

    @property
    def width(self) -> int:
        """Features of the global vector."""
        return self.planes * EXPANSION * 8

    @property
    def local_width(self) -> int:
        """Features of a cell of the local map."""
        return self.planes * EXPANSION * 4

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return sum(self.blocks)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the local map."""
        side = -(-self.enlarged // 16)  # four halvings, each rounded up
        return side, side

    @property
    def patches(self) -> int:
        """Cells of the local map."""
        return self.grid[0] * self.grid[1]

    @property
    def class_token(self) -> bool:
        """The global vector stands where a class token does."""
        return True


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions around a shortcut; keys conv1..3, bn1..3, downsample.0, downsample.1."""

    def __init__(self, before: int, inside: int, stride: int, *, sync: bool) -> None:
        super().__init__()
        after = inside * EXPANSION
        self.conv1 = nn.Conv2d(before, inside, 1, bias=False)
        self.bn1 = BatchNorm(inside, sync=sync)
        self.conv2 = nn.Conv2d(inside, inside, 3, stride=stride, padding=1, bias=False)
        self.bn2 = BatchNorm(inside, sync=sync)
        self.conv3 = nn.Conv2d(inside, after, 1, bias=False)
        self.bn3 = BatchNorm(after, sync=sync)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), BatchNorm(after, sync=sync)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 inside, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Films to features.

    Args:
        config: sizes.
        sync: batch statistics over all devices.
    """

    def __init__(self, config: ResNetConfig, *, sync: bool = True) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(config.channels, config.stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm(config.stem, sync=sync)
        before = config.stem
        for stage, count in enumerate(config.blocks):
            inside = config.planes * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            blocks = []
            for stride in strides:
                blocks.append(Bottleneck(before, inside, stride, sync=sync))
                before = inside * EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    @property
    def num_prefix_tokens(self) -> int:
        """Tokens before the cells in `forward_features`: the global vector."""
        return 1

    def forward(self, images: Tensor) -> Tensor:
        """The same as `forward_features`."""
        return self.forward_features(images)

    def forward_features(self, images: Tensor) -> Tensor:
        """The global vector and the cells of stage 4: (B, C, H, W) normalised -> (B, 1 + cells, width)."""
        last = self.forward_maps(images)[1].flatten(2).transpose(1, 2)
        return F.pad(last, (0, 0, 1, 0)) + F.pad(last.mean(1, keepdim=True), (0, 0, 0, last.shape[1]))

    def forward_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps of stage 3 and 4: (B, C, H, W) normalised -> (B, local_width, rows, columns), (B, width, ...)."""
        x = F.relu(self.bn1(self.conv1(self.enlarge(images))))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in (1, 2, 3):
            x = self.get_submodule(f"layer{stage}")(x)
        return x, cast(Tensor, self.get_submodule("layer4")(x))

    def enlarge(self, images: Tensor) -> Tensor:
        """What the first convolution sees: (B, C, H, W) -> (B, C, enlarged, enlarged), bilinear between corners."""
        size = (self.config.enlarged, self.config.enlarged)
        if images.shape[-2:] == size:
            return images
        return F.interpolate(images, size=size, mode="bilinear", align_corners=True)
