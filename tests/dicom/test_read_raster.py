"""PNG and JPEG to grey in [0, 1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.dicom.read import read_film
from hilum.errors import ImageError

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (30, 20), dtype=np.uint8)
SMOOTH = np.rint(np.linspace(0, 255, 40)[:, None] * np.linspace(0.2, 1, 30)[None]).astype(np.uint8)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def test_eight_bit_png(tmp_path: Path) -> None:
    film = read_film(saved(tmp_path / "a.png", Image.fromarray(GREY)))
    np.testing.assert_array_equal(film.pixels, GREY.astype(np.float32) / np.float32(255))
    assert film.pixels.dtype == np.float32
    assert film.spacing_mm is None


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    film = read_film(saved(tmp_path / "a.dcm", Image.fromarray(GREY), format="PNG"))
    assert film.header["format"] == "png"


@pytest.mark.parametrize(("top", "full"), [(900, 1023), (4000, 4095), (16000, 16383), (65000, 65535)])
def test_sixteen_bit_png_by_depth(tmp_path: Path, top: int, full: int) -> None:
    cells = RNG.integers(0, top, (30, 20), dtype=np.uint16)
    cells[0, 0] = top
    film = read_film(saved(tmp_path / "a.png", Image.fromarray(cells)))
    np.testing.assert_allclose(film.pixels, cells / full, atol=1e-6)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_any_mode_is_that_grey(tmp_path: Path, mode: str) -> None:
    film = read_film(saved(tmp_path / "a.png", Image.fromarray(GREY).convert(mode)))
    np.testing.assert_array_equal(film.pixels, GREY.astype(np.float32) / np.float32(255))


def test_colour_is_luma_and_transparency_is_black(tmp_path: Path) -> None:
    rgba = RNG.integers(0, 256, (9, 9, 4), dtype=np.uint8)
    film = read_film(saved(tmp_path / "a.png", Image.fromarray(rgba)))
    expected = rgba[..., :3] @ np.array([0.299, 0.587, 0.114]) * (rgba[..., 3] / 255) / 255
    np.testing.assert_allclose(film.pixels, expected, atol=1.1 / 255)


def test_one_bit_png(tmp_path: Path) -> None:
    film = read_film(saved(tmp_path / "a.png", Image.fromarray(GREY > 128)))
    np.testing.assert_array_equal(film.pixels, (GREY > 128).astype(np.float32))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(tmp_path: Path, mode: str) -> None:
    film = read_film(saved(tmp_path / "a.jpg", Image.fromarray(SMOOTH).convert(mode), quality=98))
    np.testing.assert_allclose(film.pixels, SMOOTH / 255, atol=6 / 255)
    assert film.header["format"] == "jpeg"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(GREY), exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_film(path).pixels, expected.astype(np.float32) / np.float32(255))


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG"):
        path = saved(tmp_path / kind, Image.fromarray(SMOOTH), format=kind)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        with pytest.raises(ImageError, match="cannot be decoded"):
            read_film(path)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 9000, 9000, 8, 0, 0, 0, 0)
    (tmp_path / "a").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(ImageError, match="9000 x 9000 pixels"):
        read_film(tmp_path / "a")


def test_an_animation_is_no_film(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    path = saved(tmp_path / "a.png", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animated"):
        read_film(path)
