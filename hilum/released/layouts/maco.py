"""MaCo's file: image encoder, and the towers that compare films with reports.

Paper: https://arxiv.org/abs/2309.05904; names of SZUHvern/MaCo at 7f64d95. The file holds no tokenizer: without one its
text tower stays behind.
"""

from __future__ import annotations

from hilum.models.pretrained.maco import is_maco, sort_maco
from hilum.released.asked import Asked
from hilum.released.found import Found, Joint
from hilum.released.layouts import Layout
from hilum.released.layouts.mae import left_aside
from hilum.released.pixels import record
from hilum.released.source import Source


def recognise(source: Source) -> bool:
    """Whether there are MaCo's projection and its weights of positions."""
    return is_maco(source.tensors)


def read(source: Source, asked: Asked) -> Found:
    """Image encoder and towers."""
    file = sort_maco(source.tensors, heads=asked.heads, text_heads=asked.text_heads, where=source.path)
    sizes = file.image.config
    scale = [
        (key, "the learned temperature, which cosines do not need") for key in source.tensors if key[-4:] == "Tpar"
    ]
    return Found(
        sizes,
        file.image.backbone,
        record("maco", size=sizes.image_size, channels=sizes.channels),
        (*left_aside(source, file.image), *scale, *file.dropped, *file.image.dropped),
        joint=Joint(file.config, file.towers, file.vocabulary),
    )


LAYOUT = Layout("MaCo", recognise, read)
