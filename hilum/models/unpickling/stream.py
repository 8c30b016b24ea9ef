"""The format of torch < 1.6: five pickles one behind the other, then the storages; and bare pickles of arrays.

    magic number, protocol 1001, a note on the machine, the content, the keys of the storages;
    for each key a count (8 bytes, little-endian) and that many numbers, little-endian whatever machine wrote them

Source: described from the behaviour of `torch.serialization` (`_legacy_save` and `_legacy_load` of torch 2.13).
"""

from __future__ import annotations

import mmap
import struct
from typing import Any, Final

from hilum.models.unpickling.archive import described
from hilum.models.unpickling.machine import unpickle
from hilum.models.unpickling.names import WIDTHS, readable
from hilum.models.unpickling.records import SIZES, Name, RefusedError, Storage

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001


def read_stream(file: mmap.mmap, view: memoryview) -> Any:
    """The content of a file in the old format, or of a bare pickle without tensors of PyTorch.

    Args:
        file: the whole file, standing at its start.
        view: the same as a memory view; storages become slices of it.

    Raises:
        RefusedError: neither, damaged, or cut off.
    """
    first = unpickle(file, _no_storage)
    if first != _MAGIC or isinstance(first, bool):
        if file.tell() != len(view):
            raise RefusedError("it is a pickle with something behind it, so not one of torch.save")
        return first
    if unpickle(file, _no_storage) != _PROTOCOL:
        raise RefusedError("it is of an unknown version of PyTorch's old format")
    unpickle(file, _no_storage)  # the machine that wrote it
    storages: dict[str, Storage] = {}
    views: list[tuple[Storage, Storage, int]] = []

    def persistent(identity: Any) -> Any:
        if isinstance(identity, tuple) and len(identity) == 4 and identity[0] == "module":
            if not isinstance(identity[1], Name):
                raise RefusedError("a network in it is of no class")
            return identity[1]  # its class; the source code beside it is not looked at
        found = storages.setdefault((new := described(identity)).key, new)
        if found.dtype != new.dtype:
            raise RefusedError(f"storage {readable(found.key)} in it is of two types")
        return _part(found, identity[5] if len(identity) > 5 else None, views)

    content = unpickle(file, persistent)
    keys = unpickle(file, _no_storage)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise RefusedError("the list of storages in it is damaged")
    place = file.tell()
    for key in keys:
        place = _fill(storages.pop(key, None), view, place)
    if storages:
        raise RefusedError(f"the numbers of storage {readable(next(iter(storages)))} are missing from it")
    for part, whole, offset in views:
        width = _width(part)
        raw = whole.raw if whole.raw is not None else memoryview(b"")
        part.raw = raw[offset * width : (offset + part.count) * width]
    return content


def _no_storage(identity: Any) -> Any:
    raise RefusedError("its pickle refers to a storage before it says which there are")


def _part(whole: Storage, view: Any, views: list[tuple[Storage, Storage, int]]) -> Storage:
    """A storage, or the part of it that a view (key, offset, count) of torch < 0.4 stands for."""
    if view is None:
        return whole
    if not isinstance(view, tuple) or len(view) != 3 or not all(type(n) is int and n >= 0 for n in view[1:]):
        raise RefusedError("a storage in it is a view of nothing")
    part = Storage(f"{whole.key} in part", whole.dtype, view[2])
    views.append((part, whole, view[1]))
    return part


def _fill(storage: Storage | None, view: memoryview, place: int) -> int:
    """Give a storage its bytes at `place`; where the next begins."""
    if storage is None:
        raise RefusedError("the list of storages in it names one that its content does not")
    if place + 8 > len(view):
        raise RefusedError("it ends before its numbers: it was cut off, as by a download that broke")
    (count,) = struct.unpack_from("<q", view, place)
    end: int = place + 8 + count * _width(storage)
    if count != storage.count:
        raise RefusedError(f"storage {readable(storage.key)} in it has two different lengths")
    if end > len(view):
        raise RefusedError("it ends before its numbers: it was cut off, as by a download that broke")
    storage.raw = view[place + 8 : end]
    return end


def _width(storage: Storage) -> int:
    return SIZES.get(storage.dtype) or WIDTHS[storage.dtype]
