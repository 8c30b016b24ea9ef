"""DINOv2's files as Meta releases them: a bare backbone with its mask token.

Paper: https://arxiv.org/abs/2304.07193; names of facebookresearch/dinov2. Position tables are resized by a scale factor
with an offset; those of networks with registers to the exact size, antialiased (its hub/backbones.py, from memory, and
transformers). RAD-DINO also comes in these names: only what lies beside the file, or its name, tells whose pixels.
"""

from __future__ import annotations

from dataclasses import replace

from hilum.models.pretrained.chexfound import BACKBONES, is_chexfound, sort_chexfound
from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.layouts import Layout, chexfound
from hilum.released.source import Source


def recognise(source: Source) -> bool:
    """Whether the tensors are a bare backbone of DINOv2."""
    named = tuple(f"{name}." for name in BACKBONES)
    return is_chexfound(source.tensors) and not any(key.startswith(named) for key in source.tensors)


def read(source: Source, asked: Asked) -> Found:
    """The backbone."""
    file = sort_chexfound(source.tensors, heads=asked.heads, where=source.path)
    found = chexfound.found(source, file, pixels="dinov2" if file.bare else "chexfound")
    if not file.bare or not file.config.registers:
        return found
    return replace(found, architecture=replace(file.config, position_resize="bicubic_antialias"))


LAYOUT = Layout("DINOv2", recognise, read)
