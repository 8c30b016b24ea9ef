"""Where in a file a network lies: what stands before a name that every network of its kind has."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def prefix_before(tensors: Mapping[str, Tensor], name: str) -> str | None:
    """What stands before `name` in a file, "" or ending in a dot; the shortest of several, None where it is absent."""
    found = [key.removesuffix(name) for key in tensors if key.endswith(name)]
    return min((prefix for prefix in found if not prefix or prefix.endswith(".")), key=len, default=None)
