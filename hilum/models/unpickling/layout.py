"""Tensors checked against their storages, laid out without gaps, and written as one safetensors file.

Source of the format: huggingface/safetensors, README "Format": 8 bytes of header length, a JSON header of names with
type, shape and place, then the numbers, little-endian, rows first.
"""

from __future__ import annotations

import itertools
import json
import math
import mmap
from array import array
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final, Literal

from hilum.models.unpickling.names import WIDTHS, readable
from hilum.models.unpickling.records import SIZES, RefusedError, Tensor, check_sum

_CHUNK: Final = 1 << 22  # bytes
_TENSORS: Final = 100_000
_SLACK: Final = 64 << 20  # bytes that the content may take beyond four times its file
_STRIPS: Final = 2_000_000  # copied one by one; a ResNet-50 saved channels last takes 30,000
_LETTERS: Final[Mapping[int, Literal["B", "H", "I", "Q"]]] = {
    1: "B",
    2: "H",
    4: "I",
    8: "Q",
}  # of memoryview and array, by bytes


class Tensors:
    """The tensors to be written, each once, named by their number."""

    def __init__(self, size: int) -> None:
        self.room = 4 * size + _SLACK
        self.size = size
        self.strips = self.named = 0
        self.known: dict[tuple[object, ...], str] = {}
        self.kept: list[Tensor] = []

    def name(self, tensor: Tensor) -> str | None:
        """The name of a tensor in the file to be written; None for a type of number that safetensors lacks.

        Raises:
            RefusedError: it reaches out of its storage, or there is too much.
        """
        if tensor.dtype not in SIZES:
            return None
        storage = tensor.storage
        key = (id(storage.raw), id(storage), tensor.dtype, tensor.offset, tensor.shape, tensor.strides)
        if key not in self.known:
            check(tensor)
        self.room -= math.prod(tensor.shape) * SIZES[tensor.dtype]  # the reader copies one that is named twice
        self.named += 1
        if self.room < 0:
            raise RefusedError(f"its tensors would take far more memory than its {self.size:,} bytes")
        if self.named > _TENSORS:
            raise RefusedError(f"it holds more than {_TENSORS:,} tensors")
        if key not in self.known:
            axes = _merged(tensor)
            self.strips += math.prod(tensor.shape) // max(size for size, _ in axes) if axes[1:] else 1
            if self.strips > _STRIPS:
                raise RefusedError("its tensors are scattered over more strips than any checkpoint's")
            self.known[key] = str(len(self.kept))
            self.kept.append(tensor)
        return self.known[key]

    def write(self, out: BinaryIO, tree: str, file: mmap.mmap | None) -> None:
        """Write all of them, the tree as metadata; memory stays at a few megabytes.

        Args:
            out: where to.
            tree: the content of the file as JSON, for the reader.
            file: the mapped source, whose pages are given back as they have been read.
        """
        header: dict[str, object] = {"__metadata__": {"tree": tree}}
        place = 0
        for number, tensor in enumerate(self.kept):
            end = place + math.prod(tensor.shape) * SIZES[tensor.dtype]
            header[str(number)] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": (place, end)}
            place = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        out.write(len(text).to_bytes(8, "little") + text)
        checked: set[int] = set()
        for tensor in self.kept:
            storage = tensor.storage
            if storage.crc is not None and storage.raw is not None and id(storage.raw) not in checked:
                check_sum(storage.raw, storage.crc, f"storage {readable(storage.key)}")
                checked.add(id(storage.raw))
            for piece in pieces(tensor):
                out.write(piece)
            if file is not None and hasattr(file, "madvise"):
                file.madvise(mmap.MADV_DONTNEED)
        out.flush()


def check(tensor: Tensor) -> None:
    """Whether a tensor lies within its storage.

    Raises:
        RefusedError: it does not.
    """
    storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
    if len(shape) != len(strides) or len(shape) > 64:
        raise RefusedError("a tensor in it has a shape and strides that do not fit each other")
    if min((*shape, *strides, tensor.offset), default=0) < 0:
        raise RefusedError("a tensor in it has a negative size, stride or offset")
    if max((*shape, *strides, tensor.offset), default=0) >> 48 or math.prod(size or 1 for size in shape) >> 48:
        raise RefusedError("a tensor in it declares more numbers than any computer holds")
    raw = storage.raw if storage.raw is not None else memoryview(b"")
    declared = storage.count * (SIZES.get(storage.dtype) or WIDTHS[storage.dtype])
    if declared > len(raw):
        raise RefusedError(f"a storage in it declares {declared:,} bytes and has {len(raw):,}")
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and (last + 1) * SIZES[tensor.dtype] > declared:
        raise RefusedError("a tensor in it reaches out of its storage")


def pieces(tensor: Tensor) -> Iterator[bytes | memoryview]:
    """The bytes of a tensor, rows first, little-endian, in pieces of a few megabytes.

    Args:
        tensor: checked.
    """
    if not math.prod(tensor.shape):
        return
    width, raw, swapped = SIZES[tensor.dtype], tensor.storage.raw, tensor.storage.swapped
    assert raw is not None  # checked
    axes = _merged(tensor)
    if axes[1:] or axes[0][1] != 1:
        numbers = raw[: len(raw) // width * width].cast(_LETTERS[width])
        rows, stride = axes[0]
        step = max(1, _CHUNK // (width * math.prod(size for size, _ in axes[1:])))
        parts = (
            _gathered(numbers, tensor.offset + first * stride, [(min(step, rows - first), stride), *axes[1:]])
            for first in range(0, rows, step)
        )
    else:
        begin, end = tensor.offset * width, (tensor.offset + axes[0][0]) * width
        parts = (raw[first : min(first + _CHUNK, end)] for first in range(begin, end, _CHUNK))
    for part in parts:
        yield _byteswapped(part, width) if swapped and width > 1 else part


def _merged(tensor: Tensor) -> list[tuple[int, int]]:
    """(size, stride) of each axis, outermost first; neighbours that lie without a gap as one, ones left out."""
    axes: list[tuple[int, int]] = []
    for size, stride in zip(tensor.shape, tensor.strides, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == size * stride:
            axes[-1] = (axes[-1][0] * size, stride)
        else:
            axes.append((size, stride))
    return axes or [(1, 1)]


def _gathered(numbers: memoryview, offset: int, axes: list[tuple[int, int]]) -> memoryview:
    """Numbers with strides, copied without gaps: strip by strip along the longest axis."""
    targets: list[int] = []
    total = 1
    for size, _ in reversed(axes):
        targets.insert(0, total)
        total *= size
    kind = _LETTERS[numbers.itemsize]
    raw = memoryview(bytearray(total * numbers.itemsize))
    out = raw.cast(kind)
    longest = max(range(len(axes)), key=lambda axis: axes[axis][0])
    size, stride = axes[longest]
    step = targets[longest]
    rest = [(*axes[axis], targets[axis]) for axis in range(len(axes)) if axis != longest]
    for place in itertools.product(*(range(count) for count, _, _ in rest)):
        source = offset + sum(i * apart for i, (_, apart, _) in zip(place, rest, strict=True))
        target = sum(i * apart for i, (_, _, apart) in zip(place, rest, strict=True))
        if stride:
            strip = numbers[source : source + (size - 1) * stride + 1 : stride]
        else:
            strip = memoryview(bytes(numbers[source : source + 1]) * size).cast(kind)
        out[target : target + (size - 1) * step + 1 : step] = strip
    return raw


def _byteswapped(raw: memoryview, width: int) -> bytes:
    numbers = array(_LETTERS[width], bytes(raw))
    numbers.byteswap()
    return numbers.tobytes()
