"""Where in a file a network lies: what stands before a name that every network of its kind has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import Tensor

_PATCHES: Final = "patch_embed.proj.weight"  # in every Vision Transformer of timm's names, and once


def prefix_before(tensors: Mapping[str, Tensor], name: str) -> str | None:
    """What stands before `name` in a file, "" or ending in a dot; the shortest of several, None where it is absent."""
    found = [key.removesuffix(name) for key in tensors if key.endswith(name)]
    return min((prefix for prefix in found if not prefix or prefix.endswith(".")), key=len, default=None)


def wrapping(tensors: Mapping[str, Tensor]) -> str:
    """What a training program put before the names of its Vision Transformers ("model._orig_mod."); "" if nothing."""
    found = [key.removesuffix(_PATCHES).split(".") for key in tensors if key.endswith(f".{_PATCHES}")]
    shared: list[str] = []
    for parts in zip(*found, strict=False):
        if len(set(parts)) > 1 or not parts[0]:
            break
        shared.append(f"{parts[0]}.")
    return "".join(shared)
