"""The pixels of an encoder from the file its authors ship beside the weights: Hugging Face's, timm's or open_clip's.

What such a file asks for and a square film of grey values cannot be given is refused: an input that is not square, a
crop without a resize, a padding of another kind. A record that silently differed would ruin the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from pathlib import Path
from typing import Any, Final, Literal, cast

from hilum.errors import CheckpointError
from hilum.schema import Preprocessing

Colour = tuple[float, ...]
Kernel = Literal["bicubic", "bilinear", "lanczos", "nearest"]

IMAGENET: Final[tuple[Colour, Colour]] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP: Final[tuple[Colour, Colour]] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF: Final[tuple[Colour, Colour]] = ((0.5,) * 3, (0.5,) * 3)

_KERNELS: Final[Mapping[int, Kernel]] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_CROPPED: Final = {"size": {"shortest_edge": 224}, "crop_size": 224, "do_center_crop": True, "resample": 3}
# transformers' classes: what a file leaves out; read in transformers 5.23
_PROCESSORS: Final[Mapping[str, Mapping[str, Any]]] = {
    "BitImageProcessor": {**_CROPPED, "image_mean": CLIP[0], "image_std": CLIP[1]},
    "CLIPImageProcessor": {**_CROPPED, "image_mean": CLIP[0], "image_std": CLIP[1]},
    "ViTImageProcessor": {"size": 224, "resample": 2, "image_mean": HALF[0], "image_std": HALF[1]},
    "SiglipImageProcessor": {"size": 224, "resample": 3, "image_mean": HALF[0], "image_std": HALF[1]},
    "DeiTImageProcessor": {**_CROPPED, "size": 256, "image_mean": HALF[0], "image_std": HALF[1]},
    "ConvNextImageProcessor": {
        "size": {"shortest_edge": 384}, "crop_pct": 224 / 256, "resample": 3,
        "image_mean": HALF[0], "image_std": HALF[1],
    },
    "DINOv3ViTImageProcessor": {"size": 224, "resample": 2, "image_mean": IMAGENET[0], "image_std": IMAGENET[1]},
}  # fmt: skip


def from_processor(values: Mapping[str, Any], *, where: str | Path = "preprocessor_config.json") -> Preprocessing:
    """The record of a Hugging Face image processor; its Pillow backend is followed, which rounds to 8 bits.

    Args:
        values: of preprocessor_config.json.
        where: named in errors.

    Raises:
        CheckpointError: an unknown processor that leaves something out, or one that a square film cannot go through.
    """
    kind = str(values.get("image_processor_type") or values.get("feature_extractor_type") or "")
    kind = kind.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
    said = {**_PROCESSORS.get(kind, {}), **{name: value for name, value in values.items() if value is not None}}
    if missing := [name for name in ("size", "resample", "image_mean", "image_std") if name not in said]:
        raise CheckpointError(f"does not say {', '.join(missing)}", where=where, fix="Add what the processor does")
    if not said.get("do_resize", True):
        raise CheckpointError("resizes nothing", where=where, fix="Films differ in size: set do_resize and size")
    if said.get("do_pad") or int(said["resample"]) not in _KERNELS:
        what = f"pads, or resizes by Pillow's kernel {said['resample']}"
        raise CheckpointError(what, where=where, fix="We know kernels 0 to 3, without padding")
    rule, side, size = _rule(said, kind, where)
    scale = 255 * float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 255.0
    scale = 1.0 if abs(scale - 1) < 1e-6 else scale
    mean, std = _colours(said["image_mean"], said["image_std"])
    if not said.get("do_normalize", True):
        mean, std = (0.0,) * len(mean), (1.0,) * len(std)
    return Preprocessing(
        size=size,
        channels=len(mean),
        mean=tuple(value / scale for value in mean),
        std=tuple(value / scale for value in std),
        resize=rule,
        resize_to=side if side != size else None,
        interpolation=_KERNELS[int(said["resample"])],
        eight_bit=kind != "DINOv3ViTImageProcessor",  # which divides by 255 before it resizes
    )


def from_timm(values: Mapping[str, Any], *, where: str | Path = "config.json") -> Preprocessing:
    """The record of timm's evaluation transform.

    Args:
        values: a pretrained_cfg, or the config.json that holds one.
        where: named in errors.

    Raises:
        CheckpointError: an input that is not square, or a kernel or crop mode that we do not have.
    """
    said = cast("Mapping[str, Any]", values.get("pretrained_cfg", values))
    size = _side(list(said.get("input_size", (3, 224, 224)))[1:], where)
    mean, std = _colours(said.get("mean", IMAGENET[0]), said.get("std", IMAGENET[1]))
    mode = str(said.get("crop_mode") or "center")
    if mode not in ("center", "squash", "border"):
        raise CheckpointError(f"has the crop mode {mode!r}", where=where, fix="We know center, squash and border")
    side = floor(size / float(said.get("crop_pct") or 0.875))
    more: dict[str, Any] = {
        "center": {"resize": "shortest"},
        "squash": {"resize": "squeeze"},
        "border": {"resize": "pad", "fill": "mean"},
    }[mode]
    return Preprocessing(
        size=size,
        channels=len(mean),
        mean=mean,
        std=std,
        resize_to=side if side != size else None,
        interpolation=_kernel(said.get("interpolation") or "bicubic", where),
        eight_bit=True,
        margin="even",
        **more,
    )


def from_open_clip(values: Mapping[str, Any], *, where: str | Path = "open_clip_config.json") -> Preprocessing:
    """The record of open_clip's evaluation transform.

    Args:
        values: a preprocess_cfg, or the open_clip_config.json that holds one.
        where: named in errors.

    Raises:
        CheckpointError: an input that is not square, or a kernel, rule or rim that we do not have.
    """
    said = dict(values.get("preprocess_cfg", values))
    inner = values.get("model_cfg", {}).get("vision_cfg", {})
    size = _side(said.get("size") or inner.get("image_size") or 224, where)
    mean, std = _colours(said.get("mean") or CLIP[0], said.get("std") or CLIP[1])
    mode = str(said.get("resize_mode") or "shortest")
    rules: Mapping[str, Literal["shortest", "pad", "squeeze"]] = {
        "shortest": "shortest", "longest": "pad", "squash": "squeeze"
    }  # fmt: skip
    if mode not in rules or said.get("fill_color"):
        raise CheckpointError(
            f"resizes by {mode!r} on grey {said.get('fill_color', 0)}",
            where=where,
            fix="We know shortest, longest on black, and squash",
        )
    kernel = _kernel(said.get("interpolation") or "bicubic", where)
    return Preprocessing(
        size=size,
        channels=len(mean),
        mean=mean,
        std=std,
        resize=rules[mode],
        interpolation=kernel,
        eight_bit=True,
        margin="even",
    )


def _rule(said: Mapping[str, Any], kind: str, where: str | Path) -> tuple[Literal["shortest", "squeeze"], int, int]:
    """What a processor resizes to, and what it crops: the rule, the side reached, the side kept."""
    size = said["size"]
    by_edge = size.get("shortest_edge") if isinstance(size, Mapping) else None
    if isinstance(size, int) and kind in ("BitImageProcessor", "CLIPImageProcessor", "ConvNextImageProcessor"):
        by_edge = size  # before sizes had names
    side = int(by_edge) if by_edge else _side(size, where)
    if kind == "ConvNextImageProcessor":
        cropped = side < 384
        return ("shortest", int(side / float(said["crop_pct"])), side) if cropped else ("squeeze", side, side)
    if said.get("do_center_crop"):
        kept = _side(said.get("crop_size", side), where)
        if kept > side:
            raise CheckpointError(f"crops {kept} pixels of {side}", where=where, fix="Give a size of crop_size or more")
        return "shortest" if by_edge else "squeeze", side, kept
    if by_edge:
        raise CheckpointError(
            f"brings the shorter side to {side} and crops nothing: films would stay oblong",
            where=where,
            fix="Set do_center_crop and crop_size",
        )
    return "squeeze", side, side


def _side(size: Any, where: str | Path) -> int:
    """Pixels a side of a square that is written as a number, a pair or {"height", "width"}."""
    pair = [size, size] if isinstance(size, int) else size
    if isinstance(pair, Mapping):
        pair = [pair.get("height"), pair.get("width")]
    if not isinstance(pair, list | tuple) or len(pair) != 2 or pair[0] != pair[1] or not isinstance(pair[0], int):
        raise CheckpointError(f"sees films of size {size}", where=where, fix="Give an encoder of square films")
    return int(pair[0])


def _colours(mean: Any, std: Any) -> tuple[Colour, Colour]:
    """Mean and deviation of each channel, written as one number or several."""
    means, stds = ([values] * 3 if isinstance(values, int | float) else values for values in (mean, std))
    return tuple(float(value) for value in means), tuple(float(value) for value in stds)


def _kernel(name: Any, where: str | Path) -> Kernel:
    """A kernel by its name."""
    if name not in _KERNELS.values():
        raise CheckpointError(f"resizes by {name!r}", where=where, fix=f"We know {', '.join(_KERNELS.values())}")
    return cast("Kernel", name)
