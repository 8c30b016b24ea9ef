"""The zip archives that torch.save and torch.jit.save write, read strictly.

The writer stores its entries without compression, in one folder, one after another, with the directory at the end.
Anything else that a zip archive may be (compressed, encrypted, overlapping, of two minds about a name or a size,
pointing out of its folder) is refused: an honest checkpoint never needs it, a trap does.

Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3 and 4.4; of zip64 its sections 4.3.14, 4.3.15 and 4.5.3.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Final

from hilum.models.unpickling.machine import unpickle
from hilum.models.unpickling.names import STORAGES, readable
from hilum.models.unpickling.records import Name, RefusedError, Storage, check_sum

_ENTRIES: Final = 200_000
_PICKLE: Final = 256 << 20  # bytes of data.pkl; a CLIP of 400 million numbers has 60 kB
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"


@dataclass(frozen=True)
class Entry:
    """One file of the archive: where its header and its bytes lie, and what they must add up to."""

    name: str
    header: int
    size: int
    packed: int
    method: int
    crc: int


def read_archive(file: mmap.mmap, view: memoryview) -> Any:
    """The content of a zip archive of torch.save or torch.jit.save.

    Args:
        file: the whole file.
        view: the same as a memory view; storages become slices of it.

    Raises:
        RefusedError: no such archive, damaged, or more than its writer would have written.
    """
    entries = read_directory(view)
    folders = {name.partition("/")[0] for name in entries if "/" in name}
    if len(folders) != 1 or any("/" not in name for name in entries):
        raise RefusedError("it is a zip archive, but not one of torch.save, whose files lie in one folder")
    folder = folders.pop()
    if f"{folder}/data.pkl" not in entries:
        raise RefusedError("it is a zip archive without data.pkl, so not one of torch.save")
    order = _short(view, entries.get(f"{folder}/byteorder"), b"little")
    if order not in (b"little", b"big"):
        raise RefusedError("its byte order is neither little nor big")
    storages: dict[str, Storage] = {}

    def storage(identity: Any) -> Storage:
        found = described(identity)
        known = storages.get(found.key)
        if known is None:
            entry = entries.get(f"{folder}/data/{found.key}")
            if entry is None:
                raise RefusedError(f"the numbers of storage {readable(found.key)} are missing from it")
            found.raw, found.crc, found.swapped = stored(view, entry), entry.crc, order == b"big"
            storages[found.key] = found
            return found
        return known if known.dtype == found.dtype else replace(known, dtype=found.dtype, count=found.count)

    raw = stored(view, entries[f"{folder}/data.pkl"])
    if len(raw) > _PICKLE:
        raise RefusedError(f"its data.pkl has {len(raw):,} bytes, more than any checkpoint's")
    check_sum(raw, entries[f"{folder}/data.pkl"].crc, "data.pkl")
    return unpickle(BytesIO(raw), storage)


def described(identity: Any) -> Storage:
    """A storage from its persistent identity ("storage", type, key, device, count, ...).

    Raises:
        RefusedError: another identity.
    """
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] not in ("storage", b"storage"):
        raise RefusedError("its pickle refers to something else than a storage of numbers")
    kind, key, _, count = identity[1:5]
    if not isinstance(kind, Name) or kind.name not in STORAGES:
        raise RefusedError("a storage in it has no type of number that PyTorch knows")
    if not isinstance(key, str) or type(count) is not int or count < 0:
        raise RefusedError("a storage in it has no key or no count")
    return Storage(key, STORAGES[kind.name], count)


def stored(view: memoryview, entry: Entry) -> memoryview:
    """The bytes of an entry, not yet checked against their sum.

    Raises:
        RefusedError: compressed.
    """
    if entry.method != 0 or entry.packed != entry.size:
        raise RefusedError(f"its entry {readable(entry.name)} is compressed, which torch.save never does")
    start = _start(view, entry)
    return view[start : start + entry.size]


def read_directory(view: memoryview) -> Mapping[str, Entry]:
    """The entries of a zip archive by name.

    Raises:
        RefusedError: no directory at its end, or one that contradicts itself or the file.
    """
    count, size, start, end = _end(view)
    if count > _ENTRIES:
        raise RefusedError(f"it declares {count:,} entries, more than any checkpoint has")
    if start + size != end or count * 46 > size:  # an entry takes 46 bytes and its name
        raise RefusedError("the directory of its archive contradicts itself")
    entries: dict[str, Entry] = {}
    place = start
    for _ in range(count):
        entry, place = _entry(view, place, end)
        if entry.name in entries:
            raise RefusedError(f"it has two entries named {readable(entry.name)}")
        entries[entry.name] = entry
    if place != end:
        raise RefusedError("the directory of its archive contradicts itself")
    last = 0  # where nothing is written any more
    for entry in sorted(entries.values(), key=lambda entry: entry.header):
        if entry.header < last or (last == 0 and entry.header > 0):
            raise RefusedError(f"its entry {readable(entry.name)} overlaps another, or hides something before it")
        last = _start(view, entry) + entry.packed
    if last > start:
        raise RefusedError("an entry of its archive overlaps the directory")
    return entries


def _end(view: memoryview) -> tuple[int, int, int, int]:
    """Count of entries, size and start of the directory, and where it must end."""
    tail = bytes(view[-66_000:])
    found = tail.rfind(_END)
    if found < 0 or len(tail) - found < 22:
        raise RefusedError("its archive has no directory at the end: it was cut off, as by a download that broke")
    place = len(view) - len(tail) + found
    disk, first, here, count, size, start, comment = struct.unpack_from("<4H2IH", view, place + 4)
    if disk or first or here != count or place + 22 + comment != len(view):
        raise RefusedError("the end of its archive contradicts itself")
    if place < 20 or bytes(view[place - 20 : place - 16]) != _LOCATOR64:
        return count, size, start, place
    _, end64, disks = struct.unpack_from("<IQI", view, place - 16)
    if disks > 1 or end64 + 56 != place - 20 or bytes(view[end64 : end64 + 4]) != _END64:
        raise RefusedError("the end of its archive contradicts itself")
    here, wide_count, wide_size, wide_start = struct.unpack_from("<4Q", view, end64 + 24)
    narrow = ((count, 0xFFFF), (size, 0xFFFFFFFF), (start, 0xFFFFFFFF))
    wide = (wide_count, wide_size, wide_start)
    if here != wide_count or any(a not in (b, top) for (a, top), b in zip(narrow, wide, strict=True)):
        raise RefusedError("the end of its archive contradicts itself")
    return wide_count, wide_size, wide_start, end64


def _entry(view: memoryview, place: int, end: int) -> tuple[Entry, int]:
    """One line of the directory, and where the next begins."""
    if place + 46 > end or bytes(view[place : place + 4]) != b"PK\x01\x02":
        raise RefusedError("the directory of its archive is damaged")
    (made, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment, disk, _, mode, header) = (
        struct.unpack_from("<6H3I5H2I", view, place + 4)
    )
    after = place + 46 + name_size + extra_size + comment
    if after > end:
        raise RefusedError("the directory of its archive is damaged")
    name = _name(bytes(view[place + 46 : place + 46 + name_size]))
    extra = view[place + 46 + name_size : place + 46 + name_size + extra_size]
    size, packed, header = _wide(extra, size, packed, header)
    if flags & 0x41 or disk not in (0, 0xFFFF):
        raise RefusedError(f"its entry {readable(name)} is encrypted or lies in another file")
    if made >> 8 == 3 and (mode >> 16) & 0o170000 not in (0, 0o100000):
        raise RefusedError(f"its entry {readable(name)} is a link or a device, not a file")
    return Entry(name, header, size, packed, method, crc), after


def _name(raw: bytes) -> str:
    """An entry's name, inside its archive and nowhere else."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("an entry of its archive has no readable name") from None
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        raise RefusedError(f"its entry {readable(name)} points out of the archive")
    return name


