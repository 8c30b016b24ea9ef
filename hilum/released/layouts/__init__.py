"""Layouts of released files, one a file, and what they share; the table is in the order of asking.

A layout is asked whether a source is its own, the particular before the general: the first that says yes reads it. To
add one: a file with a `LAYOUT`, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hilum.released.asked import Asked
from hilum.released.found import Found
from hilum.released.source import Source


@dataclass(frozen=True)
class Layout:
    """How one family of released files is named and read."""

    title: str  # for people
    recognise: Callable[[Source], bool]  # by names and shapes of tensors, or by the configuration beside them
    read: Callable[[Source, Asked], Found]
    fits: Callable[[Source], bool] | None = None  # whether it may be read so if the user says so; as `recognise`


# in the order of asking
LAYOUTS: Final = {
    "biovil-t": "hilum.released.layouts.biovil_t:LAYOUT",
    "biovil": "hilum.released.layouts.biovil:LAYOUT",
    "gloria": "hilum.released.layouts.gloria:LAYOUT",
    "medklip": "hilum.released.layouts.medklip:LAYOUT",
    "convirt": "hilum.released.layouts.convirt:LAYOUT",
    "refers": "hilum.released.layouts.refers:LAYOUT",
    "m3ae": "hilum.released.layouts.m3ae:LAYOUT",
    "biomedclip": "hilum.released.layouts.biomedclip:LAYOUT",
    "chexzero": "hilum.released.layouts.clip:CHEXZERO",
    "pubmedclip": "hilum.released.layouts.clip:PUBMEDCLIP",
    "clip": "hilum.released.layouts.clip:LAYOUT",
    "dinov3": "hilum.released.layouts.dinov3:LAYOUT",
    "huggingface": "hilum.released.layouts.huggingface:LAYOUT",
    "eva-x": "hilum.released.layouts.eva_x:LAYOUT",
    "maco": "hilum.released.layouts.maco:LAYOUT",
    "mrm": "hilum.released.layouts.mrm:LAYOUT",
    "mgca": "hilum.released.layouts.mgca:LAYOUT",
    "dinov2": "hilum.released.layouts.dinov2:LAYOUT",
    "chexfound": "hilum.released.layouts.chexfound:LAYOUT",
    "timm": "hilum.released.layouts.timm_vit:LAYOUT",
    "mae": "hilum.released.layouts.mae:LAYOUT",
    "torchxrayvision": "hilum.released.layouts.torchxrayvision_layout:LAYOUT",
    "convnext": "hilum.released.layouts.convnext:LAYOUT",
    "densenet": "hilum.released.layouts.densenet:LAYOUT",
    "resnet": "hilum.released.layouts.resnet:LAYOUT",
}
