"""EVA-X: EVA-02's Vision Transformer, pretrained on films alone, in three sizes.

Paper: https://arxiv.org/abs/2405.05237; names of hustvl/EVA-X at dc4f32a, read through timm's (Eva of 0.9.0). Tiny and
small keep query, key and value in one matrix and the two halves of their gated MLP in another (w12); base keeps each
apart and normalises inside its MLP (inside its attention too where a file has that norm, which EVA-X's own loader
would leave out without a word). Keys have no bias. Learned positions are added and rotary ones turn the patches, whose
reference grid is that of the position table: 14 x 14 in every release.

The vector of a film is the mean of its patch tokens. Pretraining ended in `norm` over all tokens; EVA-X's own loader
makes it the norm of that mean (`fc_norm`), and so do we; patch tokens stay as the last block leaves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Final

import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.mlp import MlpKind, swiglu_ratio
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

_ANCHOR: Final = "patch_embed.proj.weight"
_GRID: Final = 14  # patches a side in pretraining
_PATCH: Final = 16  # EVA-02's own releases have the same names and patches of 14
_STEM: Final = ("cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias")
_LINES: Final = {  # ours in a block -> theirs, in the file of pretraining or after fine-tuning with timm; all needed
    "norm1": ("norm1",),
    "attn.proj": ("attn.proj",),
    "norm2": ("norm2",),
}
_PACKED: Final = {"mlp.w12": ("mlp.w12", "mlp.fc1"), "mlp.w3": ("mlp.w3", "mlp.fc2")}
_APART: Final = {
    "mlp.fc1_g": ("mlp.w1", "mlp.fc1_g"),
    "mlp.fc1_x": ("mlp.w2", "mlp.fc1_x"),
    "mlp.fc2": ("mlp.w3", "mlp.fc2"),
}
_INNER: Final = {"attn.norm": ("attn.inner_attn_ln", "attn.norm"), "mlp.norm": ("mlp.ffn_ln", "mlp.norm")}
_ASIDE: Final = {  # pattern -> why it is left behind
    r"(.*\.)?rope\.": "tables of the rotary positions, which are computed for every grid",
    r"(.*\.)?mask_token$": "stands for hidden patches, of use in pretraining only",
    r"(.*\.)?lm_head\.": "predicts the features of hidden patches, of use in pretraining only",
    r"(.*\.)?head\.": "the classifier of a fine-tuned file",
}


def recognise(source: Source) -> bool:
    """Whether the tensors are EVA's with patches of 16, in no folder that names another architecture."""
    prefix = prefix_before(source.tensors, _ANCHOR)
    if prefix is None or source.config:
        return False
    block = f"{prefix}blocks.0."
    biases = [{f"{block}attn.{part}_bias", f"{block}attn.{part}_proj.bias"} & {*source.tensors} for part in "qv"]
    gates = [f"{block}mlp.{name}.weight" for name in ("w12", "w1", "fc1_g", "fc1")]
    patch = source.tensors[prefix + _ANCHOR]
    return (
        all(biases)
        and f"{prefix}pos_embed" in source.tensors  # DINOv3 in timm's names has the same biases and no table
        and f"{block}attn.k_proj.bias" not in source.tensors
        and any(name in source.tensors for name in gates)
        and patch.ndim == 4
        and patch.shape[-1] == _PATCH
    )


def read(source: Source, asked: Asked) -> Found:
    """The encoder; what pretraining or a classifier added is left out."""
    ledger = Ledger(source.tensors, source.path)
    prefix = prefix_before(source.tensors, _ANCHOR) or ""
    image = read_eva(ledger, prefix)
    sizes = _sizes(image, asked, source)
    for pattern, why in _ASIDE.items():
        ledger.drop(pattern, why)
    pixels = record("eva-x", size=sizes.image_size, channels=sizes.channels)
    side = sizes.grid[0]
    note = f"rotary positions count from its own grid of {side} x {side}; EVA-X's releases have {_GRID} x {_GRID}"
    notes = () if side == _GRID else (note,)
    return Found(sizes, image, pixels, ledger.close(), pool="mean", notes=notes)


