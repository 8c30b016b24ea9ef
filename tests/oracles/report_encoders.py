"""Forward passes of other people's image and report encoders, in plain functions on the names of their files.

Nothing of Hilum's networks is used: convolutions, norms and attention are spelled out from the papers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = Mapping[str, Tensor]


def batch_norm(t: Tensors, name: str, x: Tensor) -> Tensor:
    """Running statistics, eps 1e-5; x (B, C, ...)."""
    shape = (1, -1, *(1,) * (x.ndim - 2))
    x = (x - t[f"{name}.running_mean"].view(shape)) / torch.sqrt(t[f"{name}.running_var"].view(shape) + 1e-5)
    if f"{name}.weight" in t:
        x = x * t[f"{name}.weight"].view(shape) + t[f"{name}.bias"].view(shape)
    return x


def layer_norm(t: Tensors, name: str, x: Tensor, eps: float) -> Tensor:
    """Over the last axis."""
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(variance + eps) * t[f"{name}.weight"] + t[f"{name}.bias"]


def dense(t: Tensors, name: str, x: Tensor) -> Tensor:
    """A linear layer, with or without bias."""
    y = x @ t[f"{name}.weight"].T
    return y + t[f"{name}.bias"] if f"{name}.bias" in t else y


def bottleneck(t: Tensors, name: str, x: Tensor, stride: int) -> Tensor:
    """A block of ResNet-50: the stride lies on the 3 x 3 convolution."""
    y = F.relu(batch_norm(t, f"{name}.bn1", F.conv2d(x, t[f"{name}.conv1.weight"])))
    y = F.relu(batch_norm(t, f"{name}.bn2", F.conv2d(y, t[f"{name}.conv2.weight"], stride=stride, padding=1)))
    y = batch_norm(t, f"{name}.bn3", F.conv2d(y, t[f"{name}.conv3.weight"]))
    if f"{name}.downsample.0.weight" in t:
        x = batch_norm(t, f"{name}.downsample.1", F.conv2d(x, t[f"{name}.downsample.0.weight"], stride=stride))
    return F.relu(x + y)


def resnet(t: Tensors, names: tuple[str, ...], x: Tensor) -> list[Tensor]:
    """Maps after each stage.

    Args:
        t: the file.
        names: of the first convolution, its norm, and the stages.
        x: (B, C, H, W).
    """
    conv, norm, *stages = names
    x = F.relu(batch_norm(t, norm, F.conv2d(x, t[f"{conv}.weight"], stride=2, padding=3)))
    x, maps = F.max_pool2d(x, 3, stride=2, padding=1), []
    for place, stage in enumerate(stages):
        count = len({key.removeprefix(f"{stage}.").split(".")[0] for key in t if key.startswith(f"{stage}.")})
        for number in range(count):
            x = bottleneck(t, f"{stage}.{number}", x, 2 if place and not number else 1)
        maps.append(x)
    return maps


def torchvision_names(prefix: str, stages: int = 4) -> tuple[str, ...]:
    """What `resnet` reads under a prefix."""
    return (f"{prefix}conv1", f"{prefix}bn1", *(f"{prefix}layer{number + 1}" for number in range(stages)))


def numbered_names(prefix: str, stages: int) -> tuple[str, ...]:
    """The same of a torch Sequential of torchvision's parts."""
    return (f"{prefix}0", f"{prefix}1", *(f"{prefix}{number + 4}" for number in range(stages)))


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Softmax attention head by head: (B, T, D) each, mask (B, T) of what may be seen."""
    outputs = []
    for q, k, v in zip(query.chunk(heads, -1), key.chunk(heads, -1), value.chunk(heads, -1), strict=True):
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(mask[:, None, :] == 0, -torch.inf)
        outputs.append(scores.softmax(-1) @ v)
    return torch.cat(outputs, dim=-1)


def jeonsworld_vit(t: Tensors, prefix: str, x: Tensor, heads: int) -> Tensor:
    """REFERS: tokens after the final norm, class token first."""
    stem = f"{prefix}transformer.embeddings."
    kernel = t[f"{stem}patch_embeddings.weight"]
    x = F.conv2d(x, kernel, t[f"{stem}patch_embeddings.bias"], stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    x = torch.cat([t[f"{stem}cls_token"].expand(len(x), -1, -1), x], dim=1) + t[f"{stem}position_embeddings"]
    number = 0
    while f"{prefix}transformer.encoder.layer.{number}.attention_norm.weight" in t:
        block = f"{prefix}transformer.encoder.layer.{number}."
        y = layer_norm(t, f"{block}attention_norm", x, 1e-6)
        three = [dense(t, f"{block}attn.{name}", y) for name in ("query", "key", "value")]
        x = x + dense(t, f"{block}attn.out", attend(*three, heads))
        y = layer_norm(t, f"{block}ffn_norm", x, 1e-6)
        x = x + dense(t, f"{block}ffn.fc2", F.gelu(dense(t, f"{block}ffn.fc1", y)))
        number += 1
    return layer_norm(t, f"{prefix}transformer.encoder.encoder_norm", x, 1e-6)


def clip_vit(t: Tensors, prefix: str, x: Tensor, heads: int) -> Tensor:
    """OpenAI's Vision Transformer without its projection: all tokens through the final norm, as M3AE reads them."""
    kernel = t[f"{prefix}conv1.weight"]
    x = F.conv2d(x, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    first = t[f"{prefix}class_embedding"].expand(len(x), 1, -1)
    x = torch.cat([first, x], dim=1) + t[f"{prefix}positional_embedding"]
    x = layer_norm(t, f"{prefix}ln_pre", x, 1e-5)
    number = 0
    while f"{prefix}transformer.resblocks.{number}.ln_1.weight" in t:
        block = f"{prefix}transformer.resblocks.{number}."
        y = layer_norm(t, f"{block}ln_1", x, 1e-5)
        y = y @ t[f"{block}attn.in_proj_weight"].T + t[f"{block}attn.in_proj_bias"]
        x = x + dense(t, f"{block}attn.out_proj", attend(*y.chunk(3, -1), heads))
        y = dense(t, f"{block}mlp.c_fc", layer_norm(t, f"{block}ln_2", x, 1e-5))
        x = x + dense(t, f"{block}mlp.c_proj", y * torch.sigmoid(1.702 * y))
        number += 1
    return layer_norm(t, f"{prefix}ln_post", x, 1e-5)


def bert(t: Tensors, prefix: str, ids: Tensor, mask: Tensor, heads: int) -> list[Tensor]:
    """Outputs of every layer of a BERT: ids and mask (B, T)."""
    names = f"{prefix}embeddings."
    x = t[f"{names}word_embeddings.weight"][ids] + t[f"{names}token_type_embeddings.weight"][0]
    x = layer_norm(t, f"{names}LayerNorm", x + t[f"{names}position_embeddings.weight"][: ids.shape[1]], 1e-12)
    outputs: list[Tensor] = []
    while f"{prefix}encoder.layer.{len(outputs)}.output.dense.weight" in t:
        layer = f"{prefix}encoder.layer.{len(outputs)}."
        three = [dense(t, f"{layer}attention.self.{name}", x) for name in ("query", "key", "value")]
        y = dense(t, f"{layer}attention.output.dense", attend(*three, heads, mask))
        x = layer_norm(t, f"{layer}attention.output.LayerNorm", x + y, 1e-12)
        y = dense(t, f"{layer}output.dense", F.gelu(dense(t, f"{layer}intermediate.dense", x)))
        x = layer_norm(t, f"{layer}output.LayerNorm", x + y, 1e-12)
        outputs.append(x)
    return outputs


def mgca_head(t: Tensors, prefix: str, x: Tensor) -> Tensor:
    """Linear, norm, ReLU, linear, norm without factor; x (N, D); convolutions of width 1 are linear."""
    one, two = (t[f"{prefix}{number}.weight"] for number in (0, 3))
    x = x @ one.reshape(one.shape[:2]).T + t[f"{prefix}0.bias"]
    x = F.relu(batch_norm(t, f"{prefix}1", x))
    return batch_norm(t, f"{prefix}4", x @ two.reshape(two.shape[:2]).T + t[f"{prefix}3.bias"])
