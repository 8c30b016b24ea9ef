"""Paths of this machine, cut to their last part: where somebody keeps films is nobody else's business."""

from __future__ import annotations

import re
from typing import Any, Final

# an absolute path of Unix or Windows that stands alone, or behind a space, quote, comma or equals sign
_PLACE: Final = re.compile(r"""(?<![^\s'"=,(])(?:~?/|[A-Za-z]:[\\/])(?:[^\s'",=]+[\\/])?([^\s'",=\\/]+)[\\/]?""")


def without_places(text: str) -> str:
    """Text with every absolute path in it cut to its last part."""
    return _PLACE.sub(r"\1", text)


def record_without_places(value: Any) -> Any:
    """The same for every text in nested JSON values."""
    if isinstance(value, str):
        return without_places(value)
    if isinstance(value, dict):
        return {key: record_without_places(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [record_without_places(part) for part in value]
    return value
