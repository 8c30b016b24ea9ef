"""MedKLIP: the first three stages of a ResNet-50, asked about entities by a transformer.

Paper: https://arxiv.org/abs/2301.02228; names of MediaBrain-SJTU/MedKLIP at 59f7778. The trunk is a sequence of
torchvision's parts up to stage 3 (`res_features.0` to `.6`); `res_l1` and `res_l2` bring its cells to the width of the
decoder that answers for each entity. The entities' own vectors come from a BERT that is not in the file, so films and
texts share no space here: the trunk is the encoder. Files of its fine-tuning hold all four stages and a classifier.
"""

from __future__ import annotations

from typing import Final

from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.prefixes import prefix_before
from hilum.released.layouts.trunk import take_trunk
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

_FIRST: Final = "res_features.0.weight"
_OWN: Final = ("disease_embedding_layer.weight", "res_out.weight")  # of pretraining, of fine-tuning
_ASIDE: Final = {  # pattern -> why it is left behind
    r"res_l[12]\.": "brings cells to the width of the decoder that asks about entities",
    r"decoder\.": "asks the map about entities whose vectors come from a BERT that the file does not hold",
    r"disease_embedding_layer\.|cl_fc\.": "reads and tells apart entities and places, of use with that BERT only",
    r"classifier\.|res_out\.": "the classifier",
}


def recognise(source: Source) -> bool:
    """Whether there is a numbered ResNet beside MedKLIP's own layers."""
    prefix = prefix_before(source.tensors, _FIRST)
    return prefix is not None and any(prefix + name in source.tensors for name in _OWN)


def read(source: Source, asked: Asked) -> Found:
    """The trunk."""
    ledger = Ledger(source.tensors, source.path)
    prefix = prefix_before(source.tensors, _FIRST) or ""
    pixels = record("medklip", size=asked.image_size)
    trunk = take_trunk(ledger, f"{prefix}res_features.", numbered=True, image_size=pixels.size)
    for pattern, why in _ASIDE.items():
        ledger.drop(rf"(module\.)?({pattern})", why)
    pixels = record("medklip", size=pixels.size, channels=trunk.config.channels)
    return Found(trunk.config, trunk.weights, pixels, ledger.close())


LAYOUT = Layout("MedKLIP", recognise, read)
