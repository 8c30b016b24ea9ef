"""What a layout makes of a source: all that an `Encoder` needs, under our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from hilum.encoder import Pool
from hilum.models.backbone import Architecture
from hilum.models.towers import TowersConfig
from hilum.released.ledger import Dropped
from hilum.schema import Preprocessing
from hilum.transforms.text import Tokenizer


@dataclass(frozen=True)
class Joint:
    """The side that compares films with text."""

    config: TowersConfig
    weights: Mapping[str, Tensor]  # names of `Towers`, all of them
    vocabulary: int
    tokenizer: Tokenizer | None = None  # where it came with the source


@dataclass(frozen=True)
class Found:
    """An encoder read, not yet built."""

    architecture: Architecture
    image: Mapping[str, Tensor]  # names of the backbone, all of them
    preprocessing: Preprocessing
    dropped: Dropped = ()
    pool: Pool = "cls"  # the vector that its authors use
    notes: tuple[str, ...] = ()  # what was assumed, and how to say otherwise
    joint: Joint | None = None
