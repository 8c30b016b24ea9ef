"""The masked autoencoder written slowly from its equations: loops over samples, heads, tokens and pixels, float64.

Independent of hilum: it takes a flat state dict under the official key names, keeps the sequence in grid order,
predicts every patch and only then leaves the visible ones out. Gradients come from autograd through these loops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def patch_pixels(image: Tensor, patch: int) -> list[list[Tensor]]:
    """Image (C, H, W) -> for each patch, row by row, the list of its values: row, then column, then channel."""
    channels, height, width = image.shape
    found = []
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            values = []
            for row in range(top, top + patch):
                for column in range(left, left + patch):
                    values.extend(image[channel, row, column] for channel in range(channels))
            found.append(values)
    return found


def standardised(values: list[Tensor]) -> list[Tensor]:
    """(t - mean) / sqrt(sum((t - mean)^2) / (n - 1) + 1e-6)."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return [(value - mean) / (variance + 1e-6) ** 0.5 for value in values]


def reconstruction_loss(predicted: Tensor, images: Tensor, mask: Tensor, patch: int, norm_pix: bool) -> Tensor:
    """predicted (B, L, p p C), images (B, C, H, W), mask (B, L) with 1 = hidden -> mean over hidden patches."""
    total, hidden = predicted.new_zeros(()), 0
    for sample in range(len(images)):
        for number, values in enumerate(patch_pixels(images[sample], patch)):
            if mask[sample, number] == 0:
                continue
            target = standardised(values) if norm_pix else values
            error = sum((predicted[sample, number, k] - target[k]) ** 2 for k in range(len(target)))
            total = total + error / len(target)
            hidden += 1
    return total / hidden


def mask_of(noise: Tensor, ratio: float) -> tuple[list[list[int]], Tensor]:
    """Kept patch numbers by ascending noise, and the mask with 1 = hidden."""
    kept, mask = [], torch.ones_like(noise)
    for sample, row in enumerate(noise.tolist()):
        numbers = sorted(range(len(row)), key=lambda number: (row[number], number))
        kept.append(numbers[: int(len(row) * (1 - ratio))])
        for number in kept[-1]:
            mask[sample, number] = 0
    return kept, mask


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-6) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + eps) ** 0.5 * weight + bias


def block(x: Tensor, weights: Mapping[str, Tensor], name: str, heads: int) -> Tensor:
    """One sample's tokens (N, D) through one pre-norm block."""

    def dense(value: Tensor, part: str) -> Tensor:
        return value @ weights[f"{name}.{part}.weight"].T + weights[f"{name}.{part}.bias"]

    def norm(value: Tensor, part: str) -> Tensor:
        return layer_norm(value, weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"])

    width = x.shape[1]
    size = width // heads
    qkv = dense(norm(x, "norm1"), "attn.qkv")
    mixed = []
    for head in range(heads):
        query, key, value = (qkv[:, part * width + head * size :][:, :size] for part in range(3))
        rows = []
        for token in range(len(x)):
            score = (key * query[token]).sum(1) / math.sqrt(size)
            share = score.exp() / score.exp().sum()
            rows.append((share[:, None] * value).sum(0))
        mixed.append(torch.stack(rows))
    x = x + dense(torch.cat(mixed, dim=1), "attn.proj")
    hidden = dense(norm(x, "norm2"), "mlp.fc1")
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return x + dense(hidden, "mlp.fc2")


def masked_autoencoder(
    weights: Mapping[str, Tensor],
    images: Tensor,
    noise: Tensor,
    *,
    patch: int,
    ratio: float,
    heads: int,
    decoder_heads: int,
    norm_pix: bool,
) -> tuple[Tensor, Tensor]:
    """Loss, and the predictions (B, L, p p C) of all patches in grid order."""
    kept, mask = mask_of(noise, ratio)
    depth = len({key.split(".")[1] for key in weights if key.startswith("blocks.")})
    decoder_depth = len({key.split(".")[1] for key in weights if key.startswith("decoder_blocks.")})
    kernel = weights["patch_embed.proj.weight"].permute(0, 2, 3, 1).flatten(1)
    predictions = []
    for sample, image in enumerate(images):
        rows = torch.stack([torch.stack(values) for values in patch_pixels(image, patch)])
        tokens = rows @ kernel.T + weights["patch_embed.proj.bias"] + weights["pos_embed"][0, 1:]
        first = weights["cls_token"][0, 0] + weights["pos_embed"][0, 0]
        x = torch.stack([first, *(tokens[number] for number in kept[sample])])
        for index in range(depth):
            x = block(x, weights, f"blocks.{index}", heads)
        x = layer_norm(x, weights["norm.weight"], weights["norm.bias"])
        x = x @ weights["decoder_embed.weight"].T + weights["decoder_embed.bias"]
        grid = [weights["mask_token"][0, 0]] * len(rows)
        for place, number in enumerate(kept[sample]):
            grid[number] = x[1 + place]
        x = torch.stack([x[0], *grid]) + weights["decoder_pos_embed"][0]
        for index in range(decoder_depth):
            x = block(x, weights, f"decoder_blocks.{index}", decoder_heads)
        x = layer_norm(x, weights["decoder_norm.weight"], weights["decoder_norm.bias"])
        predictions.append(x[1:] @ weights["decoder_pred.weight"].T + weights["decoder_pred.bias"])
    predicted = torch.stack(predictions)
    return reconstruction_loss(predicted, images, mask, patch, norm_pix), predicted
