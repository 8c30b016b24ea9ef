"""Plain DenseNets in torchvision's names, which timm keeps: supervised on ImageNet, or CheXNet-like ones on films.

Names from before torchvision 0.4 (`denselayer1.norm.1`) are those of today with a dot more. Films meet ImageNet's mean
and deviation unless the folder says otherwise. torchxrayvision's, of one channel, are a layout of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.densenet import BOTTLENECK, DenseNetConfig
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.convolutions import AVERAGE, CLASSIFIER, COPIES, COUNTER, opened, pixels_for, prefix_of
from hilum.released.ledger import Ledger
from hilum.released.source import Source

ANCHOR: Final = "features.denseblock1.denselayer1.conv2.weight"
OLD_ANCHOR: Final = "features.denseblock1.denselayer1.conv.2.weight"
_OLD: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.")
_PLAIN: Final = re.compile(r"(tv_)?densenet\d+$")  # architectures of timm that are torchvision's


def prefix_in(source: Source) -> str | None:
    """What stands before `features` of a DenseNet; None where there is none."""
    found = prefix_of(source.tensors, ANCHOR)
    return prefix_of(source.tensors, OLD_ANCHOR) if found is None else found


def recognise(source: Source) -> bool:
    """Whether there is a DenseNet, under any prefix."""
    return prefix_in(source) is not None


def read(source: Source, asked: Asked) -> Found:
    """The encoder; classifiers are left out.

    Raises:
        CheckpointError: a variant that Hilum does not build, or tensors without a place.
    """
    architecture = str(source.config.get("architecture", "")).split(".")[0]
    if architecture and not _PLAIN.match(architecture):
        raise CheckpointError(f"is timm's {architecture}, which Hilum does not build", where=source.path)
    ledger = Ledger(source.tensors, source.path)
    prefix, weights = take_weights(ledger, source)
    pixels, notes = pixels_for(source, "imagenet", asked, weights["features.conv0.weight"].shape[1])
    sizes = densenet_config(weights, source.path, image_size=pixels.size)
    return Found(sizes, weights, pixels, ledger.close(), notes=(*opened(prefix), *notes))


def take_weights(ledger: Ledger, source: Source) -> tuple[str, dict[str, Tensor]]:
    """The prefix of a DenseNet and its tensors under today's names; counters and the classifier are dropped.

    Raises:
        CheckpointError: a file without its first convolution.
    """
    prefix = prefix_in(source) or ""
    ledger.drop(r".*num_batches_tracked$", COUNTER)
    found = ledger.take_under(f"{prefix}features.")
    weights = {"features." + _OLD.sub(r"\1\2.", key): value for key, value in found.items()}
    if "features.conv0.weight" not in weights:
        what = "has a DenseNet without features.conv0"
        raise CheckpointError(what, where=source.path, fix="Give the whole file of a plain DenseNet")
    ledger.drop(rf"{re.escape(prefix)}(classifier|fc)\.", CLASSIFIER)
    ledger.drop(COPIES, AVERAGE)
    return prefix, weights


def densenet_config(weights: Mapping[str, Tensor], where: Any, *, image_size: int) -> DenseNetConfig:
    """The sizes of a DenseNet in our names.

    Raises:
        CheckpointError: not four blocks, or layers of another form.
    """
    blocks = [
        len(
            {
                match[1]
                for key in weights
                if (match := re.match(rf"features\.denseblock{stage}\.denselayer(\d+)\.", key))
            }
        )
        for stage in (1, 2, 3, 4)
    ]
    stem, growth = weights["features.conv0.weight"], weights[ANCHOR].shape[0]
    inside = weights[ANCHOR].shape[1]
    if not all(blocks) or inside != BOTTLENECK * growth:
        what = f"has a DenseNet of {blocks} layers a block, {inside} features inside a layer and {growth} out of it"
        raise CheckpointError(what, where=where, fix=f"Hilum builds four blocks, {BOTTLENECK} times as many inside")
    first, second, third, fourth = blocks
    return DenseNetConfig(
        image_size=image_size,
        channels=stem.shape[1],
        stem=stem.shape[0],
        growth=growth,
        blocks=(first, second, third, fourth),
    )


LAYOUT = Layout("DenseNet (torchvision, timm)", recognise, read)