def read_eva(ledger: Ledger, prefix: str) -> dict[str, Tensor]:
    """The backbone of an EVA-02 file under our names, in float32; names of EVA's pretraining or of timm."""
    image = {name: ledger.take(prefix + name) for name in _STEM}
    stem = f"{prefix}blocks."
    numbers = {key.removeprefix(stem).split(".")[0] for key in ledger.tensors if key.startswith(stem)}
    for number in range(len(numbers)):
        block = _block(ledger, f"{stem}{number}.")
        image |= {f"blocks.{number}.{key}": value for key, value in block.items()}
    fine_tuned = ledger.has(f"{prefix}fc_norm.weight")
    for part in ("weight", "bias"):
        image[f"fc_norm.{part}"] = ledger.take(f"{prefix}{'fc_norm' if fine_tuned else 'norm'}.{part}")
    return {key: value.float() for key, value in image.items()}


def _block(ledger: Ledger, prefix: str) -> dict[str, Tensor]:
    """One block under our names."""
    packed = any(ledger.has(f"{prefix}mlp.{name}.weight") for name in ("w12", "fc1"))
    block: dict[str, Tensor] = {}
    for ours, theirs in {**_LINES, **(_PACKED if packed else _APART)}.items():
        name = _one_of(ledger, prefix, theirs)
        block |= {f"{ours}.{part}": ledger.take(f"{prefix}{name}.{part}") for part in ("weight", "bias")}
    for ours, theirs in _INNER.items():
        name = _one_of(ledger, prefix, theirs)
        if ledger.has(f"{prefix}{name}.weight"):
            block |= {f"{ours}.{part}": ledger.take(f"{prefix}{name}.{part}") for part in ("weight", "bias")}
    if ledger.has(f"{prefix}attn.qkv.weight"):
        block["attn.qkv.weight"] = ledger.take(f"{prefix}attn.qkv.weight")
    else:
        three = [ledger.take(f"{prefix}attn.{part}_proj.weight") for part in "qkv"]
        block["attn.qkv.weight"] = torch.cat(three)
    for part in "qv":
        apart = ledger.has(f"{prefix}attn.{part}_proj.bias")
        block[f"attn.{part}_bias"] = ledger.take(f"{prefix}attn.{part}{'_proj.bias' if apart else '_bias'}")
    return block


def _one_of(ledger: Ledger, prefix: str, names: tuple[str, ...]) -> str:
    """The name that the file uses of several; the first where it uses none."""
    return next((name for name in names if ledger.has(f"{prefix}{name}.weight")), names[0])


def _sizes(image: Mapping[str, Tensor], asked: Asked, source: Source) -> ViTConfig:
    """The architecture that the tensors spell out."""
    patches, table = image[_ANCHOR], image["pos_embed"]
    side = isqrt(table.shape[1] - 1) if table.ndim == 3 else 0
    if patches.ndim != 4 or side < 1 or side * side + 1 != table.shape[1]:
        raise CheckpointError("its position table is no square grid and a class token", where=source.path)
    width, channels, patch, _ = patches.shape
    kind, ratio = _mlp(image, width, source)
    return ViTConfig(
        image_size=side * patch,
        patch_size=patch,
        channels=channels,
        width=width,
        depth=1 + max(int(key.split(".")[1]) for key in image if key.startswith("blocks.")),
        heads=asked.heads_for(width, where=source.path),
        mlp=kind,
        mlp_ratio=ratio,
        mlp_norm="blocks.0.mlp.norm.weight" in image,
        attention_norm="blocks.0.attn.norm.weight" in image,
        key_bias=False,
        position_resize="bicubic_antialias",
        rotary="eva",
        rotary_grid=side,
        final_norm=False,
        pool_norm=True,
        init="trunc_normal",
    )


def _mlp(image: Mapping[str, Tensor], width: int, source: Source) -> tuple[MlpKind, float]:
    """Which gated MLP there is, and its ratio."""
    if "blocks.0.mlp.fc2.weight" in image:
        return "swiglu_split", image["blocks.0.mlp.fc2.weight"].shape[1] / width
    gated = image["blocks.0.mlp.w3.weight"].shape[1]
    ratio = swiglu_ratio(gated, width)
    if ratio is None:
        raise CheckpointError(f"its gated MLP is {gated} wide, which is no multiple of 8", where=source.path)
    return "swiglu", ratio


LAYOUT = Layout("EVA-X", recognise, read)
