"""A film at training size: shapes, spacing, and a file that is whole or absent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.dicom.store import fitted, store_film, write_png
from tests.dicom.films import chest, save

FILM = np.random.default_rng(0).random((40, 60), dtype=np.float32)


@pytest.mark.parametrize(
    ("fit", "size", "shape"),
    [("squeeze", 32, (32, 32)), ("pad", 30, (30, 30)), ("shortest", 20, (20, 30)), ("squeeze", 100, (100, 100))],
)
def test_shapes(fit: str, size: int, shape: tuple[int, int]) -> None:
    assert fitted(FILM, size, fit).shape == shape


def test_pad_is_black_above_and_below() -> None:
    square = fitted(np.ones((40, 60), np.float32), 30, "pad")
    assert (square[5:25] == 255).all()
    assert (square[:5] == 0).all()
    assert (square[25:] == 0).all()


def test_same_size_is_only_rounded() -> None:
    square = FILM[:40, :40]
    np.testing.assert_array_equal(fitted(square, 40, "squeeze"), np.rint(square * 255))


def test_shrinking_is_antialiased() -> None:
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (64, 32))
    assert np.abs(fitted(stripes, 16, "squeeze").astype(int) - 127).max() <= 12


def test_stored_facts(tmp_path: Path) -> None:
    cells = np.rint(FILM * 255).astype(np.uint8)
    path = save(chest(cells, PixelSpacing=[0.2, 0.1]), tmp_path / "film.dcm")
    request = {"path": str(path), "target": str(tmp_path / "a.png"), "size": 20, "fit": "squeeze", "key": "00" * 32}
    facts = store_film(request)
    stored = np.asarray(Image.open(tmp_path / "a.png"))
    assert stored.dtype == np.uint8
    assert stored.shape == (20, 20)
    assert facts["spacing_mm"] == "0.4,0.3"  # 40 rows to 20, 60 columns to 20
    assert (facts["orig_height"], facts["orig_width"]) == (40, 60)
    assert facts["sha256"] == hashlib.sha256(b"20 20\n" + stored.tobytes()).hexdigest()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        write_png(tmp_path / "none" / "a.png", np.zeros((4, 4), np.uint8))
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_png(tmp_path / "folder", np.zeros((4, 4), np.uint8))
    assert list(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_without_a_size_a_film_keeps_its_own(tmp_path: Path) -> None:
    path = save(chest(np.arange(48, dtype=np.uint8).reshape(6, 8), PixelSpacing=[0.2, 0.1]), tmp_path / "a.dcm")
    request = {"path": str(path), "target": str(tmp_path / "a.png"), "size": None, "fit": "squeeze", "key": "00" * 32}
    facts = store_film(request)
    assert (facts["height"], facts["width"]) == (facts["orig_height"], facts["orig_width"]) == (6, 8)
    assert facts["spacing_mm"] == "0.2,0.1"
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (8, 6)
