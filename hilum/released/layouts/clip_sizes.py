"""The sizes of CLIP and of the space that its two sides share: from the tensors, and a configuration beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.clip_resnet import ClipResNetConfig
from hilum.models.clip_text import ClipTextConfig
from hilum.models.towers import TowersConfig
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.released.found import Joint
from hilum.released.layouts.clip_names import ClipParts
from hilum.released.layouts.vit_sizes import Told, is_square, vit_config
from hilum.released.source import Source

NORM_EPS: Final = 1e-5
HEAD_WIDTH: Final = 64  # features a head in every released CLIP
_PLAIN: Final[Mapping[str, Mapping[str, Any]]] = {  # what open_clip can vary without a trace in the tensors
    "vision": {"attentional_pool": False, "pool_type": "tok", "final_ln_after_pool": False},
    "text": {"embed_cls": False, "no_causal_mask": False, "pool_type": "argmax", "final_ln_after_pool": False},
}


def image_config(parts: ClipParts, source: Source, asked: Asked) -> ViTConfig | ClipResNetConfig:
    """The architecture of the image side.

    Raises:
        CheckpointError: a tensor that tells a size is missing or has another shape.
    """
    if parts.is_resnet:
        return _resnet(parts.image, asked, source)
    return vit_config(parts.image, _told(source, "vision"), asked, where=source.path)


def _told(source: Source, side: str) -> Told:
    """What the folder's configuration says of a side ("vision", "text"), or what holds for every released CLIP."""
    if "model_cfg" in source.config:
        return _told_by_open_clip(source, side)
    inner = source.config.get(f"{side}_config", source.config) or {}
    activation = str(inner.get("hidden_act", "quick_gelu"))
    if activation not in ("gelu", "quick_gelu"):
        raise CheckpointError(f"its activation {activation!r} is not read here", where=source.path)
    return Told(
        heads=inner.get("num_attention_heads"),
        norm_eps=float(inner.get("layer_norm_eps", NORM_EPS)),
        activation="quick_gelu" if activation == "quick_gelu" else "gelu",
    )


def _told_by_open_clip(source: Source, side: str) -> Told:
    """The same of open_clip's configuration, whose GELU is the exact one unless it says otherwise.

    Raises:
        CheckpointError: it varies CLIP in a way that would give other features here.
    """
    model = source.config["model_cfg"]
    inner = model.get(f"{side}_cfg") or {}
    norm = dict.fromkeys(("norm_kwargs", "act_kwargs"))
    for name, plain in {**_PLAIN[side], **norm}.items():
        if inner.get(name, plain) != plain:
            raise CheckpointError(f"has {name} {inner[name]!r}, which is not read here", where=source.path)
    heads = inner.get("heads")
    if heads is None and "width" in inner and side == "vision":
        heads = inner["width"] // inner.get("head_width", HEAD_WIDTH)
    return Told(heads=heads, norm_eps=NORM_EPS, activation="quick_gelu" if model.get("quick_gelu") else "gelu")


def _resnet(weights: Mapping[str, Tensor], asked: Asked, source: Source) -> ClipResNetConfig:
    """The architecture of a ResNet of CLIP."""
    output, width = weights["attnpool.c_proj.weight"].shape
    cells = weights["attnpool.positional_embedding"].shape[0] - 1
    blocks = [
        {int(n) for key in weights for n in re.findall(rf"^layer{stage}\.(\d+)\.", key)} for stage in (1, 2, 3, 4)
    ]
    if not is_square(cells) or not all(numbers == set(range(len(numbers))) and numbers for numbers in blocks):
        raise CheckpointError("has no ResNet of CLIP whose sizes can be read", where=source.path)
    first, second, third, fourth = (len(numbers) for numbers in blocks)
    return ClipResNetConfig(
        image_size=32 * int(cells**0.5),
        channels=weights["conv1.weight"].shape[1],
        planes=weights["conv3.weight"].shape[0],
        blocks=(first, second, third, fourth),
        heads=asked.heads_for(width, where=source.path),
        output=output,
    )


def _text_config(text: Mapping[str, Tensor], told: Told, asked: Asked, source: Source) -> ClipTextConfig:
    """The sizes of a report encoder under the names of `ClipText`.

    Raises:
        CheckpointError: blocks are missing.
    """
    numbers = {int(found[1]) for key in text if (found := re.match(r"blocks\.(\d+)\.", key))}
    absent = [key for key in ("tokens.weight", "positions", "blocks.0.fc1.weight") if key not in text]
    if absent or numbers != set(range(len(numbers))):
        what = absent[0] if absent else f"one of the blocks 0 to {max(numbers)}"
        raise CheckpointError(f"its text encoder lacks {what}", where=source.path, fix="Give the whole file")
    width = text["tokens.weight"].shape[1]
    heads = asked.text_heads if asked.text_heads is not None else told.heads
    return ClipTextConfig(
        width=width,
        depth=len(numbers),
        heads=Asked(text_heads=heads).heads_for(width, where=source.path, text=True),
        hidden=text["blocks.0.fc1.weight"].shape[0],
        positions=text["positions"].shape[0],
        activation="quick_gelu" if told.activation == "quick_gelu" else "gelu",
        norm_eps=told.norm_eps,
    )


def joint_of(parts: ClipParts, source: Source, asked: Asked) -> Joint | None:
    """The space shared with texts; None where the file has no text side."""
    if not parts.text or parts.text_projection is None:
        return None
    text = _text_config(parts.text, _told(source, "text"), asked, source)
    weights = {f"text.{name}": value for name, value in parts.text.items()}
    weights["text_head.weight"] = parts.text_projection
    if not parts.is_resnet:  # whose attention pooling has projected already
        if parts.image_projection is None:
            raise CheckpointError("has no projection of films (visual.proj)", where=source.path)
        weights["image_head.weight"] = parts.image_projection
    config = TowersConfig(
        text=text,
        dim=parts.text_projection.shape[0],
        image_head="none" if parts.is_resnet else "matrix",
        text_head="matrix",
        image_pool="cls",
        text_pool="end",
        preparation="clip",
        length=text.positions,
        logit_scale=multiplier(parts.scale),
    )
    return Joint(config, weights, parts.text["tokens.weight"].shape[0])


def multiplier(scale: Tensor | None) -> float | None:
    """What multiplies the cosines, from its stored logarithm; None where no number is at hand."""
    return None if scale is None or scale.is_meta else float(scale.float().exp())
