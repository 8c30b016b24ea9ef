"""Walking a folder: by content, in order, never outside it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.dicom.scan import scan
from hilum.errors import UserError
from tests.dicom.films import chest, save

CELLS = np.zeros((8, 8), np.uint8)


def test_candidates(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "b" / "deep", root / "a", root / ".hidden", root / "out", outside):
        folder.mkdir(parents=True)
    for path in ("b/deep/z.png", "a/no_suffix", ".hidden/x.png", "out/x.png", "a/.x.png"):
        Image.fromarray(CELLS).save(root / path, format="PNG")
    Image.fromarray(CELLS).save(outside / "x.png")
    save(chest(CELLS), root / "a" / "film.txt")
    (root / "notes.png").write_text("no picture")
    os.symlink(outside / "x.png", root / "link.png")
    os.symlink(outside, root / "linked")
    os.symlink(root / "b" / "deep" / "z.png", root / "inner.png")
    found = list(scan(root, skip=root / "out"))
    assert [(film.file, film.kind) for film in found] == [
        ("a/film.txt", "dicom"),
        ("a/no_suffix", "png"),
        ("b/deep/z.png", "png"),
        ("inner.png", "png"),
    ]
    assert found[1].bytes == (root / "a/no_suffix").stat().st_size


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        list(scan(tmp_path / "none"))
