"""Released CheXFound and DINOv2 files to our keys: both backbones, the projection heads, the centers.

Layouts: RPIDIAL/CheXFound at a4bac49 and facebookresearch/dinov2, of which it is a fork. A teacher file holds
`backbone.*`, `dino_head.*`, `ibot_head.*` under "teacher"; a full one `student.*`, `teacher.*` and the two centers
under "model"; Meta's own releases the bare backbone. Where blocks were trained in chunks they are named
`blocks.<chunk>.<number>.*`, their number counting through all chunks, and the released loader, which ignores names it
does not know, then fills an ordinary model with everything but its blocks. Here a backbone is used whole or refused.
Sizes are read from the tensors; heads are in no tensor: width // 64 where no one says otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.fill import check_fit
from hilum.models.pretrained.mae import Pretrained
from hilum.models.pretrained.tensors import read_tensors
from hilum.models.vit import VisionTransformer, ViTConfig

BACKBONES: Final = ("teacher.backbone", "student.backbone")  # in the order in which an encoder is looked for
HEADS: Final = ("teacher.dino_head", "teacher.ibot_head", "student.dino_head", "student.ibot_head")
_CENTERS: Final = {"dino_loss.center": "dino_center.center", "ibot_patch_loss.center": "ibot_center.center"}
_PART: Final = re.compile(r"(?:(student|teacher)\.)?(backbone|dino_head|ibot_head)\.(.+)")
_CHUNKED: Final = re.compile(r"blocks\.\d+\.(\d+)\.")
_RENAMED: Final = {"register_tokens": "reg_token"}


@dataclass(frozen=True)
class HeadSizes:
    """The sizes of one projection head, as its tensors spell them out."""

    prototypes: int  # rows of the last layer
    hidden: int  # width between the layers; the bottleneck's where there is one layer only
    bottleneck: int  # width that is normalised
    layers: int


@dataclass(frozen=True)
class ChexfoundFile:
    """What a CheXFound or DINOv2 file held, in our keys."""

    image: Pretrained  # the teacher's backbone; the student's in a file without a teacher
    used: frozenset[str]  # names in the file of that backbone
    weights: dict[str, Tensor]  # everything: student.backbone.*, teacher.dino_head.*, ..., dino_center.center (1, K)
    bare: bool  # a backbone alone, as Meta releases them
    dropped: tuple[tuple[str, str], ...]  # (key of the file, why it is not used)

    @property
    def config(self) -> ViTConfig:
        """The backbone's architecture."""
        return self.image.config

    @property
    def backbone(self) -> dict[str, Tensor]:
        """The teacher's backbone under the keys of `VisionTransformer`."""
        return self.image.backbone

    @property
    def parts(self) -> tuple[str, ...]:
        """What is there, of `BACKBONES`, `HEADS` and the two centers."""
        names = (*BACKBONES, *HEADS, *(center.split(".")[0] for center in _CENTERS.values()))
        return tuple(name for name in names if self.part(name))

    def part(self, name: str) -> dict[str, Tensor]:
        """The weights of one part ("student.backbone", "teacher.ibot_head", "dino_center", ...); empty where absent."""
        return _part(self.weights, name)

    def head_sizes(self, name: str) -> HeadSizes:
        """The sizes of a head that is there ("teacher.dino_head")."""
        return _head_sizes(self.part(name))

    def report(self, used: Collection[str] | None = None) -> tuple[str, ...]:
        """How many tensors of which part were used, and what was dropped and why, one line each.

        Args:
            used: names of the parts that were; the encoder's backbone alone where omitted.
        """
        chosen = self.parts[:1] if used is None else used
        lines = [self.image.report()[0].rsplit(";", 1)[0]]
        for name in self.parts:
            weights = self.part(name)
            taken = f"{len(weights)} of {len(weights)} tensors used" if name in chosen else f"{len(weights)} left aside"
            sizes = f", {_head_sizes(weights).prototypes:,} prototypes" if name in HEADS else ""
            lines.append(f"{name}: {taken}{sizes}")
        return (*lines, *(f"dropped {key}: {why}" for key, why in self.dropped))


