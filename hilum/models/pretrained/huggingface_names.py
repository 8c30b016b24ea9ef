"""Hugging Face's names for the weights of a Vision Transformer beside ours: one table, read in both directions.

The names are those of the files (`model.safetensors` on the Hub, what `save_pretrained` writes), not of the modules
inside transformers 5, which renames on loading. `{n}` stands for the number of a block; a pair that ends in a dot is a
prefix. Query, key and value are three matrices there and one, query over key over value, here; slicing and stacking
are exact, so a round trip gives every bit back.

Families: `vit` (ViT, and DeiT and ViTMAE but for their further tokens), `dinov2` (RAD-DINO too),
`dinov2_with_registers`, `dinov3_vit`: the `model_type` of config.json. Names and shapes were read from models that
transformers 5.23 saved.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

Family = Literal["vit", "dinov2", "dinov2_with_registers", "dinov3_vit"]
PARTS: Final = ("query", "key", "value")  # from top to bottom of our fused matrix


@dataclass(frozen=True)
class Names:
    """How one family names its weights."""

    pairs: tuple[tuple[str, str], ...]  # (ours, theirs); exact, or a prefix where both end in a dot
    attention: tuple[str, str, str]  # prefixes of query, key and value, in the order of `PARTS`
    mask_shape: tuple[int, ...] = (1, -1)  # of their mask token; ours is (1, D)


_EMBEDDINGS: Final = (
    ("cls_token", "embeddings.cls_token"),
    ("pos_embed", "embeddings.position_embeddings"),
    ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
    ("norm.", "layernorm."),
)
_SPLIT: Final = (
    "encoder.layer.{n}.attention.attention.query.",
    "encoder.layer.{n}.attention.attention.key.",
    "encoder.layer.{n}.attention.attention.value.",
)
_DINOV2: Final = (
    *_EMBEDDINGS,
    ("mask_token", "embeddings.mask_token"),
    ("blocks.{n}.norm1.", "encoder.layer.{n}.norm1."),
    ("blocks.{n}.attn.proj.", "encoder.layer.{n}.attention.output.dense."),
    ("blocks.{n}.ls1.gamma", "encoder.layer.{n}.layer_scale1.lambda1"),
    ("blocks.{n}.norm2.", "encoder.layer.{n}.norm2."),
    ("blocks.{n}.mlp.fc1.", "encoder.layer.{n}.mlp.fc1."),
    ("blocks.{n}.mlp.fc2.", "encoder.layer.{n}.mlp.fc2."),
    ("blocks.{n}.mlp.w12.", "encoder.layer.{n}.mlp.weights_in."),  # gate over value in both
    ("blocks.{n}.mlp.w3.", "encoder.layer.{n}.mlp.weights_out."),
    ("blocks.{n}.ls2.gamma", "encoder.layer.{n}.layer_scale2.lambda1"),
)

FAMILIES: Final[dict[Family, Names]] = {
    "vit": Names(
        pairs=(
            *_EMBEDDINGS,
            ("blocks.{n}.norm1.", "encoder.layer.{n}.layernorm_before."),
            ("blocks.{n}.attn.proj.", "encoder.layer.{n}.attention.output.dense."),
            ("blocks.{n}.norm2.", "encoder.layer.{n}.layernorm_after."),
            ("blocks.{n}.mlp.fc1.", "encoder.layer.{n}.intermediate.dense."),
            ("blocks.{n}.mlp.fc2.", "encoder.layer.{n}.output.dense."),
        ),
        attention=_SPLIT,
    ),
    "dinov2": Names(pairs=_DINOV2, attention=_SPLIT),
    "dinov2_with_registers": Names(
        pairs=(*_DINOV2, ("reg_token", "embeddings.register_tokens")),
        attention=_SPLIT,
    ),
    "dinov3_vit": Names(
        pairs=(
            ("cls_token", "embeddings.cls_token"),
            ("reg_token", "embeddings.register_tokens"),
            ("mask_token", "embeddings.mask_token"),
            ("patch_embed.proj.", "embeddings.patch_embeddings."),
            ("norm.", "norm."),
            ("blocks.{n}.norm1.", "layer.{n}.norm1."),
            ("blocks.{n}.attn.proj.", "layer.{n}.attention.o_proj."),
            ("blocks.{n}.ls1.gamma", "layer.{n}.layer_scale1.lambda1"),
            ("blocks.{n}.norm2.", "layer.{n}.norm2."),
            ("blocks.{n}.mlp.fc1.", "layer.{n}.mlp.up_proj."),  # the plain MLP; the gated one is below
            ("blocks.{n}.mlp.fc2.", "layer.{n}.mlp.down_proj."),  # last layer of either MLP
            ("blocks.{n}.mlp.fc1_g.", "layer.{n}.mlp.gate_proj."),
            ("blocks.{n}.ls2.gamma", "layer.{n}.layer_scale2.lambda1"),
        ),
        attention=("layer.{n}.attention.q_proj.", "layer.{n}.attention.k_proj.", "layer.{n}.attention.v_proj."),
        mask_shape=(1, 1, -1),
    ),
}
# In a gated MLP of DINOv3 `up_proj` is the value beside the gate: our fc1_x, where the plain MLP has our fc1.
_GATED: Final = ("blocks.{n}.mlp.fc1_x.", "layer.{n}.mlp.up_proj.")


def to_ours(tensors: Mapping[str, Tensor], family: Family) -> tuple[dict[str, Tensor], list[str]]:
    """Their weights under our names, query, key and value joined.

    Args:
        tensors: of a file, by the names of the bare model (no `vit.` or `dinov2.` in front).
        family: whose names these are.

    Returns:
        Weights under our names, and their names that the table does not know (pooler, classifier, ...).
    """
    names = FAMILIES[family]
    pairs = _pairs(names, gated=any(".mlp.gate_proj." in key for key in tensors))
    parts = [_pattern(prefix) for prefix in names.attention]
    ours: dict[str, Tensor] = {}
    split: dict[tuple[str, str], dict[str, Tensor]] = {}
    left = []
    for key, value in tensors.items():
        for part, pattern in zip(PARTS, parts, strict=True):
            if found := pattern.fullmatch(key):
                split.setdefault((found[1], found[2]), {})[part] = value
                break
        else:
            name = _renamed(key, ((theirs, mine) for mine, theirs in pairs))
            if name is None:
                left.append(key)
            else:
                ours[name] = value.reshape(1, -1) if name == "mask_token" else value
    for (number, what), found_parts in split.items():
        ours.update(_joined(f"blocks.{number}.attn.", what, found_parts))
    return ours, left


def to_theirs(tensors: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """Our weights under their names, query, key and value apart; the inverse of `to_ours`.

    Raises:
        KeyError: a tensor that the family has no name for.
    """
    names = FAMILIES[family]
    pairs = _pairs(names, gated=any(".mlp.fc1_g." in key for key in tensors))
    theirs: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if found := re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(weight|bias)", key):
            for prefix, part in zip(names.attention, value.chunk(3), strict=True):
                theirs[prefix.format(n=found[1]) + found[2]] = part
        elif found := re.fullmatch(r"blocks\.(\d+)\.attn\.([qv])_bias", key):
            theirs[names.attention["qkv".index(found[2])].format(n=found[1]) + "bias"] = value
        else:
            name = _renamed(key, pairs)
            if name is None:
                raise KeyError(key)
            theirs[name] = value.reshape(names.mask_shape) if key == "mask_token" else value
    return theirs


def _pairs(names: Names, *, gated: bool) -> tuple[tuple[str, str], ...]:
    """The pairs that hold for this file: `up_proj` of DINOv3 means two things."""
    if not gated:
        return names.pairs
    return (*(pair for pair in names.pairs if pair[0] != "blocks.{n}.mlp.fc1."), _GATED)


def _renamed(key: str, pairs: Iterable[tuple[str, str]]) -> str | None:
    """The other side's name of a tensor; None where no pair fits."""
    for old, new in pairs:
        if found := _pattern(old).fullmatch(key):
            if "{n}" in old:
                number, *rest = found.groups()
                return new.format(n=number) + "".join(rest)
            return new + "".join(found.groups())
    return None


def _pattern(template: str) -> re.Pattern[str]:
    """A name with `{n}` as a pattern: groups are the block's number, and what follows a prefix."""
    pattern = re.escape(template).replace(re.escape("{n}"), r"(\d+)")
    return re.compile(pattern + (r"(weight|bias)" if template.endswith(".") else ""))


def _joined(prefix: str, what: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value in one; a key without a bias leaves the other two biases single, as EVA and DINOv3 do."""
    if set(parts) == set(PARTS):
        return {f"{prefix}qkv.{what}": torch.cat([parts[part] for part in PARTS])}
    if what == "bias":
        return {f"{prefix}{part[0]}_bias": value for part, value in parts.items()}
    return {f"{prefix}{part}.{what}": value for part, value in parts.items()}  # nobody's name: refused later
