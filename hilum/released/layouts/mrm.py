"""MRM's file: the whole model of pretraining, of which the image encoder is taken.

Paper: https://arxiv.org/abs/2301.13155; names of RL4M/MRM-pytorch at 3730ba4. It restores reports and never compares
them with films, so there is no joint space to load.
"""

from __future__ import annotations

from hilum.models.pretrained.mrm import is_mrm, sort_mrm
from hilum.models.pretrained.tensors import stripped
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.layouts.mae import left_aside
from hilum.released.pixels import record
from hilum.released.source import Source


def recognise(source: Source) -> bool:
    """Whether there is MRM's report decoder."""
    return is_mrm(source.tensors)


def read(source: Source, asked: Asked) -> Found:
    """The image encoder."""
    file = sort_mrm(source.tensors, heads=asked.heads, text_heads=asked.text_heads, where=source.path)
    sizes, known = file.image.config, {key for key, _ in (*file.dropped, *file.image.dropped)}
    report = [key for key in source.tensors if stripped(key).startswith(("bert_encoder.", "bert_mlp."))]
    return Found(
        sizes,
        file.image.backbone,
        record("mrm", size=sizes.image_size, channels=sizes.channels),
        (
            *left_aside(source, file.image),
            *((key, "the report decoder, which restores words") for key in report if key not in known),
            *file.dropped,
            *file.image.dropped,
        ),
    )


LAYOUT = Layout("MRM", recognise, read)
