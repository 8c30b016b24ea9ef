"""Lightning files of MGCA and MedIM: the image encoder.

Papers: https://arxiv.org/abs/2210.06044, https://arxiv.org/abs/2307.05666; names of HKU-MedAI/MGCA at 680fe4a.
"""

from __future__ import annotations

from hilum.models.pretrained.mae import sort_mae
from hilum.models.pretrained.medim import is_mgca, sort_mgca
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.pixels import record
from hilum.released.source import Source


def recognise(source: Source) -> bool:
    """Whether there is an image encoder under MGCA's name."""
    return is_mgca(source.tensors)


def read(source: Source, asked: Asked) -> Found:
    """The image encoder."""
    file = sort_mgca(source.tensors, where=source.path)
    image = sort_mae(file.image, heads=asked.heads, where=source.path)
    sizes, known = image.config, {key for key, _ in file.dropped}
    side = [key for key in source.tensors if not key.startswith("img_encoder_q.model.") and key not in known]
    return Found(
        sizes,
        image.backbone,
        record("mgca", size=sizes.image_size, channels=sizes.channels),
        (*((key, "no part of the image encoder") for key in side), *file.dropped, *image.dropped),
    )


LAYOUT = Layout("MGCA", recognise, read)
