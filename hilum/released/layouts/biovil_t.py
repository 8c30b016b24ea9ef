"""BioViL-T: BioViL with a second half of features that says what changed since an earlier film.

Paper: https://arxiv.org/abs/2301.04558; names of hi-ml-multimodal 0.2.2. A convolution brings each cell of the last map
to 256 features; 256 more come from three transformer blocks that compare it with an earlier film. Here one film is
read, as the release does without an earlier one: a learned vector, the same for every cell, stands for the comparison,
and the blocks that would make it stay behind.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hilum.errors import CheckpointError
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.biovil import PROJECTOR, REDUCED, TRUNK, notes_on, take_joint
from hilum.released.layouts.cxr_bert import read_cxr_bert
from hilum.released.layouts.trunk import take_trunk
from hilum.released.ledger import Ledger
from hilum.released.pixels import record
from hilum.released.source import Source

_ABSENT: Final = "encoder.missing_previous_emb"
_NOTE: Final = "one film at a time: the half of its features that compares with an earlier film is a constant"


def recognise(source: Source) -> bool:
    """Whether there are BioViL's trunk and projection, and what joins a film with an earlier one."""
    return {f"{TRUNK}conv1.weight", f"{PROJECTOR}0.weight", REDUCED, _ABSENT} <= source.tensors.keys()


def read(source: Source, asked: Asked) -> Found:
    """The image encoder for one film, and the towers where its report encoder is at hand."""
    ledger = Ledger(source.tensors, source.path)
    pixels = record("biovil-t", size=asked.image_size)
    trunk = take_trunk(ledger, TRUNK, image_size=pixels.size, local_stage=4)
    reduced, absent = ledger.take(REDUCED), ledger.take(_ABSENT)
    if reduced.ndim != 4:
        raise CheckpointError(f"its {REDUCED} is no convolution", where=source.path, fix="Give the whole file")
    ledger.drop(r"encoder\.vit_pooler\.", "compares a film with an earlier one; one film is read here")
    text = read_cxr_bert(source, asked)
    joint = take_joint(ledger, text)
    config = replace(trunk.config, paired=reduced.shape[0])
    image = {**trunk.weights, "pair.reduce.weight": reduced, "pair.no_earlier": absent}
    pixels = replace(pixels, channels=config.channels)
    return Found(
        config, image, pixels, ledger.close(r"encoder\.|projector\."), notes=(_NOTE, *notes_on(text)), joint=joint
    )


LAYOUT = Layout("BioViL-T", recognise, read)
