"""One tiny network of each convolutional family, in evaluation mode, with statistics that are not those of a start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hilum.models.backbone import Backbone, build_backbone
from hilum.models.clip_resnet import ClipResNetConfig
from hilum.models.convnext import ConvNextConfig
from hilum.models.convolution import Convolutional
from hilum.models.densenet import DenseNetConfig
from hilum.models.resnet import ResNetConfig

TINY: dict[str, Any] = {
    "resnet": ResNetConfig(image_size=64, channels=1, stem=8, planes=4, blocks=(1, 2, 1, 1)),
    "densenet": DenseNetConfig(image_size=64, channels=1, stem=8, growth=4, blocks=(2, 1, 2, 1)),
    "convnext": ConvNextConfig(image_size=64, channels=1, widths=(8, 12, 16, 24), blocks=(1, 2, 1, 1), layer_scale=0.5),
    "clip_resnet": ClipResNetConfig(
        image_size=64, channels=1, planes=4, blocks=(1, 1, 2, 1), heads=4, output=24
    ),
}  # fmt: skip


def tiny(family: str, **changes: Any) -> Backbone:
    """A network whose weights and statistics are drawn."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return stirred(build_backbone(replace(TINY[family], **changes)))


def stirred(network: Any) -> Any:
    """Vectors and running statistics drawn, so that a forgotten one shows; in evaluation mode."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.ndim == 1 and value.is_floating_point():
                value.uniform_(0.5, 1.5) if name.endswith(("weight", "running_var", "gamma")) else value.normal_(
                    std=0.2
                )
            if "grn" in name:
                value.normal_(std=0.5)
    return network.eval()


def convolution(family: str, **changes: Any) -> Convolutional:
    """The same, known to be convolutional."""
    found = tiny(family, **changes)
    assert isinstance(found, Convolutional)
    return found


def films(count: int = 2, size: int = 64, channels: int = 1) -> Tensor:
    """Noise of the same draw each time."""
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))
