"""Either backbone behind one door: built from its sizes, and its sizes as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from hilum.config import override
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.vit import VisionTransformer, ViTConfig

Backbone = VisionTransformer | ResNet
Architecture = ViTConfig | ResNetConfig
FAMILY: Final = "family"  # key that names what is no Vision Transformer


def build_backbone(architecture: Architecture) -> Backbone:
    """The network of these sizes, with random weights."""
    return ResNet(architecture) if isinstance(architecture, ResNetConfig) else VisionTransformer(architecture)


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """Sizes as plain JSON values."""
    family = {FAMILY: "resnet"} if isinstance(architecture, ResNetConfig) else {}
    return {**family, **asdict(architecture)}


def architecture_from_json(values: Mapping[str, Any], *, where: str) -> Architecture:
    """What `architecture_to_json` gave; an unknown field is an error of the file `where`."""
    sizes = {key: value for key, value in values.items() if key != FAMILY}
    default: Architecture = ResNetConfig() if values.get(FAMILY) == "resnet" else ViTConfig()
    return override(default, sizes, where=where)
