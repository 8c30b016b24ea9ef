"""A file is called by what its bytes say, not by what its name says."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from hilum.errors import CheckpointError
from hilum.models.file_kinds import kind_of, open_checkpoint


def _torch(**options: bool) -> bytes:
    out = io.BytesIO()
    torch.save({"a": torch.ones(300)}, out, **options)
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.ones(3))
    return out.getvalue()


def _npy() -> bytes:
    out = io.BytesIO()
    np.save(out, np.ones(3))
    return out.getvalue()


def _zip(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, b"x")
    return out.getvalue()


def _tar(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name in names:
            file.addfile(tarfile.TarInfo(name))
    return out.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
KINDS = {
    "torch archive": _torch,
    "pickle": lambda: _torch(_use_new_zipfile_serialization=False),
    "safetensors": lambda: save({"a": torch.ones(3)}),
    "empty": lambda: b"",
    "torn archive": lambda: _torch()[:500],
    "torn safetensors": lambda: save({"a": torch.ones(3)})[:30],
    "HTML": lambda: b"\n\n<!DOCTYPE HTML>\n<html>Please log in</html>",
    "XML": lambda: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "JSON": lambda: b'{"error": "not found"}',
    "Git LFS pointer": lambda: POINTER,
    "text": lambda: b"404: Not Found",
    "gzip": lambda: gzip.compress(b"x" * 1000),
    "tar": lambda: _tar("weights.bin"),
    "tar of PyTorch": lambda: _tar("sys_info", "pickle", "storages", "tensors"),
    "7z": lambda: b"7z\xbc\xaf\x27\x1c\x00\x04",
    "HDF5": lambda: b"\x89HDF\r\n\x1a\n\x00",
    "NumPy": _npy,
    "NumPy archive": _npz,
    "Keras": lambda: _zip("model.weights.h5"),
    "zip": lambda: _zip("paper.docx"),
    "ONNX": lambda: b"\x08\x08\x12\x07pytorch\x1a\x032.1:\x80\x01",
    "TensorFlow": lambda: b"\x0a\x1d\x0a\x05input\x12\x0bPlaceholder",
    "TensorFlow Lite": lambda: b"\x1c\x00\x00\x00TFL3\x00",
    "GGUF": lambda: b"GGUF\x03\x00\x00\x00",
    "PNG": lambda: b"\x89PNG\r\n\x1a\n\x00",
    "JPEG": lambda: b"\xff\xd8\xff\xe0",
    "DICOM": lambda: bytes(128) + b"DICM",
    "PDF": lambda: b"%PDF-1.7",
    "program": lambda: b"\x7fELF\x02",
    "unknown": lambda: b"\xde\xad\xbe\xef\x00\x01",
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(KINDS[name]())
    with path.open("rb") as file:
        assert kind_of(file).name == name
    if name in ("torch archive", "pickle", "safetensors"):
        with open_checkpoint(path) as (file, kind):
            assert (kind.name, file.read()) == (name, path.read_bytes())
        return
    with pytest.raises(CheckpointError) as caught, open_checkpoint(path):
        pass
    assert caught.value.fix
    assert caught.value.what.startswith("this is a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_are_pickles(protocol: int) -> None:
    for content in ({"a": np.ones(3)}, [1, 2], {"a": "text\n more text"}, ("x",)):
        assert kind_of(io.BytesIO(pickle.dumps(content, protocol))).name == "pickle"


def test_a_real_page_of_text_is_no_pickle() -> None:
    for said in ("You have exceeded your download quota.\nTry again later.\n", "Sorry, gone", "Not Found\n", "(404)\n"):
        assert kind_of(io.BytesIO(said.encode())).name == "text"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "good").write_bytes(_torch())
    (tmp_path / "link").symlink_to(tmp_path / "good")  # as the cache of the Hub has them
    for name, told in {
        "pipe": "this is a named pipe",
        ".": "this is a folder",
        "absent": "there is no such file",
        "loop": "cannot be opened",
        "a\0b": "cannot be opened",
        "/dev/zero": "this is a device",
    }.items():
        with pytest.raises(CheckpointError, match=told), open_checkpoint(tmp_path / name):
            pass
    with open_checkpoint(tmp_path / "link") as (_, kind):
        assert kind.name == "torch archive"


def test_a_length_that_only_looks_like_safetensors() -> None:
    assert kind_of(io.BytesIO(struct.pack("<Q", 1 << 50) + b"{" + bytes(50))).name == "unknown"
