"""DINOv2's files as Meta releases them: a bare backbone with its mask token.

Paper: https://arxiv.org/abs/2304.07193; names of facebookresearch/dinov2, whose position tables are resized by a scale
factor with an offset.
"""

from __future__ import annotations

from hilum.models.pretrained.chexfound import BACKBONES, is_chexfound, sort_chexfound
from hilum.released import chexfound
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout
from hilum.released.source import Source


def recognise(source: Source) -> bool:
    """Whether the tensors are a bare backbone of DINOv2."""
    named = tuple(f"{name}." for name in BACKBONES)
    return is_chexfound(source.tensors) and not any(key.startswith(named) for key in source.tensors)


def read(source: Source, asked: Asked) -> Found:
    """The backbone."""
    file = sort_chexfound(source.tensors, heads=asked.heads, where=source.path)
    return chexfound.found(source, file, pixels="dinov2" if file.bare else "chexfound")


LAYOUT = Layout("DINOv2", recognise, read)
