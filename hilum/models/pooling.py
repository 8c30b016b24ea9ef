"""One vector a film from the tokens of a backbone: the class token, the mean of the patches, or both.

Some networks were trained with a norm behind that mean (EVA-X, MAE's fine-tuned files: `ViTConfig.pool_norm`); the
mean of their patches is read through it wherever a mean is read.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from hilum.models.backbone import Backbone
from hilum.models.vit import VisionTransformer

Pool = Literal["cls", "mean", "cls+mean"]


def pool_tokens(backbone: Backbone, tokens: Tensor, pool: Pool) -> Tensor:
    """One vector a film.

    Args:
        backbone: that gave the tokens.
        tokens: (B, prefix + P, D) of `forward_features`.
        pool: what to read; without a class token the mean takes its place, as in `heads.taps`.

    Returns:
        (B, D), or (B, 2 D) for "cls+mean".
    """
    parts = [tokens[:, 0] if part == "cls" and backbone.config.class_token else None for part in pool.split("+")]
    return torch.cat([backbone.pooled_mean(tokens) if part is None else part for part in parts], dim=1)


def pool_patches(backbone: Backbone, patches: Tensor) -> Tensor:
    """The mean of patch tokens without those before them, as `pool_tokens` reads it: (..., P, D) -> (..., D)."""
    mean = patches.mean(dim=-2)
    norm = backbone.fc_norm if isinstance(backbone, VisionTransformer) else None
    if norm is None:
        return mean
    out: Tensor = norm(mean)
    return out
