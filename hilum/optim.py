"""Schedules and parameter groups: pure functions of progress and of parameter names.

Sources: Loshchilov & Hutter 2017 (cosine), Goyal et al. 2017 (linear scaling and warm-up), Clark et al. 2020
(layer-wise learning-rate decay, as BEiT and MAE use it).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import nn

from hilum.config import TrainSettings
from hilum.methods.method import Optimisation
from hilum.models.convolution import ConvolutionalConfig

# convolutional encoders: torchvision's and OpenAI's names count stages from 1, ConvNeXt's from 0
_STAGE: Final = re.compile(r"backbone\.(?:(?:layer|features\.(?:denseblock|transition))(\d)|stages\.(\d))\.")
_STEM: Final = re.compile(r"backbone\.(?:features\.)?(?:conv[0-3]|bn[1-3]|norm0|stem)\.")


def layers_of(backbone: Any) -> int:
    """How many layers decay tells apart between embedding and head: blocks, or stages of a convolutional encoder."""
    sizes = backbone.config
    return len(sizes.blocks) if isinstance(sizes, ConvolutionalConfig) else int(sizes.depth)


def learning_rate(
    decay: Literal["cosine", "poly", "constant"],
    progress: float,
    *,
    peak: float,
    floor: float = 0.0,
    warmup: float = 0.0,
) -> float:
    """Learning rate at a share of the run: linear from 0 to `peak`, then down to `floor`.

    Args:
        decay: half a cosine; a straight line (mmsegmentation's "poly" of power 1); or none, and `floor` says nothing.
        progress: share of the run that is done, in [0, 1].
        peak: learning rate at the end of warm-up.
        floor: learning rate at progress 1.
        warmup: share of the run that warms up, in [0, 1).
    """
    if progress < warmup:
        return peak * progress / warmup
    through = (progress - warmup) / (1.0 - warmup)
    left = {"cosine": 0.5 * (1.0 + math.cos(math.pi * through)), "poly": 1.0 - through, "constant": 1.0}[decay]
    return peak if decay == "constant" else floor + (peak - floor) * left


def cosine(progress: float, start: float, end: float) -> float:
    """From `start` at progress 0 to `end` at progress 1 along half a cosine."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning-rate multiplier, a weight decay, and the share of the run they wait."""

    names: tuple[str, ...]
    lr_scale: float
    weight_decay: float
    frozen_until: float = 0.0


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    *,
    weight_decay: float,
    layer_decay: float | None = None,
    depth: int | None = None,
    asked: Optimisation | None = None,
) -> list[Group]:
    """Group trainable parameters by multiplier, decay and waiting time.

    No weight decay for 1-d tensors, biases, and parameters whose last name is in `asked.no_decay`. With `layer_decay` d
    and `depth` n blocks, the embedding is layer 0, block i is layer i + 1, and all else (norms, heads) is layer n + 1;
    the multiplier of layer l is d ** (n + 1 - l), times that of every entry of `asked.lr_scales` in the name. Of a
    convolutional encoder the stages are the layers, and its stem the embedding.
    """
    asked = asked or Optimisation()
    groups: dict[tuple[float, float, float], list[str]] = {}
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        plain = parameter.ndim <= 1 or name.endswith(".bias") or name.rsplit(".", 1)[-1] in asked.no_decay
        scale = 1.0
        if layer_decay is not None:
            assert depth is not None, "layer decay needs the number of blocks"
            scale = layer_decay ** (depth + 1 - layer_of(name, depth))
        scale *= math.prod(factor for part, factor in asked.lr_scales.items() if part in name)
        waits = max((share for part, share in asked.frozen_until.items() if part in name), default=0.0)
        groups.setdefault((scale, 0.0 if plain else weight_decay, waits), []).append(name)
    return [Group(tuple(names), *facts) for facts, names in groups.items()]


def layer_of(name: str, depth: int) -> int:
    """The layer of a parameter for layer-wise decay: 0 embedding, 1..depth blocks or stages, depth + 1 the rest."""
    if stage := _STAGE.search(name):
        return int(stage[1]) if stage[1] is not None else int(stage[2]) + 1
    if _STEM.search(name):
        return 0
    block = re.search(r"(?:^|\.)blocks\.(\d+)\.", name)
    if block and "decoder" not in name:
        return int(block.group(1)) + 1
    embedding = re.search(r"(?:^|\.)(cls_token|reg_token|mask_token|pos_embed|(?:patch_embed|norm_pre)\..*)$", name)
    if embedding and "decoder" not in name:
        return 0
    return depth + 1


def make_optimizer(module: nn.Module, groups: Iterable[Group], settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimizer of a run over `groups` of `module`'s parameters, fused; groups keep `lr_scale` and `frozen_until`.

    Args:
        module: the method.
        groups: of `parameter_groups`.
        settings: `optimizer`, the peak learning rate, and `betas` or `momentum`.
    """
    parameters = dict(module.named_parameters())
    held = [
        {
            "params": [parameters[name] for name in group.names],
            "lr_scale": group.lr_scale,
            "frozen_until": group.frozen_until,
            "weight_decay": group.weight_decay,
        }
        for group in groups
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(held, lr=settings.peak_lr, momentum=settings.momentum, fused=True)
    return torch.optim.AdamW(held, lr=settings.peak_lr, betas=settings.betas, fused=True)


def set_schedule(
    optimizer: torch.optim.Optimizer, lr: float, *, progress: float = 1.0, weight_decay: float | None = None
) -> None:
    """Give every group what it has at this point of the run.

    Args:
        optimizer: of `make_optimizer`.
        lr: times each group's multiplier; 0 while the group waits, though its moments move.
        progress: share of the run that is done.
        weight_decay: for the groups that decay; None leaves it as it is.
    """
    for group in optimizer.param_groups:
        group["lr"] = 0.0 if progress < group["frozen_until"] else lr * group["lr_scale"]
        if weight_decay is not None and group["weight_decay"] > 0:
            group["weight_decay"] = weight_decay
