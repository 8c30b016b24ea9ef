"""The door: what it refuses by content, and that damage never leaves it as anything but an ImageError."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from hilum.dicom.decode_worker import decode_all
from hilum.dicom.read import kind_of, read_film
from hilum.errors import ImageError
from tests.dicom.films import chest, save


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"image,patient_id\n", "neither PNG, JPEG nor DICOM"),
        (b"GIF89a" + bytes(40), "neither"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded"),
        (b"\xff\xd8\xff\xe0", "cannot be decoded"),
        (bytes(128) + b"DICM", "holds no picture"),
    ],
)
def test_what_is_no_film(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        read_film(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_film(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be read"):
        read_film(tmp_path)


def test_a_data_set_without_preamble_is_dicom(tmp_path: Path) -> None:
    cells = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for syntax in (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian):
        path = save(chest(cells), tmp_path / "a", syntax)
        start = 132 + 12 + int.from_bytes(path.read_bytes()[140:144], "little")
        path.write_bytes(path.read_bytes()[start:])
        assert kind_of(path.read_bytes()[:132]) == "dicom"
        np.testing.assert_allclose(read_film(path).pixels, cells / 255, atol=1e-6)


def test_header_remarks_are_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ds = chest(np.zeros((8, 8), np.uint8), PatientID="CANARY")
    path = save(ds, tmp_path / "a")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"CHEST", b"chEst"))  # a CS value that pydicom warns about
    read_film(path)
    assert caplog.text == ""


def seeds() -> dict[str, bytes]:
    """Whole files of every kind to damage."""
    rng = np.random.default_rng(0)
    smooth = np.rint(rng.normal(100, 20, (64, 64)).cumsum(0).clip(0, 4095)).astype(np.uint16)
    files: dict[str, bytes] = {}
    for kind in ("PNG", "JPEG"):
        body = io.BytesIO()
        Image.fromarray((smooth // 16).astype(np.uint8)).save(body, format=kind)
        files[kind] = body.getvalue()
    for syntax in (uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless):
        body = io.BytesIO()
        ds = chest(smooth, BitsStored=12, HighBit=11, WindowCenter=2000, WindowWidth=4000)
        if syntax.is_encapsulated:
            ds.compress(syntax)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.save_as(body, enforce_file_format=True)
        files[syntax.name] = body.getvalue()
    return files


def mutant(whole: bytes, rng: np.random.Generator) -> bytes:
    """One damaged copy: cut, flipped bytes, a huge length, a slice repeated or dropped."""
    damage = bytearray(whole)
    at = int(rng.integers(0, len(damage)))
    kind = rng.integers(0, 5)
    if kind == 0:
        return bytes(damage[:at])
    if kind == 1:
        for place in rng.integers(0, len(damage), int(rng.integers(1, 20))):
            damage[place] = int(rng.integers(0, 256))
    elif kind == 2:
        damage[at : at + 4] = b"\xff\xff\xff\x7f"
    elif kind == 3:
        damage[at:at] = damage[at : at + 50]
    else:
        del damage[at : at + 50]
    return bytes(damage)


def check_mutants(folder: Path, count: int) -> None:
    """Every mutant is a film of its header's size or is refused for a reason; the children take what kills."""
    rng = np.random.default_rng(1)
    files = list(seeds().values())
    requests = []
    for number in range(count):
        path = folder / f"m{number}"
        path.write_bytes(mutant(files[number % len(files)], rng))
        requests.append({"path": str(path)})
    answers = list(decode_all("tests.dicom.tasks:shape", requests, workers=2, seconds=20))
    assert len(answers) == count
    refused = [answer for _, answer in answers if isinstance(answer, ImageError)]
    assert not [error for error in refused if error.what.startswith("unexpected")]
    assert count // 5 < len(refused) < count
    for _, answer in answers:
        if not isinstance(answer, ImageError):
            assert answer["inside"]
            assert answer["shape"][0] * answer["shape"][1] <= 64 * 2**20


def test_damaged_files(tmp_path: Path) -> None:
    check_mutants(tmp_path, 120)


@pytest.mark.slow
def test_many_damaged_files(tmp_path: Path) -> None:
    check_mutants(tmp_path, 3000)
