"""What a format cannot hold, said of the field that stands in the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.models.backbone import family_of
from hilum.models.vit import ViTConfig


def vit_sizes(encoder: Encoder, place: str) -> ViTConfig:
    """The sizes of a Vision Transformer.

    Raises:
        ConfigError: a convolutional network, whose maps the format lays out otherwise.
    """
    sizes = encoder.model.config
    if not isinstance(sizes, ViTConfig):
        raise refusal("family", family_of(sizes), place)
    return sizes


def check_fields(sizes: ViTConfig, allowed: Mapping[str, Collection[Any]], place: str) -> None:
    """Refuse the first field whose value is not among those that a format can express.

    Args:
        sizes: of the encoder.
        allowed: field -> values.
        place: what cannot hold it, for the message ("timm", "transformers' Dinov2Model").

    Raises:
        ConfigError: names field and value.
    """
    for field, values in allowed.items():
        if getattr(sizes, field) not in values:
            raise refusal(field, getattr(sizes, field), place)


def refusal(field: str, value: object, place: str) -> ConfigError:
    """The one sentence: which field of the architecture has no place where."""
    return ConfigError(f"{place} has no place for {field} = {value!r}", where="--to", fix="Export to hilum or onnx")
