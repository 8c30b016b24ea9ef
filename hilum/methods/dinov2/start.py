"""Where DINOv2 starts: an earlier stage of its own with everything, a released file, or the encoder of another method.

Paper: https://arxiv.org/abs/2502.05142, section V-D: 224 px from scratch, larger sizes from there, student and teacher.

Departures: the released loader deletes the position table between stages and says nothing about weights it does not
use. Here the table is resized (`position_start="fresh"` deletes it), and what was used is counted, part by part.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Final

from torch import Tensor, nn

from hilum.models.fill import check_fit, fill, fits
from hilum.models.positions import resize_table
from hilum.models.pretrained.chexfound import is_chexfound, sort_chexfound
from hilum.models.pretrained.mae import sort_mae
from hilum.models.pretrained.tensors import read_tensors
from hilum.models.vit import VisionTransformer

if TYPE_CHECKING:
    from hilum.methods.dinov2.method import DINOv2, Network

HEADS: Final = ("dino_head", "ibot_head")
CENTERS: Final = ("dino_center", "ibot_center")


def start_from_stage(method: DINOv2, weights: Mapping[str, Tensor], *, where: str | Path) -> tuple[str, ...]:
    """Fill student, teacher, heads and centers from the state dict of another DINOv2, at this one's image size.

    A state with one of the two networks fills both. A head of other sizes stays fresh, and the notes say so.

    Args:
        method: filled.
        weights: keys `student.backbone.*`, `teacher.dino_head.*`, `dino_center.center` and so on.
        where: for messages.

    Returns:
        What was used, a line a part.

    Raises:
        CheckpointError: a backbone does not fit whole; nothing has changed then.
    """
    networks = {name: part for name in ("student", "teacher") if (part := _inside(weights, name))}
    backbones = {
        name: _backbone_for(method.backbone, _inside(part, "backbone"), method) for name, part in networks.items()
    }
    for backbone in backbones.values():
        check_fit(method.backbone, backbone, where=where)
    notes = []
    for name, network in (("student", method.student), ("teacher", method.teacher)):
        source = name if name in networks else next(iter(networks))
        fill(network.backbone, backbones[source], where=where)
        used = [f"backbone {len(backbones[source])} tensors", *_start_heads(network, networks[source])]
        borrowed = "" if source == name else f" (the file has no {name}: its {source} is used)"
        notes.append(f"{name} starts from the file{borrowed}: {', '.join(used)}")
    for name in CENTERS:
        center: nn.Module = getattr(method, name)
        found = _inside(weights, name)
        if found and fits(center, found):
            fill(center, found, where=where)
            notes.append(f"{name.replace('_', ' ')} starts from the file")
    if method.config.position_start == "fresh":
        notes.append("the position table starts fresh (position_start=fresh)")
    return tuple(notes)


def start_from_encoder(method: DINOv2, weights: Mapping[str, Tensor], *, where: str | Path) -> tuple[str, ...]:
    """Fill both backbones from an encoder whose position table has this grid; heads and mask token stay fresh."""
    own = method.backbone.state_dict()
    whole = {**{key: own[key] for key in ("mask_token",) if key not in weights}, **weights}
    check_fit(method.backbone, whole, where=where)
    for network in (method.student, method.teacher):
        fill(network.backbone, whole, where=where)
    return (f"student and teacher start from {len(weights)} tensors of the encoder; their heads start fresh",)


def start_from_file(method: DINOv2, path: str | Path) -> tuple[str, ...]:
    """Start from a released file: CheXFound's or DINOv2's with all they hold, else a masked autoencoder's encoder."""
    tensors, heads = read_tensors(path), method.config.backbone.heads
    if is_chexfound(tensors):
        file = sort_chexfound(tensors, heads=heads, where=path)
        return (*file.report(file.parts), *start_from_stage(method, file.weights, where=path))
    encoder = sort_mae(tensors, heads=heads, where=path)
    return (*encoder.report(), *start_from_encoder(method, encoder.backbone_for(method.backbone.config), where=path))


def _inside(weights: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {key.removeprefix(part + "."): value for key, value in weights.items() if key.startswith(part + ".")}


def _backbone_for(target: VisionTransformer, weights: dict[str, Tensor], method: DINOv2) -> dict[str, Tensor]:
    """A backbone's weights with the position table for the grid of `target`: resized, or fresh where asked."""
    if target.pos_embed is not None and method.config.position_start == "fresh":
        weights["pos_embed"] = target.pos_embed.detach().clone()
    elif "pos_embed" in weights and weights["pos_embed"].ndim == 3:
        side = isqrt(weights["pos_embed"].shape[1] - 1)
        weights["pos_embed"] = resize_table(
            weights["pos_embed"], (side, side), target.config.grid, prefix=1, rule=target.config.position_resize
        )
    if "mask_token" not in weights:
        weights["mask_token"] = target.state_dict()["mask_token"].clone()
    return weights


def _start_heads(network: Network, weights: Mapping[str, Tensor]) -> list[str]:
    """Fill the heads that fit; what became of each."""
    notes = []
    for name in HEADS:
        head: nn.Module | None = getattr(network, name)
        if head is None:
            continue
        found = _inside(weights, name)
        if found and fits(head, found):
            fill(head, found, where=name)
            notes.append(f"{name.replace('_', ' ')} {len(found)} tensors")
        else:
            notes.append(f"{name.replace('_', ' ')} fresh ({'other sizes' if found else 'none'} in the file)")
    return notes
