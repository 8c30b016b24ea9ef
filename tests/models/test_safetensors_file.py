"""A safetensors file is read if its header describes it, and refused in one sentence if it lies."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hilum.errors import CheckpointError
from hilum.models.safetensors_file import read_safetensors


def _raw(header: Any, numbers: bytes = bytes(16), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + numbers


def _one(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | changes}


def test_an_honest_file(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.ones(2, dtype=torch.bfloat16), "c": torch.empty(0, 3)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    got = read_safetensors(tmp_path / "model.safetensors")
    assert all(torch.equal(got[name], tensor) for name, tensor in tensors.items())
    assert got.keys() == tensors.keys()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a header longer than the file": (lambda: _raw(_one(), length=1 << 30), "download that broke off"),
    "a header of 2^63": (lambda: _raw(_one(), length=1 << 63), "not the kind|no safetensors|no known kind"),
    "a header of nothing": (lambda: _raw(_one(), length=0), "no header"),
    "a header that is cut": (lambda: _raw(_one(), length=20), "damaged header"),
    "a header that is a list": (lambda: _raw(b'{"a": [1, 2]}'), "without type, shape or place"),
    "a header 100,000 deep": (lambda: _raw(b'{"a":' + b"[" * 100_000), "damaged header"),
    "a name twice": (lambda: _raw(b'{"a":{"dtype":"F32"},"a":{"dtype":"F32"}}'), "stands there twice"),
    "an end beyond the file": (lambda: _raw(_one(shape=[400], data_offsets=[0, 1600])), "ends after 16 of 1,600 bytes"),
    "an end before the beginning": (lambda: _raw(_one(data_offsets=[16, 0])), "ends before it begins"),
    "a negative beginning": (lambda: _raw(_one(data_offsets=[-8, 8])), "ends before it begins"),
    "places that are text": (lambda: _raw(_one(data_offsets=["0", "16"])), "ends before it begins"),
    "one place for two": (lambda: _raw(_one() | {"b": _one()["a"]}), "overlap or leave a gap"),
    "a gap": (lambda: _raw(_one(data_offsets=[8, 24])), "overlap or leave a gap"),
    "something behind": (lambda: _raw(_one(), bytes(32)), "something behind"),
    "another shape": (lambda: _raw(_one(shape=[5])), "cannot be read as safetensors"),
    "a negative shape": (lambda: _raw(_one(shape=[-4])), "no row of whole numbers"),
    "10^18 numbers": (lambda: _raw(_one(shape=[10**9, 10**9])), "cannot be read as safetensors"),
    "an unknown type": (lambda: _raw(_one(dtype="F99")), "cannot be read as safetensors"),
    "a broken download": (lambda: _raw(_one(), bytes(9)), "ends after 9 of 16 bytes: a download that broke off"),
    "a page": (lambda: b"<html>Not found</html>", "HTML page"),
    "a pickle": (lambda: b"\x80\x02}q\x00.", "is no safetensors file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_lie_is_refused(name: str, tmp_path: Path) -> None:
    content, told = HOSTILE[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content())
    with pytest.raises(CheckpointError, match=told) as caught:
        read_safetensors(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message.removeprefix(str(path))) < 300
