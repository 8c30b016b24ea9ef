"""ConvNeXts of both versions in the names of facebookresearch, timm and Hugging Face, and DINOv3's.

Papers: https://arxiv.org/abs/2201.03545, https://arxiv.org/abs/2301.00808, https://arxiv.org/abs/2508.10104. All are
one network under four sets of names. Films meet ImageNet's pixels as ConvNeXt's evaluation makes them, DINOv3's where
its names say so, or what the folder says. Variants of timm with other stems or heads are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.convnext import ConvNextConfig
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.convolutions import AVERAGE, CLASSIFIER, COPIES, opened, pixels_for, prefix_of
from hilum.released.ledger import Ledger
from hilum.released.source import Source

# a name that each has -> the rules from its names to ours, all of which are tried
_BLOCK: Final = (r"stages\.(\d)\.blocks\.(\d+)\.", r"stages.\1.blocks.\2.")
_FACEBOOK: Final = (
    (r"downsample_layers\.0\.", "stem."),
    (r"downsample_layers\.(\d)\.", r"stages.\1.downsample."),
    (r"stages\.(\d)\.(\d+)\.", r"stages.\1.blocks.\2."),
)
_TIMM: Final = ((r"head\.norm\.", "norm."),)
_HUGGING_FACE: Final = (
    (r"embeddings\.patch_embeddings\.", "stem.0."),
    (r"embeddings\.layernorm\.", "stem.1."),
    (r"encoder\.stages\.(\d)\.downsampling_layer\.", r"stages.\1.downsample."),
    (r"encoder\.stages\.(\d)\.layers\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"layernorm\.", "norm."),
)
_DINOV3: Final = (
    (r"(?:model\.)?stages\.0\.downsample_layers\.", "stem."),
    (r"(?:model\.)?stages\.(\d)\.downsample_layers\.", r"stages.\1.downsample."),
    (r"(?:model\.)?stages\.(\d)\.layers\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"layer_norm\.", "norm."),
)
NAMES: Final[Mapping[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    "facebookresearch": ("stages.0.0.dwconv.weight", _FACEBOOK),
    "timm": ("stages.0.blocks.0.conv_dw.weight", _TIMM),
    "Hugging Face": ("encoder.stages.0.layers.0.dwconv.weight", _HUGGING_FACE),
    "DINOv3 of Hugging Face": ("stages.0.layers.0.depthwise_conv.weight", _DINOV3),
}
_PARTS: Final = (  # inside a block, of any of the names
    (r"dwconv\.|depthwise_conv\.", "conv_dw."),
    (r"layernorm\.|layer_norm\.", "norm."),
    (r"pwconv1\.|pointwise_conv1\.", "mlp.fc1."),
    (r"pwconv2\.|pointwise_conv2\.", "mlp.fc2."),
    (r"layer_scale_parameter$", "gamma"),
    (r"grn\.(?:gamma|weight)$", "mlp.grn.weight"),
    (r"grn\.(?:beta|bias)$", "mlp.grn.bias"),
)
_OURS: Final = re.compile(
    r"(stem\.[01]|norm|stages\.\d\.(downsample\.[01]|blocks\.\d+\.(conv_dw|norm|mlp\.(fc1|fc2|grn))))\.(weight|bias)$"
    r"|stages\.\d\.blocks\.\d+\.gamma$"
)
_REFUSED: Final = (  # part of an architecture's name in timm -> why
    (r"_ols", "its patches overlap"),
    (r"_hnf", "it normalises before it takes the mean"),
    (r"_rms|zepto_rms", "its norm is another"),
    (r"xxlarge", "its LayerNorm has another epsilon"),
)


def recognise(source: Source) -> bool:
    """Whether there is a ConvNeXt in one of the sets of names."""
    return _names(source) is not None


def read(source: Source, asked: Asked) -> Found:
    """The encoder; classifiers are left out.

    Raises:
        CheckpointError: a variant that Hilum does not build, or tensors without a place.
    """
    kind, prefix = _names(source) or ("timm", "")
    ledger = Ledger(source.tensors, source.path)
    weights: dict[str, Tensor] = {}
    for key in ledger.left:
        if key.startswith(prefix) and _OURS.match(ours := _ours(key.removeprefix(prefix), kind)):
            weights[ours] = _flat(ours, ledger.take(key))
    if why := _variant(source, prefix):
        raise CheckpointError(f"is a ConvNeXt that Hilum does not build: {why}", where=source.path)
    absent = [name for name in ("stem.0.weight", "stem.1.weight", "norm.weight") if name not in weights]
    if absent:
        raise CheckpointError(f"has a ConvNeXt without {absent[0]}", where=source.path, fix="Give the whole file")
    ledger.drop(rf"{re.escape(prefix)}(head|classifier|fc)\.", CLASSIFIER)
    ledger.drop(r"classifier\.", CLASSIFIER)
    ledger.drop(rf"{re.escape(prefix)}norms\.3\.", "the same norm once more")
    ledger.drop(COPIES, AVERAGE)
    dino = kind.startswith("DINOv3") or f"{prefix}norms.3.weight" in source.tensors
    pixels, notes = pixels_for(source, "dinov3" if dino else "convnext", asked, weights["stem.0.weight"].shape[1])
    sizes = _sizes(weights, source, image_size=pixels.size)
    told = f"names of {kind}" if kind != "timm" else "names of timm"
    return Found(sizes, weights, pixels, ledger.close(), notes=(told, *opened(prefix), *notes))


def _names(source: Source) -> tuple[str, str] | None:
    """Whose names a file has, and the prefix before them."""
    for kind, (anchor, _) in NAMES.items():
        if (prefix := prefix_of(source.tensors, anchor)) is not None:
            if kind.startswith("DINOv3"):
                prefix = prefix.removesuffix("model.")
            return kind, prefix
    return None


def _ours(key: str, kind: str) -> str:
    """A name of a file, without its prefix, under ours."""
    for pattern, new in NAMES[kind][1]:
        found, count = re.subn(rf"^(?:{pattern})", new, key)
        if count:
            key = found
            break
    head = re.match(_BLOCK[0], key)
    if head is None:
        return key
    part = key[head.end() :]
    for pattern, new in _PARTS:
        part = re.sub(rf"^(?:{pattern})", new, part)
    return key[: head.end()] + part


def _flat(name: str, tensor: Tensor) -> Tensor:
    """Linear layers that are stored as convolutions of width 1, and norms with idle axes, as ours have them."""
    if ".mlp.grn." in name:
        return tensor.flatten()
    if ".mlp." in name and tensor.ndim == 4 and tensor.shape[2:] == (1, 1):
        return tensor.flatten(1)
    return tensor


def _sizes(weights: Mapping[str, Tensor], source: Source, *, image_size: int) -> ConvNextConfig:
    """Sizes from the tensors; the epsilon from the configuration, where one tells."""
    first = weights["stem.0.weight"]
    widths, blocks = [], []
    for stage in range(4):
        numbers = {match[1] for key in weights if (match := re.match(rf"stages\.{stage}\.blocks\.(\d+)\.", key))}
        if not numbers or f"stages.{stage}.blocks.0.norm.weight" not in weights:
            raise CheckpointError(f"has a ConvNeXt without stage {stage}", where=source.path, fix="Give all of it")
        blocks.append(len(numbers))
        widths.append(weights[f"stages.{stage}.blocks.0.norm.weight"].shape[0])
    args: Any = source.config.get("model_args") or {}
    return ConvNextConfig(
        image_size=image_size,
        channels=first.shape[1],
        widths=(widths[0], widths[1], widths[2], widths[3]),
        blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        layer_scale=1e-6 if "stages.0.blocks.0.gamma" in weights else None,
        response_norm="stages.0.blocks.0.mlp.grn.weight" in weights,
        norm_eps=float(args.get("norm_eps", 1e-6)),
    )


def _variant(source: Source, prefix: str) -> str:
    """Why this network is no plain ConvNeXt; "" where it is one."""
    architecture, tensors = str(source.config.get("architecture", "")), source.tensors
    first = tensors.get(f"{prefix}stem.0.weight")
    signs = (
        (f"{prefix}stem.2.weight" in tensors, "its patches overlap"),
        (first is not None and first.shape[-1] != 4, "its first convolution is not 4 x 4"),
        (f"{prefix}norm_pre.weight" in tensors, "it normalises before it takes the mean"),
        (source.config.get("hidden_act", "gelu") != "gelu", "its activation is not GELU"),
        *((bool(re.search(part, architecture)), f"of timm's {architecture} {why}") for part, why in _REFUSED),
    )
    return next((why for there, why in signs if there), "")


LAYOUT = Layout("ConvNeXt (facebookresearch, timm, Hugging Face)", recognise, read)
