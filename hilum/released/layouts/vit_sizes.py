"""The sizes of a Vision Transformer, read off weights that already bear our names; what no tensor tells is told.

Every layout of Vision Transformers ends here: it renames, and this file says which network the names and shapes are.
Nothing is looked at but names and shapes, so that the largest releases can be read on the meta device.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor

from hilum.errors import CheckpointError, ConfigError
from hilum.models.mlp import MlpKind, swiglu_ratio
from hilum.models.positions import ResizeRule
from hilum.models.rotary import RotaryKind
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.schema import Preprocessing

# (width, depth) -> heads of published sizes whose heads are wider than 64 features (timm 1.0.31)
_WIDE_HEADS: Final = {(1152, 27): 16, (1280, 32): 16, (1408, 40): 16, (1664, 48): 16, (4096, 40): 32}


@dataclass(frozen=True)
class Told:
    """What no tensor tells, as far as a configuration beside the weights or the family says it."""

    heads: int | None = None  # None: the published size's, else one for 64 features
    norm_eps: float = 1e-6
    resize: ResizeRule = "bicubic"  # how a position table meets other image sizes
    image_size: int | None = None  # pixels a side, where there is no position table
    activation: Literal["gelu", "quick_gelu"] = "gelu"  # of an MLP without gate
    rotary: RotaryKind | None = None
    rotary_base: float | None = None
    rotary_grid: int | None = None


def vit_config(weights: Mapping[str, Tensor], told: Told, asked: Asked, *, where: str | Path) -> ViTConfig:
    """The architecture of weights under the names of `VisionTransformer`.

    Args:
        weights: all of them; a position table has one row for the class token and one a patch, see `fold_positions`.
        told: what the family or its configuration says.
        asked: what the user says, which counts more.
        where: the file, for messages.

    Raises:
        CheckpointError: a tensor that tells a size is missing or has another shape.
    """
    patches = _shaped(weights, "patch_embed.proj.weight", 4, where)
    width, channels, patch, other = patches.shape
    if patch != other or 0 in patches.shape:
        what = f"its patches become {width} features from {channels} channels of {patch} x {other} pixels"
        raise CheckpointError(f"{what}, where sides must be equal and nothing 0", where=where)
    if not (isinstance(told.norm_eps, float | int) and 0 <= told.norm_eps < 1):
        raise CheckpointError(f"says that the epsilon of its norms is {told.norm_eps!r}, no small number", where=where)
    depth = _depth(weights, where)
    stride = asked.patch_stride or patch
    kind, ratio = _mlp(weights, width, told.activation, where)
    fields: dict[str, Any] = {
        "image_size": _image_size(weights, patch, stride, told, asked, where),
        "patch_size": patch,
        "patch_stride": None if stride == patch else stride,
        "patch_bias": "patch_embed.proj.bias" in weights,
        "channels": channels,
        "width": width,
        "depth": depth,
        "heads": _heads(width, depth, told, asked, where),
        "mlp": kind,
        "mlp_ratio": ratio,
        "mlp_norm": "blocks.0.mlp.norm.weight" in weights,
        "attention_norm": "blocks.0.attn.norm.weight" in weights,
        "qkv_bias": "blocks.0.attn.qkv.bias" in weights or "blocks.0.attn.q_bias" in weights,
        "key_bias": "blocks.0.attn.q_bias" not in weights,
        "norm_eps": told.norm_eps,
        "position": "learned" if "pos_embed" in weights else "none",
        "position_resize": told.resize,
        "rotary": told.rotary,
        "rotary_base": told.rotary_base,
        "rotary_grid": told.rotary_grid,
        "class_token": "cls_token" in weights,
        "registers": _shaped(weights, "reg_token", 3, where).shape[1] if "reg_token" in weights else 0,
        "layer_scale": 1e-5 if "blocks.0.ls1.gamma" in weights else None,
        "mask_token": "mask_token" in weights,
        "pre_norm": "norm_pre.weight" in weights,
        "final_norm": "norm.weight" in weights,
        "pool_norm": "fc_norm.weight" in weights,
    }
    try:
        return ViTConfig(**fields)
    except ConfigError as error:
        raise CheckpointError(error.what, where=where, fix=error.fix) from error


def heads_note(told: Told, asked: Asked, config: ViTConfig) -> tuple[str, ...]:
    """A line on the heads where nobody told them."""
    if asked.heads is not None or told.heads is not None:
        return ()
    return (f"{config.heads} heads, the usual number for width {config.width}: no tensor tells (--heads)",)


def fold_positions(weights: Mapping[str, Tensor], *, where: str | Path) -> dict[str, Tensor]:
    """Give a position table the rows that ours has: one for the class token, one a patch.

    Some tables have none for the class token (`no_embed_class` of timm): it gets zeros. Some have one for every further
    token too (DeiT's distillation token, registers of timm's SO-150M): it is added to that token, which comes to the
    same sum. The network computes what it did.

    Args:
        weights: under our names; `pos_embed` (1, rows, D) may be absent.
        where: the file, for messages.

    Raises:
        CheckpointError: the rows are no square grid, with or without prefix tokens.
    """
    if "pos_embed" not in weights:
        return dict(weights)
    table = _shaped(weights, "pos_embed", 3, where)
    first, further = int("cls_token" in weights), 0
    if "reg_token" in weights:
        further = _shaped(weights, "reg_token", 3, where).shape[1]
    rows, width = table.shape[1], table.shape[2]
    fitting = [lead for lead in (first, 0, first + further) if is_square(rows - lead)]
    if not fitting or table.shape[0] != 1:
        raise CheckpointError(
            f"its position table of {rows} rows is no square grid and {first + further} tokens before it", where=where
        )
    lead = fitting[0]
    if lead == first:
        return dict(weights)
    folded = dict(weights)
    if lead:
        token = weights["reg_token"]
        if token.shape[2] != width:
            raise CheckpointError(f"its tokens of width {token.shape[2]} meet positions of {width}", where=where)
        folded["reg_token"] = token + table[:, first:lead]
        folded["pos_embed"] = torch.cat([table[:, :first], table[:, lead:]], dim=1)
    else:
        folded["pos_embed"] = torch.cat([table.new_zeros(1, first, width), table], dim=1)
    return folded


def fitting(pixels: Preprocessing, config: ViTConfig, *, where: str | Path) -> Preprocessing:
    """A record that came with the weights, for their number of channels.

    A grey norm is repeated or taken once; colours that differ cannot be.

    Raises:
        CheckpointError: the record has another number of channels, and they differ.
    """
    if pixels.channels == config.channels:
        return pixels
    if len(set(pixels.mean)) > 1 or len(set(pixels.std)) > 1:
        raise CheckpointError(
            f"takes {config.channels} channels, and the preprocessing beside it makes {pixels.channels}",
            where=where,
            fix="Correct image_mean and image_std, or mean and std, in the file beside the weights",
        )
    mean, std = pixels.mean[:1] * config.channels, pixels.std[:1] * config.channels
    return replace(pixels, channels=config.channels, mean=mean, std=std)


def is_square(number: int) -> bool:
    """Whether patches of this number fill a square grid."""
    return number > 0 and isqrt(number) ** 2 == number


def _shaped(weights: Mapping[str, Tensor], key: str, axes: int, where: str | Path) -> Tensor:
    """A tensor that tells a size."""
    if key not in weights or weights[key].ndim != axes:
        found = f"one of {weights[key].ndim} axes" if key in weights else "none"
        raise CheckpointError(
            f"has no Vision Transformer that can be read: its {key} must have {axes} axes and there is {found}",
            where=where,
            fix="Give the whole file as it was released",
        )
    return weights[key]


def _depth(weights: Mapping[str, Tensor], where: str | Path) -> int:
    """How many blocks there are: at least one, numbered without a gap."""
    numbers = {int(found[1]) for key in weights if (found := re.match(r"blocks\.(\d+)\.", key))}
    absent = sorted(set(range(max(1, len(numbers)))) - numbers)  # some number below their count, if there is any gap
    if absent:
        what = f"lacks block {absent[0]} of {max(numbers) + 1}" if numbers else "has no block of a Vision Transformer"
        raise CheckpointError(what, where=where, fix="Give the whole file as it was released")
    return len(numbers)


def _mlp(weights: Mapping[str, Tensor], width: int, activation: MlpKind, where: str | Path) -> tuple[MlpKind, float]:
    """Which MLP the blocks have, and its `mlp_ratio`."""
    if "blocks.0.mlp.w12.weight" in weights:
        gated = _shaped(weights, "blocks.0.mlp.w3.weight", 2, where).shape[1]
        ratio = swiglu_ratio(gated, width)
        if ratio is None:
            raise CheckpointError(f"its gated MLP is {gated} wide, which is no multiple of 8", where=where)
        return "swiglu", ratio
    kind: MlpKind = "swiglu_split" if "blocks.0.mlp.fc1_g.weight" in weights else activation
    return kind, _shaped(weights, "blocks.0.mlp.fc2.weight", 2, where).shape[1] / width


def _image_size(
    weights: Mapping[str, Tensor], patch: int, stride: int, told: Told, asked: Asked, where: str | Path
) -> int:
    """Pixels a side: of the position table; where there is none, as asked or told."""
    if "pos_embed" not in weights:
        return asked.image_size or told.image_size or 224 // patch * patch
    rows = _shaped(weights, "pos_embed", 3, where).shape[1] - int("cls_token" in weights)
    if not is_square(rows):
        raise CheckpointError(f"its position table for {rows} patches is no square grid", where=where)
    return (isqrt(rows) - 1) * stride + patch


def _heads(width: int, depth: int, told: Told, asked: Asked, where: str | Path) -> int:
    """Attention heads: as asked, as told, as published for this size, else one for 64 features."""
    known = told.heads or _WIDE_HEADS.get((width, depth))
    return (asked if asked.heads is not None else Asked(heads=known)).heads_for(width, where=where)
