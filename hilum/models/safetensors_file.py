"""A safetensors file from a stranger: its header compared with the file before anything is read.

The format runs no code, but a header may lie: about its own length, about places beyond the end or on top of each
other, about a name twice. Source: huggingface/safetensors, README "Format".
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, Final

from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.file_kinds import SAFETENSORS, open_checkpoint, reason_of

_AGAIN: Final = "Download it again"
_HEADER: Final = 100 << 20  # bytes; the format's own limit


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    Raises:
        CheckpointError: no such file, of another kind, cut off, or with a header that contradicts it.
    """
    path = Path(path)
    with open_checkpoint(path) as (file, kind):
        fault = _fault(file) if kind is SAFETENSORS else "is no safetensors file, whatever its name says"
    if fault:
        raise CheckpointError(fault, where=path, fix=_AGAIN)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"cannot be read as safetensors ({reason_of(error)})", where=path, fix=_AGAIN) from error


def _fault(file: BinaryIO) -> str | None:
    """What is wrong with an open file; None where nothing is."""
    size = os.fstat(file.fileno()).st_size
    (length,) = struct.unpack("<Q", file.read(8))
    if not 2 <= length <= min(size - 8, _HEADER):
        return "has no header of safetensors"
    try:
        return _contradiction(json.loads(file.read(length), object_pairs_hook=_once), size - 8 - length)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return f"has a damaged header ({reason_of(error)})"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _contradiction(header: Any, size: int) -> str | None:
    """What is wrong with a header over `size` bytes of numbers."""
    if not isinstance(header, dict):
        return "has a header that is no table"
    places = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(entry, dict) or {"dtype", "shape", "data_offsets"} - entry.keys():
            return "has a tensor without type, shape or place"
        begin, end = entry["data_offsets"]
        if not (type(begin) is int and type(end) is int and 0 <= begin <= end):
            return "has a tensor that ends before it begins"
        if not all(type(length) is int and 0 <= length < 1 << 48 for length in entry["shape"]):
            return "has a tensor whose shape is no row of whole numbers"
        places.append((begin, end))
    last = 0
    for begin, end in sorted(places):
        if begin != last:
            return "has tensors that overlap or leave a gap"
        last = end
    if last > size:
        return f"ends after {size:,} of {last:,} bytes: a download that broke off"
    return "has something behind its last tensor" if last < size else None
