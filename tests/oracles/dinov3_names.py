"""A DINOv3 of transformers under Meta's names, written down from the other side: fused biases, masks and periods."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_PLAIN = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "storage_tokens",
    "embeddings.patch_embeddings.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.bias": "patch_embed.proj.bias",
    "norm.weight": "norm.weight",
    "norm.bias": "norm.bias",
}
_IN_BLOCK = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attention.o_proj": "attn.proj",
    "mlp.gate_proj": "mlp.w1",
}


def as_meta(theirs: Mapping[str, Tensor], *, heads: int, base: float = 100.0) -> dict[str, Tensor]:
    """Weights under the names of transformers' files, (names as `save_pretrained` writes) -> names of Meta's."""
    gated = any("gate_proj" in key for key in theirs)
    in_block = {**_IN_BLOCK, "mlp.up_proj": "mlp.w2" if gated else "mlp.fc1", "mlp.down_proj": "mlp.w3"}
    if not gated:
        in_block["mlp.down_proj"] = "mlp.fc2"
    meta = {_PLAIN[key]: value for key, value in theirs.items() if key in _PLAIN}
    meta["mask_token"] = theirs["embeddings.mask_token"][0]
    width = meta["cls_token"].shape[-1]
    depth = 1 + max(int(found[1]) for key in theirs if (found := re.match(r"layer\.(\d+)\.", key)))
    for number in range(depth):
        block, old = f"blocks.{number}.", f"layer.{number}."
        for name, new in in_block.items():
            for part in ("weight", "bias"):
                if f"{old}{name}.{part}" in theirs:
                    meta[f"{block}{new}.{part}"] = theirs[f"{old}{name}.{part}"]
        for scale in "12":
            meta[f"{block}ls{scale}.gamma"] = theirs[f"{old}layer_scale{scale}.lambda1"]
        attention = f"{old}attention."
        meta[f"{block}attn.qkv.weight"] = torch.cat([theirs[f"{attention}{part}_proj.weight"] for part in "qkv"])
        if f"{attention}q_proj.bias" in theirs:
            noise = torch.full((width,), 7.0)  # what the mask takes away must not be read
            biases = [theirs.get(f"{attention}{part}_proj.bias", noise) for part in "qkv"]
            meta[f"{block}attn.qkv.bias"] = torch.cat(biases)
            masked = torch.ones(3, width)
            masked[1] = float(f"{attention}k_proj.bias" in theirs)
            meta[f"{block}attn.qkv.bias_mask"] = masked.flatten()
    pairs = width // heads // 4
    periods = torch.tensor([base ** (number / pairs) for number in range(pairs)])
    meta["rope_embed.periods"] = periods.to(torch.bfloat16)
    return meta