def _wide(extra: memoryview, size: int, packed: int, header: int) -> tuple[int, int, int]:
    """Sizes and place, from the zip64 field where the directory has no room for them."""
    wanted = [value == 0xFFFFFFFF for value in (size, packed, header)]
    place, values = 0, [size, packed, header]
    while any(wanted) and place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == 1 and length >= 8 * sum(wanted) and place + 4 + length <= len(extra):
            wide = iter(struct.unpack_from(f"<{sum(wanted)}Q", extra, place + 4))
            values = [next(wide) if asked else value for asked, value in zip(wanted, values, strict=True)]
            return values[0], values[1], values[2]
        place += 4 + length
    if any(wanted):
        raise RefusedError("the sizes in the directory of its archive are missing")
    return size, packed, header


def _start(view: memoryview, entry: Entry) -> int:
    """Where the bytes of an entry begin, its own header read and compared."""
    place = entry.header
    if place + 30 > len(view) or bytes(view[place : place + 4]) != b"PK\x03\x04":
        raise RefusedError(f"its entry {readable(entry.name)} is not where the directory says")
    start: int
    flags, method = struct.unpack_from("<2H", view, place + 6)
    name_size, extra_size = struct.unpack_from("<2H", view, place + 26)
    start = place + 30 + name_size + extra_size
    same = bytes(view[place + 30 : place + 30 + name_size]) == entry.name.encode()
    if not same or method != entry.method or flags & 1 or start + entry.packed > len(view):
        raise RefusedError(f"its entry {readable(entry.name)} is not what the directory says")
    return start


def _short(view: memoryview, entry: Entry | None, default: bytes) -> bytes:
    """A short entry; the default where there is none."""
    return default if entry is None else bytes(stored(view, entry)[:100])
