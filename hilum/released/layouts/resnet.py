"""Plain ResNets: supervised on ImageNet, or pretrained by a contrastive method that keeps their names.

torchvision's and timm's names (`conv1`, `layer1.0.conv1`, `fc`), numbered ones (`0`, `4.0.conv1`), and Hugging Face's
(`embedder`, `encoder.stages`), under any prefix: `encoder_q.` of MoCo, `module.`, `backbone.` and so on. Variants that
compute something else under the same or nearly the same names are refused by name. Films meet ImageNet's mean and
deviation, those of torchvision's first weights (256, crop 224), unless the folder says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.convolutions import AVERAGE, CLASSIFIER, COPIES, COUNTER, opened, pixels_for, prefix_of
from hilum.released.layouts.trunk import trunk_config
from hilum.released.ledger import Ledger
from hilum.released.source import Source

NAMED: Final = "layer1.0.conv1.weight"
NUMBERED: Final = "4.0.conv1.weight"
HUGGING_FACE: Final = "embedder.embedder.convolution.weight"
_TRUNK: Final = r"(conv1|bn1|layer[1-4]\.\d+)\."
_NUMBERS: Final = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_LAYER: Final = re.compile(
    r"encoder\.stages\.(\d)\.layers\.(\d+)\.(?:layer\.(\d)|(shortcut))\.(convolution|normalization)\."
)
_PLAIN: Final = re.compile(r"(tv_|gluon_)?resnet\d+(_v1b)?$")  # architectures of timm that are torchvision's


def recognise(source: Source) -> bool:
    """Whether there is a ResNet, under any prefix, and no image-text encoder of CLIP."""
    if prefix_of(source.tensors, HUGGING_FACE) is not None:
        return True
    prefix = prefix_of(source.tensors, NAMED)
    if prefix is None:
        return prefix_of(source.tensors, NUMBERED) is not None
    return f"{prefix}attnpool.q_proj.weight" not in source.tensors


def read(source: Source, asked: Asked) -> Found:
    """The encoder; classifiers, projections and moving averages are left out.

    Raises:
        CheckpointError: a variant that Hilum does not build, by its name; or tensors without a place.
    """
    ledger = Ledger(source.tensors, source.path)
    prefix, weights = take_weights(ledger)
    if why := _variant(source, weights, prefix):
        raise CheckpointError(
            f"is a ResNet with {why}, which Hilum does not build", where=source.path, fix="Give a plain ResNet"
        )
    channels = weights["conv1.weight"].shape[1]
    pixels, notes = pixels_for(source, "imagenet", asked, channels)
    sizes = trunk_config(weights, source.path, image_size=pixels.size)
    return Found(sizes, weights, pixels, ledger.close(), notes=(*opened(prefix), *notes))


def take_weights(ledger: Ledger) -> tuple[str, dict[str, Tensor]]:
    """The prefix of a ResNet and its tensors under our names; what is known to be no part of it is dropped.

    Raises:
        CheckpointError: a file without its first convolution.
    """
    ledger.drop(r".*num_batches_tracked$", COUNTER)
    weights: dict[str, Tensor] = {}
    if (prefix := prefix_of(ledger.tensors, HUGGING_FACE)) is not None:
        for key in ledger.left:
            if key.startswith(prefix) and (ours := _from_hugging_face(key.removeprefix(prefix))):
                weights[ours] = ledger.take(key)
        ledger.drop(r"classifier\.", CLASSIFIER)
    elif (prefix := prefix_of(ledger.tensors, NAMED)) is not None:
        for key in ledger.left:
            if re.match(re.escape(prefix) + _TRUNK, key):
                weights[key.removeprefix(prefix)] = ledger.take(key)
    elif (prefix := prefix_of(ledger.tensors, NUMBERED)) is not None:
        for key in ledger.left:
            number, _, rest = key.removeprefix(prefix).partition(".")
            if key.startswith(prefix) and number in _NUMBERS:
                weights[f"{_NUMBERS[number]}.{rest}"] = ledger.take(key)
    ledger.drop(rf"{re.escape(prefix or '')}fc\.", CLASSIFIER)
    ledger.drop(COPIES, AVERAGE)
    if not {"conv1.weight", "conv1.0.weight"} & set(weights):
        raise CheckpointError("has a ResNet without its first convolution", where=ledger.where, fix="Give all of it")
    return prefix or "", weights


def _from_hugging_face(key: str) -> str | None:
    """A name of transformers' ResNetModel under torchvision's; None for what is no part of it."""
    part = {"convolution": "conv", "normalization": "bn"}
    if key.startswith("embedder.embedder."):
        kind, _, rest = key.removeprefix("embedder.embedder.").partition(".")
        return f"{part[kind]}1.{rest}" if kind in part else None
    found = _LAYER.match(key)
    if found is None:
        return None
    stage, block, number, shortcut, kind = found.groups()
    rest = key[found.end() :]
    place = f"downsample.{int(kind == 'normalization')}" if shortcut else f"{part[kind]}{int(number) + 1}"
    return f"layer{int(stage) + 1}.{block}.{place}.{rest}"


def _variant(source: Source, weights: Mapping[str, Tensor], prefix: str) -> str:
    """In words what sets these weights apart from a plain ResNet; "" where nothing does."""
    config, first = source.config, {key: tuple(value.shape) for key, value in weights.items() if "layer1.0." in key}
    architecture = str(config.get("architecture", "")).split(".")[0]
    inside, wide = first.get("layer1.0.conv2.weight", (0, 0)), first.get("layer1.0.conv3.weight")
    signs = (
        ("conv1.0.weight" in weights, "a stem of three convolutions (ResNet-C, -D, -T or -S)"),
        (f"{prefix}conv2.weight" in source.tensors, "a stem of three convolutions, as CLIP's"),
        (any(".downsample.2." in key for key in weights), "shortcuts that take means (ResNet-D)"),
        (any(re.search(r"\.(se|eca|attn)\.", key) for key in weights), "attention over channels (SE, ECA)"),
        ("bn1.running_mean" not in weights, "another norm than batch normalisation"),
        (inside[0] != inside[1], "grouped convolutions (ResNeXt)"),
        (wide is not None and wide[0] != 4 * wide[1], "blocks of another width (wide ResNet)"),
        (bool(architecture) and not _PLAIN.match(architecture), f"the changes of timm's {architecture}"),
        (bool(config.get("downsample_in_bottleneck")), "strides on its 1 x 1 convolutions"),
        (bool(config.get("downsample_in_first_stage")), "a first stage that halves the map"),
        (config.get("hidden_act", "relu") != "relu", f"the activation {config.get('hidden_act')}"),
    )
    return next((why for there, why in signs if there), "")


LAYOUT = Layout("ResNet (torchvision, timm, Hugging Face)", recognise, read)
