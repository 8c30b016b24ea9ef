"""CheXFound's files: student and teacher of self-distillation, of which the teacher's backbone is taken.

Paper: https://arxiv.org/abs/2502.05142; names of RPIDIAL/CheXFound at a4bac49, blocks in chunks or not. Downstream each
film is stretched to its own [0, 1] first.
"""

from __future__ import annotations

import re

from hilum.models.pretrained.chexfound import ChexfoundFile, is_chexfound, sort_chexfound
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.pixels import from_processor, record
from hilum.released.source import Source


def recognise(source: Source) -> bool:
    """Whether there is a student or a teacher."""
    return is_chexfound(source.tensors)


def read(source: Source, asked: Asked) -> Found:
    """The teacher's backbone; the student's in a file without a teacher."""
    return found(source, sort_chexfound(source.tensors, heads=asked.heads, where=source.path), pixels="chexfound")


def found(source: Source, file: ChexfoundFile, *, pixels: str) -> Found:
    """The backbone of a file, behind the pixels that lie beside it, else RAD-DINO's by its name, else of this name."""
    known = {key for key, _ in file.dropped}
    others = [key for key in source.tensors if key not in file.used and key not in known]
    sizes, why = file.config, "a head, a center or the other network, of use in pretraining only"
    whose = "rad-dino" if re.search(r"rad.?dino", source.path.name.lower()) else pixels
    said = from_processor(source.pixels, where=source.path) if source.pixels else None
    return Found(
        sizes,
        file.backbone,
        said or record(whose, size=sizes.image_size, channels=sizes.channels),
        (*((key, why) for key in others), *file.dropped),
        notes=() if said else (f"pixels of {whose}: no configuration lies beside the weights",),
    )


LAYOUT = Layout("CheXFound", recognise, read)
