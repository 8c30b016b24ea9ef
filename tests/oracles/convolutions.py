"""Slow formulas of the convolutional encoders, from the papers: parts by name, no classes.

DenseNet: arXiv 1608.06993, section 3: a layer reads all earlier maps, here a list that is joined anew each time.
Attention pooling of CLIP: arXiv 2103.00020, section 2.4, through torch's own multi-head attention.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def normed(x: Tensor, weights: Mapping[str, Tensor], name: str) -> Tensor:
    """(x - mean) / deviation of the stored statistics, times weight, plus bias; then nothing below zero."""
    mean, variance, weight, bias = (
        weights[f"{name}.{part}"][None, :, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (((x - mean) / (variance + 1e-5).sqrt()) * weight + bias).clamp(min=0)


def densenet_stages(x: Tensor, weights: Mapping[str, Tensor], blocks: tuple[int, ...]) -> list[Tensor]:
    """Maps after the stages, as the next transition reads them, and the last one after its norm and ReLU."""
    convolve = torch.nn.functional.conv2d
    x = normed(convolve(x, weights["features.conv0.weight"], stride=2, padding=3), weights, "features.norm0")
    x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    stages = []
    for stage, count in enumerate(blocks, start=1):
        maps = [x]
        for layer in range(1, count + 1):
            name = f"features.denseblock{stage}.denselayer{layer}"
            inside = convolve(normed(torch.cat(maps, 1), weights, f"{name}.norm1"), weights[f"{name}.conv1.weight"])
            maps.append(convolve(normed(inside, weights, f"{name}.norm2"), weights[f"{name}.conv2.weight"], padding=1))
        x = torch.cat(maps, 1)
        if stage == len(blocks):
            return [*stages, normed(x, weights, "features.norm5")]
        stages.append(normed(x, weights, f"features.transition{stage}.norm"))
        x = convolve(stages[-1], weights[f"features.transition{stage}.conv.weight"])
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    raise AssertionError("no blocks")


def attention_pool(last: Tensor, weights: Mapping[str, Tensor], heads: int) -> Tensor:
    """CLIP's pooling of a map (B, D, rows, columns): the mean asks, all answer -> (B, output)."""
    width = last.shape[1]
    attend = nn.MultiheadAttention(width, heads, batch_first=True).to(last.dtype)
    with torch.no_grad():
        attend.in_proj_weight.copy_(torch.cat([weights[f"{name}_proj.weight"] for name in "qkv"]))
        attend.in_proj_bias.copy_(torch.cat([weights[f"{name}_proj.bias"] for name in "qkv"]))
        attend.out_proj.weight.copy_(torch.eye(width))
        attend.out_proj.bias.zero_()
    cells = last.flatten(2).transpose(1, 2)
    x = torch.cat([cells.mean(1, keepdim=True), cells], 1) + weights["positional_embedding"]
    pooled = attend(x[:, :1], x, x, need_weights=False)[0][:, 0]
    return pooled @ weights["c_proj.weight"].T + weights["c_proj.bias"]
