"""The ResNet inside a file of image and report encoders, in torchvision's names or numbered as a sequence.

The files keep their trunk under a prefix, with torchvision's names (`conv1`, `bn1`, `layer1`, ...), or as a sequence of
torchvision's parts (`0`, `1`, `4`, ...), where ReLU and pooling have numbers but no weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.resnet import ResNetConfig
from hilum.released.ledger import Ledger

_TRUNK: Final = r"(conv1|bn1|layer[1-4]\.\d+)\."
_NUMBERED: Final = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
COUNTER: Final = "a counter that a fixed momentum does not read"
CLASSIFIER: Final = "ImageNet's classifier, which no forward pass calls"


@dataclass(frozen=True)
class Trunk:
    """A ResNet under our names."""

    config: ResNetConfig
    weights: dict[str, Tensor]  # names of `ResNet`


def take_trunk(ledger: Ledger, prefix: str, *, numbered: bool = False, **options: Any) -> Trunk:
    """Take the ResNet under a prefix, and nothing else there; counters and an ImageNet classifier are dropped.

    Args:
        ledger: the file.
        prefix: what stands before `conv1.weight`, or before `0.weight`.
        numbered: the parts have numbers instead of names.
        **options: fields of `ResNetConfig` that no tensor tells: image_size, enlarged, local_stage.

    Raises:
        CheckpointError: no ResNet of either kind of block.
    """
    ledger.drop(rf"{re.escape(prefix)}.*num_batches_tracked$", COUNTER)
    ledger.drop(rf"{re.escape(prefix)}fc\.", CLASSIFIER)
    weights = {}
    for key in ledger.left:
        part = key.removeprefix(prefix)
        ours = _renumbered(part) if numbered else part
        if key.startswith(prefix) and re.match(_TRUNK, ours):
            weights[ours] = ledger.take(key)
    return Trunk(trunk_config(weights, ledger.where, **options), weights)


def trunk_config(weights: Mapping[str, Tensor], where: str | Path, **options: Any) -> ResNetConfig:
    """The sizes of a ResNet in torchvision's names; arguments and errors as `take_trunk`."""
    first, inside = weights.get("conv1.weight"), weights.get("layer1.0.conv1.weight")
    if first is None or inside is None or first.ndim != 4 or inside.ndim != 4:
        raise CheckpointError("has no ResNet whose sizes can be read: conv1 or layer1 is missing", where=where)
    blocks: dict[int, set[int]] = {}
    for key in weights:
        if found := re.match(r"layer(\d)\.(\d+)\.", key):
            blocks.setdefault(int(found[1]), set()).add(int(found[2]))
    told = tuple(len(numbers) for _, numbers in sorted(blocks.items()))  # a gap shows when weights find no place
    if sorted(blocks) != list(range(1, len(blocks) + 1)) or len(blocks) not in (3, 4):
        raise CheckpointError(f"has a ResNet of the stages {sorted(blocks)}, where 1 to 4 are needed", where=where)
    return ResNetConfig(
        stem=first.shape[0],
        channels=first.shape[1],
        planes=inside.shape[0],
        blocks=told,
        block="bottleneck" if "layer1.0.conv3.weight" in weights else "basic",
        **options,
    )


def _renumbered(key: str) -> str:
    """A name in a numbered sequence under torchvision's."""
    number, _, rest = key.partition(".")
    return f"{_NUMBERED.get(number, number)}.{rest}"
