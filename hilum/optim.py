"""Learning-rate schedule and parameter groups: pure functions of progress and of parameter names.

Sources: Loshchilov & Hutter 2017 (cosine), Goyal et al. 2017 (linear scaling and warm-up), Clark et al. 2020
(layer-wise learning-rate decay, as BEiT and MAE use it).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import torch
from torch import nn


def cosine_with_warmup(progress: float, *, peak: float, floor: float = 0.0, warmup: float = 0.0) -> float:
    """Learning rate at a share of the run: linear from 0 to `peak`, then half a cosine down to `floor`.

    Args:
        progress: share of the run that is done, in [0, 1].
        peak: learning rate at the end of warm-up.
        floor: learning rate at progress 1.
        warmup: share of the run that warms up, in [0, 1).
    """
    if progress < warmup:
        return peak * progress / warmup
    through = (progress - warmup) / (1.0 - warmup)
    return floor + (peak - floor) * 0.5 * (1.0 + math.cos(math.pi * through))


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning-rate multiplier and a weight decay."""

    names: tuple[str, ...]
    lr_scale: float
    weight_decay: float


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    *,
    weight_decay: float,
    layer_decay: float | None = None,
    depth: int | None = None,
    no_decay: Collection[str] = (),
) -> list[Group]:
    """Group trainable parameters by multiplier and decay.

    No weight decay for 1-d tensors, biases, and parameters whose last name is in `no_decay`. With `layer_decay` d and
    `depth` n blocks, the embedding is layer 0, block i is layer i + 1, and all else (norms, heads) is layer n + 1; the
    multiplier of layer l is d ** (n + 1 - l).
    """
    groups: dict[tuple[float, float], list[str]] = {}
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        plain = parameter.ndim <= 1 or name.endswith(".bias") or name.rsplit(".", 1)[-1] in no_decay
        scale = 1.0
        if layer_decay is not None:
            assert depth is not None, "layer decay needs the number of blocks"
            scale = layer_decay ** (depth + 1 - layer_of(name, depth))
        groups.setdefault((scale, 0.0 if plain else weight_decay), []).append(name)
    return [Group(tuple(names), scale, decay) for (scale, decay), names in groups.items()]


def layer_of(name: str, depth: int) -> int:
    """The layer of a ViT parameter for layer-wise decay: 0 embedding, 1..depth blocks, depth + 1 the rest."""
    block = re.search(r"(?:^|\.)blocks\.(\d+)\.", name)
    if block and "decoder" not in name:
        return int(block.group(1)) + 1
    if re.search(r"(?:^|\.)(cls_token|reg_token|pos_embed|patch_embed\..*)$", name):
        return 0
    return depth + 1


def adamw(module: nn.Module, groups: Iterable[Group], *, lr: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    """AdamW over `groups` of `module`'s parameters, fused; every group keeps its `lr_scale`."""
    parameters = dict(module.named_parameters())
    return torch.optim.AdamW(
        [
            {
                "params": [parameters[name] for name in group.names],
                "lr_scale": group.lr_scale,
                "weight_decay": group.weight_decay,
            }
            for group in groups
        ],
        lr=lr,
        betas=betas,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group `lr` times its multiplier."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]
