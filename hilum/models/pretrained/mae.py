"""Released MAE files to our keys.

Layouts read here are MAE's (facebookresearch/mae at efb2a80, and everything that grew from it): the
encoder-only release, the full training file with its decoder, and the fine-tuned classifier (head; where it
reads the mean of the patch tokens, the norm of that mean, fc_norm, stands for the final norm). Width, depth,
patch, channels and image size are read from the tensors. The number of attention heads is in no tensor: it
is an option, by default width // 64, but 16 in ViT-H, which is right for every released MAE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.positions import resize_table, sincos_table
from hilum.models.pretrained.kinds import what_it_is
from hilum.models.pretrained.tensors import read_tensors, stripped
from hilum.models.vit import VisionTransformer, ViTConfig

HEADS: Final = {1280: 16}  # width -> heads, where a head is not 64 wide: ViT-H
_BACKBONE: Final = re.compile(r"(cls_token|reg_token|pos_embed|patch_embed\.proj|blocks\.\d+|(fc_)?norm)(\.|$)")
_DECODER: Final = re.compile(r"(mask_token$|decoder_(embed|pos_embed|blocks|norm|pred)(\.|$))")
_HEAD: Final = re.compile(r"head\.(weight|bias)$")


@dataclass(frozen=True)
class Pretrained:
    """What a foreign file held, in our keys."""

    config: ViTConfig  # read from the tensors
    backbone: dict[str, Tensor]  # keys of `VisionTransformer`
    decoder: dict[str, Tensor]  # keys of `MaskedDecoder`; empty where the file has none
    head: dict[str, Tensor]  # head.* of a fine-tuned file; empty otherwise
    dropped: tuple[tuple[str, str], ...]  # (key of the file, why it is not used)

    def backbone_for(self, target: ViTConfig) -> dict[str, Tensor]:
        """The encoder's weights with the position table brought to the grid of `target` by its resize rule.

        A fixed sine-cosine table is made anew for another grid, as MAE does, instead of being interpolated.
        """
        table = self.backbone["pos_embed"]
        if self.config.grid == target.grid:
            return self.backbone
        if self.config.position == target.position == "sincos":
            resized = sincos_table(self.config.width, target.grid, class_token=self.config.class_token).float()
        else:
            prefix = int(self.config.class_token)
            rule = target.position_resize
            resized = resize_table(table, self.config.grid, target.grid, prefix=prefix, rule=rule)
        return {**self.backbone, "pos_embed": resized}

    def report(self) -> tuple[str, ...]:
        """What was used and what was dropped and why, one line each."""
        config = self.config
        lines = [
            f"encoder: {config.depth} blocks of width {config.width} with {config.heads} heads, patch "
            f"{config.patch_size}, {config.image_size} px, {config.channels} channels; "
            f"{len(self.backbone)} tensors used"
        ]
        if self.decoder:
            lines.append(f"decoder: {len(self.decoder)} tensors found")
        if self.head:
            lines.append(f"head: {', '.join(sorted(self.head))} found")
        lines += [f"dropped {key}: {why}" for key, why in self.dropped]
        return tuple(lines)


def load_backbone(path: str | Path, *, heads: int | None = None) -> tuple[VisionTransformer, Pretrained]:
    """Build the encoder that a foreign file holds and fill it.

    Args:
        path: a .pth, .pt or .safetensors file in one of MAE's layouts.
        heads: attention heads; width // 64 where omitted.

    Raises:
        CheckpointError: unreadable, not of these layouts, or any block or the patch embedding would stay
            unfilled.
    """
    file = read_mae(path, heads=heads)
    model = VisionTransformer(file.config)
    fill(model, file.backbone, where=path)
    return model, file


def read_mae(path: str | Path, *, heads: int | None = None) -> Pretrained:
    """Read a file in one of MAE's layouts; arguments and errors as `load_backbone`."""
    return sort_mae(read_tensors(path), heads=heads, where=path)


def sort_mae(tensors: Mapping[str, Tensor], *, heads: int | None, where: str | Path) -> Pretrained:
    """The parts of a masked autoencoder among the tensors of a file; the rest is listed as dropped."""
    backbone: dict[str, Tensor] = {}
    decoder: dict[str, Tensor] = {}
    head: dict[str, Tensor] = {}
    dropped: list[tuple[str, str]] = []
    for original, value in tensors.items():
        key = stripped(original)
        for pattern, part in ((_BACKBONE, backbone), (_DECODER, decoder), (_HEAD, head)):
            if pattern.match(key):
                if key in part:
                    raise CheckpointError(f"two tensors are named {key} once prefixes are stripped", where=where)
                part[key] = value
                break
        else:
            dropped.append((original, "no part of an encoder, decoder or head of MAE"))
    absent = [key for key in ("patch_embed.proj.weight", "pos_embed") if key not in backbone]
    if absent:
        reason = f"{what_it_is(tensors)}, and no file in MAE's names: it has no {absent[0]}"
        raise CheckpointError(reason, where=where, fix="Give the file of a Vision Transformer, or convert it first")
    return Pretrained(_config_of(backbone, heads, where), backbone, decoder, head, tuple(dropped))


def _config_of(weights: Mapping[str, Tensor], heads: int | None, path: str | Path) -> ViTConfig:
    """The architecture that the tensors spell out."""
    if weights["patch_embed.proj.weight"].ndim != 4 or weights["pos_embed"].ndim != 3:
        raise CheckpointError("is not an MAE file: patch_embed or pos_embed has another shape", where=path)
    width, channels, patch_size, _ = weights["patch_embed.proj.weight"].shape
    blocks = {int(key.split(".")[1]) for key in weights if key.startswith("blocks.")}
    hidden = weights.get("blocks.0.mlp.fc1.weight")
    if hidden is None or blocks != set(range(len(blocks))):
        raise CheckpointError(f"is not an MAE file: its blocks are {sorted(blocks)[:5]}", where=path)
    class_token = "cls_token" in weights
    table = weights["pos_embed"]
    side = isqrt(table.shape[1] - int(class_token))
    if side * side + int(class_token) != table.shape[1]:
        raise CheckpointError(f"its position table of {table.shape[1]} rows is no square grid", where=path)
    scale = "blocks.0.ls1.gamma" in weights
    chosen = heads if heads is not None else HEADS.get(width, max(1, width // 64))
    if chosen < 1 or width % chosen:
        what = f"its width {width} does not divide into {chosen} heads"
        raise CheckpointError(what, where=path, fix="Give the right number of heads")
    return ViTConfig(
        image_size=side * patch_size,
        patch_size=patch_size,
        channels=channels,
        width=width,
        depth=len(blocks),
        heads=chosen,
        mlp_ratio=hidden.shape[0] / width,
        qkv_bias="blocks.0.attn.qkv.bias" in weights,
        position=_kind_of(table, side, class_token),
        position_resize="bicubic",  # MAE's own rule
        class_token=class_token,
        registers=weights["reg_token"].shape[1] if "reg_token" in weights else 0,
        layer_scale=1e-5 if scale else None,
        final_norm="norm.weight" in weights,
        pool_norm="fc_norm.weight" in weights,
    )


def _kind_of(table: Tensor, side: int, class_token: bool) -> Literal["learned", "sincos"]:
    """Whether a position table is the fixed sine-cosine one."""
    if table.shape[-1] % 4:
        return "learned"
    fixed = sincos_table(table.shape[-1], (side, side), class_token=class_token)
    return "sincos" if torch.allclose(table.double(), fixed, atol=1e-3) else "learned"
