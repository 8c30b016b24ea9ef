"""What the layouts of convolutional encoders share: where in a file the network lies, and which pixels it sees.

A bare file of weights does not tell how its films were normalised. Supervised networks of ImageNet and what started
from them take ImageNet's pixels; a note says that this was assumed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from torch import Tensor

from hilum.released.asked import Asked
from hilum.released.pixels import from_processor, from_timm, record
from hilum.released.source import Source
from hilum.schema import Preprocessing

COUNTER: Final = "a counter that a fixed momentum does not read"
CLASSIFIER: Final = "the classifier or projection behind the film's vector"
AVERAGE: Final = "a slower copy of the encoder, of use in pretraining only"
# MoCo's keys, MoCo v3's and BYOL's slower networks
COPIES: Final = r"(.*\.)?(encoder_k|momentum_encoder|key_encoder|target_\w+|teacher\w*|\w+_(momentum|ema|k))\."


def prefix_of(tensors: Mapping[str, Tensor], anchor: str) -> str | None:
    """What stands before `anchor`, a name that every network of a family has; None where none is in the file.

    Of several networks the one that learns by gradients is meant, not its moving average; then the shortest prefix.
    """
    found = [key.removesuffix(anchor) for key in tensors if key.endswith(anchor)]
    found = [prefix for prefix in found if not prefix or prefix.endswith(".")]
    learning = [prefix for prefix in found if not re.match(COPIES, prefix)]
    return min(learning or found, key=len, default=None)


def opened(prefix: str) -> tuple[str, ...]:
    """A note on the prefix, where there is one."""
    return (f"read from under {prefix[:-1]}",) if prefix else ()


def pixels_for(source: Source, name: str, asked: Asked, channels: int) -> tuple[Preprocessing, tuple[str, ...]]:
    """The record of an encoder, and a note where it was assumed.

    Args:
        source: whose folder may say how its pixels are made (Hugging Face, timm).
        name: of the record that holds where nothing says.
        asked: for another size.
        channels: of the network.
    """
    size, found = asked.image_size, None
    if source.pixels:
        found = from_processor(source.pixels, where=source.path)
    elif "pretrained_cfg" in source.config:
        found = from_timm(source.config, where=source.path)
    if found is not None and found.channels == channels:
        return (found if size is None else found.at(size)), ()
    how = "an even grey norm, since it takes one channel" if channels == 1 else f"those of {name!r}"
    assumed = f"pixels: {how}, assumed, since the file does not tell; if it was trained on others, its features suffer"
    return record(name, size=size, channels=channels), (assumed,)
