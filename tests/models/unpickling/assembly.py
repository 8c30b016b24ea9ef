"""Checkpoints put together by hand, byte by byte: pickles that no pickler writes, archives that no archiver writes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STOP = b"."


def text(value: str) -> bytes:
    """BINUNICODE."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    """BININT, or LONG1 where it is too long."""
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def row(*values: int) -> bytes:
    """A tuple of numbers."""
    return b"(" + b"".join(number(value) for value in values) + b"t"


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def mapping(**items: bytes) -> bytes:
    """A dictionary of opcodes."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def whole(body: bytes, protocol: int = 2) -> bytes:
    """A pickle of one object."""
    return b"\x80" + bytes([protocol]) + body + STOP


def storage(key: str = "0", count: int = 4, kind: bytes = name("torch", "FloatStorage")) -> bytes:
    """The persistent identity of a storage."""
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(
    key: str = "0",
    count: int = 4,
    *,
    offset: int = 0,
    shape: tuple[int, ...] = (4,),
    strides: tuple[int, ...] = (1,),
    kind: bytes = name("torch", "FloatStorage"),
) -> bytes:
    """`torch._utils._rebuild_tensor_v2` of a storage."""
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    hooks = name("collections", "OrderedDict") + b")R"
    parts = storage(key, count, kind) + number(offset) + row(*shape) + row(*strides) + b"\x89" + hooks
    return rebuild + b"(" + parts + b"tR"


@dataclass
class Zip:
    """A zip archive, each field of which may be a lie.

    Attributes:
        entries: name and bytes, in this order; a name may stand twice.
        declared: changes to one field of the directory's line of an entry: {entry number: {field: value}}.
        end: changes to the record at the end.
    """

    entries: list[tuple[str, bytes]]
    declared: Mapping[int, Mapping[str, int | bytes]] = field(default_factory=dict)
    end: Mapping[str, int] = field(default_factory=dict)
    before: bytes = b""

    def bytes(self) -> bytes:
        """The file."""
        out, directory = bytearray(self.before), bytearray()
        for place, (title, content) in enumerate(self.entries):
            values: dict[str, int | bytes] = {
                "made": 0x0314, "flags": 0, "method": 0, "crc": zlib.crc32(content), "packed": len(content),
                "size": len(content), "mode": 0o100644 << 16, "header": len(out), "name": title.encode(),
                "disk": 0, "extra": b"",
            }  # fmt: skip
            local = dict(values)
            values |= self.declared.get(place, {})
            local |= {key[6:]: value for key, value in values.items() if key.startswith("local_")}
            out += b"PK\x03\x04" + struct.pack(
                "<5H3I2H",
                *(20, local["flags"], local["method"], 0, 33, local["crc"], local["packed"], local["size"]),
                *(len(local["name"]), 0),  # type: ignore[arg-type]
            )
            out += local["name"] + content  # type: ignore[operator]
            shown, extra = values["name"], values["extra"]
            directory += b"PK\x01\x02" + struct.pack(
                "<6H3I5H2I",
                *(values["made"], 20, values["flags"], values["method"], 0, 33, values["crc"], values["packed"]),
                *(values["size"], len(shown), len(extra), 0, values["disk"], 0, values["mode"], values["header"]),  # type: ignore[arg-type]
            )
            directory += shown + extra  # type: ignore[operator]
        count, start = len(self.entries), len(out)
        last = {"count": count, "size": len(directory), "start": start, "disk": 0} | dict(self.end)
        ending = struct.pack(
            "<4H2IH", last["disk"], 0, last["count"], last["count"], last["size"], last["start"], last.get("comment", 0)
        )
        return bytes(out + directory + b"PK\x05\x06" + ending)


def archive(body: bytes, storages: Mapping[str, bytes] | None = None, **more: bytes) -> list[tuple[str, bytes]]:
    """The entries of an honest archive around a pickle."""
    entries = [("archive/data.pkl", whole(body)), ("archive/version", b"3\n")]
    entries += [(f"archive/{title}", content) for title, content in more.items()]
    entries += [(f"archive/data/{key}", content) for key, content in (storages or {"0": b"\0" * 16}).items()]
    return entries


def packed(body: bytes, storages: Mapping[str, bytes] | None = None, **more: bytes) -> bytes:
    """An honest archive around a pickle, honest or not."""
    return Zip(archive(body, storages, **more)).bytes()


def stream(body: bytes, keys: bytes = b"](" + text("0") + b"e", numbers: bytes | None = None) -> bytes:
    """A file in the format of torch < 1.6."""
    magic = whole(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19")
    head = magic + whole(b"M\xe9\x03") + whole(b"}")
    numbers = struct.pack("<q4f", 4, 1, 2, 3, 4) if numbers is None else numbers
    return head + whole(body) + whole(keys) + numbers


def write(path: Path, content: bytes) -> Path:
    """Bytes as a file."""
    path.write_bytes(content)
    return path