def is_chexfound(tensors: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is a student's or a teacher's, or a bare DINOv2 backbone (its mask token is (1, D))."""
    named = {_unwrapped(key): value for key, value in tensors.items()}
    if any(key.startswith(tuple(f"{name}." for name in BACKBONES)) for key in named):
        return True
    token = named.get("mask_token", named.get("backbone.mask_token"))
    return token is not None and token.ndim == 2


def read_chexfound(path: str | Path, *, heads: int | None = None) -> ChexfoundFile:
    """Read a CheXFound or DINOv2 file.

    Args:
        path: a .pth or .safetensors file.
        heads: attention heads; width // 64 where omitted.

    Raises:
        CheckpointError: unreadable, or a backbone or head of it would be used only in part: blocks that are named
            otherwise, missing or superfluous tensors.
    """
    return sort_chexfound(read_tensors(path), heads=heads, where=path)


def sort_chexfound(tensors: Mapping[str, Tensor], *, heads: int | None, where: str | Path) -> ChexfoundFile:
    """The parts of student and teacher among the tensors of a file; arguments and errors as `read_chexfound`."""
    weights: dict[str, Tensor] = {}
    names: dict[str, str] = {}
    dropped: list[tuple[str, str]] = []
    bare = not any(_PART.match(_unwrapped(key)) for key in tensors)
    for original, value in tensors.items():
        key = _our_key(_unwrapped(original), bare=bare)
        if key is None:
            dropped.append((original, "no part of a student, a teacher or their centers"))
        elif key in weights:
            raise CheckpointError(f"two tensors are named {key} once chunks are undone", where=where)
        else:
            weights[key] = value.reshape(1, -1) if key in _CENTERS.values() else value
            names[key] = original
    backbones = {name: part for name in BACKBONES if (part := _part(weights, name))}
    if not backbones:
        what = "is not a CheXFound file: it has neither teacher.backbone nor student.backbone"
        raise CheckpointError(what, where=where)
    first, encoder = next(iter(backbones.items()))
    config = _config_of(encoder, heads, first, where)
    for name, backbone in backbones.items():
        _blocks_of(backbone, name, where)
        _check_backbone(backbone, config, f"{where}, {name}")
    for name in HEADS:
        if head := _part(weights, name):
            _check_head(head, f"{where}, {name}")
    used = frozenset(names[f"{first}.{key}"] for key in encoder)
    return ChexfoundFile(Pretrained(config, encoder, {}, {}, ()), used, weights, bare, tuple(dropped))


def _unwrapped(key: str) -> str:
    """A key without the `module.` that DataParallel puts anywhere in it."""
    return re.sub(r"(^|\.)module\.", r"\1", key)


def _part(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _our_key(key: str, *, bare: bool) -> str | None:
    """A name of the file under ours; None where it is no part of the method. A nameless network is the teacher."""
    if key in _CENTERS:
        return _CENTERS[key]
    if bare:
        return f"teacher.backbone.{_plain(key)}"
    if (named := _PART.match(key)) is None:
        return None
    network, part, rest = named.groups()
    return f"{network or 'teacher'}.{part}.{_plain(rest) if part == 'backbone' else rest}"


def _plain(key: str) -> str:
    """A backbone's key without the chunk of its block, registers by timm's name."""
    key = key.removeprefix("backbone.")
    return _RENAMED.get(key, _CHUNKED.sub(r"blocks.\1.", key))


def _config_of(weights: Mapping[str, Tensor], heads: int | None, part: str, where: str | Path) -> ViTConfig:
    """The architecture that a backbone's tensors spell out."""
    blocks = _blocks_of(weights, part, where)
    for key, axes in (("patch_embed.proj.weight", 4), ("pos_embed", 3), ("cls_token", 3)):
        if key not in weights or weights[key].ndim != axes:
            raise CheckpointError(f"is not a CheXFound file: its {part} has no {key} of {axes} axes", where=where)
    width, channels, patch_size, _ = weights["patch_embed.proj.weight"].shape
    rows = weights["pos_embed"].shape[1]
    side = isqrt(rows - 1)
    if side * side + 1 != rows:
        raise CheckpointError(f"its position table of {rows} rows is no square grid and a class token", where=where)
    chosen = heads if heads is not None else max(1, width // 64)
    if chosen < 1 or width % chosen:
        what = f"its width {width} does not divide into {chosen} heads"
        raise CheckpointError(what, where=where, fix="Give the right number of heads")
    gated = "blocks.0.mlp.w12.weight" in weights
    hidden = weights.get("blocks.0.mlp.w3.weight" if gated else "blocks.0.mlp.fc2.weight")
    if hidden is None or hidden.ndim != 2:
        raise CheckpointError(f"is not a CheXFound file: block 0 of its {part} has no MLP", where=where)
    return ViTConfig(
        image_size=side * patch_size,
        patch_size=patch_size,
        channels=channels,
        width=width,
        depth=blocks,
        heads=chosen,
        mlp="swiglu" if gated else "gelu",
        mlp_ratio=_gated_ratio(hidden.shape[1], width) if gated else hidden.shape[1] / width,
        qkv_bias="blocks.0.attn.qkv.bias" in weights,
        position_resize="bicubic_offset",
        registers=weights["reg_token"].shape[1] if "reg_token" in weights else 0,
        layer_scale=1e-5 if "blocks.0.ls1.gamma" in weights else None,
        mask_token="mask_token" in weights,
        final_norm="norm.weight" in weights,
    )


def _blocks_of(weights: Mapping[str, Tensor], part: str, where: str | Path) -> int:
    """How many blocks there are: at least one, numbered without a gap."""
    numbers = {int(found[1]) for key in weights if (found := re.match(r"blocks\.(\d+)\.", key))}
    if not numbers:
        others = Counter(key.split(".")[0] for key in weights).most_common(3)
        raise CheckpointError(
            f"none of the {len(weights)} tensors of its {part} belongs to a block; they are named "
            f"{', '.join(f'{name} ({count})' for name, count in others)}",
            where=where,
            fix="Name them blocks.<number>.* or blocks.<chunk>.<number>.*; read as it is, its blocks would be random",
        )
    absent = sorted(set(range(len(numbers))) - numbers)  # some number below their count, if there is any gap
    if absent:
        what = f"has blocks up to {max(numbers)} in its {part}, but not {', '.join(map(str, absent[:5]))}"
        raise CheckpointError(what, where=where, fix="Give a file that holds the whole network")
    return len(numbers)


def _gated_ratio(gated: int, width: int) -> float:
    """The `mlp_ratio` whose gated MLP is `gated` wide (`blocks.SwiGlu`): 4 where that fits, else 3/2 of the width."""
    usual = (int(4 * width * 2 / 3) + 7) // 8 * 8
    return 4.0 if gated == usual else 1.5 * gated / width


def _check_backbone(weights: Mapping[str, Tensor], config: ViTConfig, where: str) -> None:
    """Refuse a backbone of which a tensor is missing, misshapen, not finite or has no place."""
    with torch.device("meta"):
        model = VisionTransformer(config)
    check_fit(model, weights, where=where)


def _check_head(weights: Mapping[str, Tensor], where: str) -> None:
    """Refuse a projection head of which a part is missing."""
    for key in ("last_layer.weight_g", "last_layer.weight_v"):
        if key not in weights or weights[key].ndim != 2:
            raise CheckpointError(f"has no {key}", where=where, fix="Give a file that holds the whole head")
    if not _linear_keys(weights):
        raise CheckpointError("has no mlp", where=where, fix="Give a file that holds the whole head")


def _linear_keys(weights: Mapping[str, Tensor]) -> list[str]:
    """The weight matrices of a head's MLP, first to last."""
    keys = [key for key in weights if re.fullmatch(r"mlp(\.\d+)?\.weight", key)]
    return sorted(keys, key=lambda key: int((re.search(r"\d+", key) or [0])[0]))


def _head_sizes(weights: Mapping[str, Tensor]) -> HeadSizes:
    keys = _linear_keys(weights)
    prototypes, bottleneck = weights["last_layer.weight_v"].shape
    return HeadSizes(prototypes, weights[keys[0]].shape[0], bottleneck, len(keys))
