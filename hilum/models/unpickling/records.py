"""What a pickle's names, objects and tensors become: plain records without behaviour."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final


class RefusedError(Exception):
    """The file cannot be read safely; its message is the half sentence that its reader is told."""


# storage and array types: safetensors' name of the number type, bytes each
SIZES: Final[Mapping[str, int]] = MappingProxyType({
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Name:
    """A name that a pickle asks for: a class or a function, never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Object:
    """What a call of a name would have made.

    Attributes:
        kind: the name called.
        args: its arguments.
        state: what BUILD set on it.
        items: what it was given as a dictionary.
        members: what it was given as a list or set.
    """

    kind: Name
    args: tuple[Any, ...] = ()
    state: Any = None
    items: dict[str, Any] = field(default_factory=dict)
    members: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Storage:
    """Numbers in a row, still in the file.

    Attributes:
        key: the file's own name of it.
        dtype: a key of `SIZES`, or another type's name that we do not read (complex, quantised).
        count: how many numbers the pickle declares.
        raw: the bytes, set once they have been found.
        swapped: whether they are big-endian.
        crc: what zip's CRC-32 of the bytes must be, where the file says.
    """

    key: str
    dtype: str
    count: int
    raw: memoryview | None = None
    swapped: bool = False
    crc: int | None = None


@dataclass(frozen=True, eq=False)
class Tensor:
    """A view of a storage: offset and strides count numbers, not bytes; checked in `layout.py`."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(eq=False)
class Array:
    """A NumPy array under construction: made empty, filled by BUILD."""

    content: Any = None


def key_of(value: Any) -> str:
    """A dictionary's key as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and value.bit_length() > 64:
        return f"<integer of {value.bit_length()} bits>"
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, bytes):
        return value[:200].decode("latin-1")
    if isinstance(value, Name):
        return f"<{value}>"
    if isinstance(value, Object):
        return f"<{value.kind}>"
    if isinstance(value, tuple) and len(value) <= 16 and not any(isinstance(item, tuple) for item in value):
        return f"({', '.join(key_of(item) for item in value)})"
    raise RefusedError(f"a dictionary in it has a {type(value).__name__} as key")


def check_sum(raw: memoryview, crc: int, name: str) -> None:
    """Compare bytes with their CRC-32.

    Raises:
        RefusedError: they are not those that were written.
    """
    total = 0
    for first in range(0, len(raw), 1 << 22):
        total = zlib.crc32(raw[first : first + (1 << 22)], total)
    if total != crc:
        raise RefusedError(f"the check sum of {name} in it does not match: it is damaged")
