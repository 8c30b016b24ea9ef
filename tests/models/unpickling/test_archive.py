"""Archives of torch.save are read as zipfile reads them; any lie in their directory is refused."""

from __future__ import annotations

import io
import mmap
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from hilum.models.unpickling.archive import read_directory, stored
from hilum.models.unpickling.child import convert
from hilum.models.unpickling.records import RefusedError
from tests.models.unpickling.assembly import Zip, archive, mapping, tensor, write


def _saved(content: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _convert(path: Path) -> bytes:
    out = io.BytesIO()
    with path.open("rb") as file:
        convert(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), out)
    return out.getvalue()


def test_the_directory_is_that_of_zipfile() -> None:
    raw = _saved({"a": torch.randn(50), "b": torch.ones(3)})
    view = memoryview(raw)
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        entries = read_directory(view)
        assert list(entries) == file.namelist()
        for name, entry in entries.items():
            assert bytes(stored(view, entry)) == file.read(name)


def test_an_archive_of_zip64_is_read() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for place in range(70_000):  # more than a plain directory can count
            file.writestr(f"archive/data/{place}", b"")
    assert len(read_directory(memoryview(out.getvalue()))) == 70_000


@pytest.mark.parametrize(
    ("declared", "end", "match"),
    [
        ({2: {"name": b"archive/data.pkl"}}, {}, "two entries named"),
        ({2: {"name": b"archive/../0"}}, {}, "points out of the archive"),
        ({2: {"name": b"/archive/data/0"}}, {}, "points out of the archive"),
        ({2: {"name": b"archive/\xff"}}, {}, "no readable name"),
        ({2: {"name": b"archive/data/1"}}, {}, "is not what the directory says"),
        ({2: {"mode": 0o120777 << 16}}, {}, "a link or a device"),
        ({2: {"flags": 1}}, {}, "encrypted"),
        ({2: {"header": 1 << 30}}, {}, "not where the directory says"),
        ({2: {"header": 0}}, {}, "overlaps"),
        ({2: {"packed": 1 << 20}}, {}, "not what the directory says"),
        ({2: {"packed": 40}}, {}, "overlaps the directory"),
        ({2: {"size": 0xFFFFFFFF}}, {}, "sizes .* missing"),
        ({0: {"method": 8}}, {}, "not what the directory says"),
        ({}, {"count": 2}, "contradicts"),
        ({}, {"count": 60_000}, "contradicts"),
        ({}, {"start": 0}, "contradicts"),
        ({}, {"disk": 1}, "contradicts"),
        ({}, {"comment": 9}, "contradicts"),
    ],
)
def test_lies_are_refused(declared: dict[int, Any], end: dict[str, int], match: str) -> None:
    raw = Zip(archive(mapping(a=tensor())), declared, end).bytes()
    with pytest.raises(RefusedError, match=match):
        read_directory(memoryview(raw))


def test_what_hides_before_the_archive_is_refused() -> None:
    raw = Zip(archive(mapping(a=tensor())), before=b"PK\x03\x04 and a program").bytes()
    with pytest.raises(RefusedError, match="hides something before it"):
        read_directory(memoryview(raw))


def test_a_flipped_bit_of_the_numbers_is_found(tmp_path: Path) -> None:
    raw = bytearray(_saved({"a": torch.randn(5000)}))
    place = raw.index(b"archive/data/0") + 10_000
    raw[place] ^= 1
    with pytest.raises(RefusedError, match="check sum of storage 0"):
        _convert(write(tmp_path / "file.pth", bytes(raw)))


def test_numbers_left_out_are_not_read(tmp_path: Path) -> None:
    raw = bytearray(_saved({"model": torch.ones(3), "optimizer": torch.randn(5000)}))
    raw[raw.index(b"archive/data/1") + 10_000] ^= 1
    path = write(tmp_path / "file.pth", bytes(raw))
    out = io.BytesIO()
    with path.open("rb") as file:
        convert(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), out, ["optimizer"])
    assert len(out.getvalue()) < 500


@pytest.mark.parametrize("stream", [False, True])
def test_mutants_are_read_or_refused(tmp_path: Path, stream: bool) -> None:
    out = io.BytesIO()
    torch.save({"model": torch.nn.Linear(3, 2).state_dict()}, out, _use_new_zipfile_serialization=not stream)
    dice, refused = random.Random(6), 0
    for _ in range(400):
        raw = bytearray(out.getvalue())
        for _ in range(dice.randrange(1, 5)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        if dice.random() < 0.2:
            del raw[dice.randrange(4, len(raw)) :]
        try:
            _convert(write(tmp_path / "mutant.pth", bytes(raw)))
        except RefusedError:
            refused += 1
    assert refused > 200
