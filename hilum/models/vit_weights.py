"""Weights of a Vision Transformer for one that a task builds differently: another image size, parts it does not read.

A parameter that takes part in no loss must not be there to learn: a step on several processes waits for the gradient of
every parameter that takes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from torch import Tensor

from hilum.models.positions import resize_table
from hilum.models.vit import ViTConfig

Part = Literal["final_norm", "pool_norm", "mask_token"]
_NAMES: Final[dict[Part, str]] = {"final_norm": "norm.", "pool_norm": "fc_norm.", "mask_token": "mask_token"}


def at_grid(weights: Mapping[str, Tensor], source: ViTConfig, target: ViTConfig) -> dict[str, Tensor]:
    """The weights for another image size: the position table, where there is one, resized by its rule.

    Args:
        weights: of a network built from `source`.
        source: its sizes.
        target: the sizes whose grid is wanted.
    """
    if "pos_embed" not in weights:
        return dict(weights)
    prefix, rule = int(source.class_token), source.position_resize
    table = resize_table(weights["pos_embed"], source.grid, target.grid, prefix=prefix, rule=rule)
    return {**weights, "pos_embed": table}


def less(sizes: ViTConfig, weights: Mapping[str, Tensor], *parts: Part) -> tuple[ViTConfig, dict[str, Tensor]]:
    """Sizes and weights without some parts, whether they were there or not."""
    names = tuple(_NAMES[part] for part in parts)
    kept = {key: value for key, value in weights.items() if not key.startswith(names)}
    absent: dict[str, bool] = dict.fromkeys(parts, False)
    return replace(sizes, **absent), kept  # type: ignore[arg-type]  # all of them are switches


def learnable_positions(sizes: ViTConfig) -> ViTConfig:
    """Sizes whose position table, where there is one, learns."""
    return replace(sizes, position="learned") if sizes.position == "sincos" else sizes
