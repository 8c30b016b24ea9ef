"""Every backbone behind one door: built from its sizes, and its sizes as JSON and back.

A Vision Transformer has blocks and attention; the convolutional families (`Convolutional`) have four stages of maps.
Whatever treats the two differently asks `isinstance(..., Convolutional)` or `isinstance(..., ConvolutionalConfig)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import torch

from hilum.config import override
from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.models.clip_resnet import ClipResNet, ClipResNetConfig
from hilum.models.convnext import ConvNext, ConvNextConfig
from hilum.models.convolution import Convolutional, ConvolutionalConfig
from hilum.models.densenet import DenseNet, DenseNetConfig
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.vit import VisionTransformer, ViTConfig

__all__ = [
    "FAMILIES",
    "Architecture",
    "Backbone",
    "Convolutional",
    "ConvolutionalConfig",
    "architecture_from_json",
    "architecture_to_json",
    "build_backbone",
    "cells_at",
    "check_tiling",
    "in_words",
    "local_width",
    "retuned",
]

Backbone = VisionTransformer | ResNet | DenseNet | ConvNext | ClipResNet
Architecture = ViTConfig | ResNetConfig | DenseNetConfig | ConvNextConfig | ClipResNetConfig

FAMILY: Final = "family"  # key that names what is no Vision Transformer
FAMILIES: Final[dict[str, tuple[Any, Callable[[Any], Backbone], str]]] = {  # name -> sizes, network, title
    "vit": (ViTConfig, VisionTransformer, "Vision Transformer"),
    "resnet": (ResNetConfig, ResNet, "ResNet"),
    "densenet": (DenseNetConfig, DenseNet, "DenseNet"),
    "convnext": (ConvNextConfig, ConvNext, "ConvNeXt"),
    "clip_resnet": (ClipResNetConfig, ClipResNet, "ResNet of CLIP"),
}


def family_of(architecture: Architecture) -> str:
    """The name of a family in `FAMILIES`."""
    return next(name for name, (sizes, *_) in FAMILIES.items() if type(architecture) is sizes)


def build_backbone(architecture: Architecture) -> Backbone:
    """The network of these sizes, with random weights."""
    return FAMILIES[family_of(architecture)][1](architecture)


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """Sizes as plain JSON values; a Vision Transformer's have no family, as ever."""
    family = family_of(architecture)
    return {**({} if family == "vit" else {FAMILY: family}), **asdict(architecture)}


def architecture_from_json(values: Mapping[str, Any], *, where: str) -> Architecture:
    """What `architecture_to_json` gave; an unknown field or family is an error of the file `where`."""
    sizes = {key: value for key, value in values.items() if key != FAMILY}
    family = values.get(FAMILY, "vit")
    if family not in FAMILIES:
        raise unknown_name(str(family), list(FAMILIES), kind="family of encoders", where=where)
    default: Architecture = FAMILIES[family][0]()
    return override(default, sizes, where=where)


def in_words(architecture: Architecture) -> str:
    """The network for people: "Vision Transformer, 12 blocks, width 768, patch 16"."""
    title = FAMILIES[family_of(architecture)][2]
    patch = f", patch {architecture.patch_size}" if isinstance(architecture, ViTConfig) else ""
    return f"{title}, {architecture.depth} blocks, width {architecture.width}{patch}"


def local_width(architecture: Architecture) -> int:
    """Features of a cell of the local map: a patch token, or a cell of the stage that is local."""
    return architecture.local_width if isinstance(architecture, ConvolutionalConfig) else architecture.width


def cells_at(architecture: Architecture, size: int) -> tuple[int, int]:
    """(rows, columns) of the tokens behind the first ones in `forward_features`, of films of `size` pixels a side."""
    if isinstance(architecture, ConvolutionalConfig):
        return architecture.cells_at(size)
    return architecture.grid_of(torch.empty(1, 1, size, size, device="meta"))


def check_tiling(architecture: Architecture, size: int) -> None:
    """Refuse films of a size that patches do not tile, or that a convolution shrinks to nothing.

    Raises:
        ConfigError: says which sizes there are.
    """
    if size < 1:
        raise ConfigError(f"{size} pixels are no film", where="size", fix="Give the encoder's size")
    if isinstance(architecture, ConvolutionalConfig):
        if min(architecture.stage_sides(size)) < 1:
            raise ConfigError(f"{size} pixels leave nothing of the last map", where="size", fix="Give larger films")
    else:
        cells_at(architecture, size)


def retuned(architecture: Architecture, *, size: int | None = None, drop_path: float = 0.0) -> Architecture:
    """Sizes for training on a task, of a network that the same weights fill.

    Args:
        architecture: any; a Vision Transformer's positions are not resized here.
        size: pixels a side of the films; a ResNet's own enlargement grows with it.
        drop_path: stochastic depth of the last block; ResNets and DenseNets have none and stay as they are.
    """
    if isinstance(architecture, ViTConfig | ConvNextConfig):
        architecture = replace(architecture, drop_path=drop_path)
    if size is None or isinstance(architecture, ViTConfig | ClipResNetConfig):  # whose tables have the size of old
        return architecture
    if isinstance(architecture, ResNetConfig) and architecture.enlarged is not None:
        enlarged = round(architecture.enlarged * size / architecture.image_size)
        return replace(architecture, image_size=size, enlarged=enlarged)
    return replace(architecture, image_size=size)
