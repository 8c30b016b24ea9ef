"""DICOM to [0, 1]: every branch of the pipeline on small films whose answer is known from the standard."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from hilum.dicom.read import read_film
from hilum.errors import ImageError
from tests.dicom.films import chest, lut_item, save

RNG = np.random.default_rng(3)
TWELVE = RNG.integers(0, 4096, (24, 20), dtype=np.uint16)
EIGHT = RNG.integers(0, 256, (24, 20), dtype=np.uint8)


def pixels(tmp_path: Path, ds: Dataset, syntax: uid.UID = uid.ExplicitVRLittleEndian) -> np.ndarray:
    return read_film(save(ds, tmp_path / "film.dcm", syntax)).pixels


def window(x: np.ndarray, center: float, width: float) -> np.ndarray:
    return np.clip((x.astype(float) - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def test_eight_bits_without_voi_use_the_whole_range(tmp_path: Path) -> None:
    film = read_film(save(chest(EIGHT), tmp_path / "a"))
    assert film.pixels.dtype == np.float32
    np.testing.assert_allclose(film.pixels, EIGHT / 255, atol=1e-6)
    assert film.header["voi"] == "range"
    assert film.spacing_mm is None


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
    ],
)
def test_lossless_syntaxes_give_the_same_film(tmp_path: Path, syntax: uid.UID) -> None:
    cells = RNG.integers(0, 4096, (64, 48), dtype=np.uint16)
    ds = chest(cells, BitsStored=12, HighBit=11, WindowCenter=2000, WindowWidth=3000)
    film = read_film(save(ds, tmp_path / "film", syntax))
    np.testing.assert_allclose(film.pixels, window(cells, 2000, 3000), atol=1e-6)
    assert film.header["voi"] == "window"


@pytest.mark.parametrize("cells", [EIGHT, TWELVE])
def test_big_endian(tmp_path: Path, cells: np.ndarray) -> None:
    ds = chest(cells, WindowCenter=100, WindowWidth=150)
    ds.PixelData = cells.astype(cells.dtype.newbyteorder(">")).tobytes()
    got = pixels(tmp_path, ds, uid.ExplicitVRBigEndian)
    np.testing.assert_allclose(got, window(cells, 100, 150), atol=1e-6)


def test_big_endian_eight_bit_cells_in_words(tmp_path: Path) -> None:
    ds = chest(EIGHT)
    ds.PixelData = EIGHT.tobytes()
    words = np.frombuffer(EIGHT.tobytes(), "<u2").astype(">u2").tobytes()
    ds.PixelData = words
    ds["PixelData"].VR = "OW"
    np.testing.assert_allclose(pixels(tmp_path, ds, uid.ExplicitVRBigEndian), EIGHT / 255, atol=1e-6)


def test_monochrome1_is_inverted_after_the_window(tmp_path: Path) -> None:
    # An off-centre window tells the orders apart: inverting first would move it to the other side.
    ds = chest(
        TWELVE, BitsStored=12, HighBit=11, PhotometricInterpretation="MONOCHROME1", WindowCenter=700, WindowWidth=500
    )
    np.testing.assert_allclose(pixels(tmp_path, ds), 1 - window(TWELVE, 700, 500), atol=1e-6)


def test_rescale_comes_before_the_window(tmp_path: Path) -> None:
    ds = chest(
        TWELVE, BitsStored=12, HighBit=11, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=500, WindowWidth=2000
    )
    np.testing.assert_allclose(pixels(tmp_path, ds), window(TWELVE * 2.0 - 1024, 500, 2000), atol=1e-6)


def test_modality_and_voi_lut_sequences(tmp_path: Path) -> None:
    cells = RNG.integers(0, 300, (24, 20), dtype=np.uint16)
    modality = [int(v) for v in np.linspace(1000, 0, 256)]  # inputs 10..265
    voi = [int(v) for v in (np.arange(500) ** 2) // 64]  # inputs 200..699, 12 bits
    ds = chest(cells, WindowCenter=1, WindowWidth=2)  # a LUT goes before a window (PS3.3 C.11.2.1)
    ds.ModalityLUTSequence = [lut_item(10, modality, 16)]
    ds.VOILUTSequence = [lut_item(200, voi, 12)]
    expected = np.empty(cells.shape)
    for place, cell in np.ndenumerate(cells):
        middle = modality[min(max(int(cell) - 10, 0), 255)]
        expected[place] = voi[min(max(middle - 200, 0), 499)] / 4095
    film = read_film(save(ds, tmp_path / "lut"))
    np.testing.assert_allclose(film.pixels, expected, atol=1e-6)
    assert film.header["voi"] == "lut"


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_lut_data_as_words_or_bytes(tmp_path: Path, as_bytes: bool, syntax: uid.UID) -> None:
    entries = [int(v) for v in RNG.integers(0, 2**16, 256)]
    order = "<" if syntax.is_little_endian else ">"
    ds = chest(EIGHT)
    item = lut_item(0, entries, 16)
    if as_bytes:
        item.add_new("LUTData", "OW", np.array(entries, dtype=f"{order}u2").tobytes())
    ds.VOILUTSequence = [item]
    np.testing.assert_allclose(pixels(tmp_path, ds, syntax), np.array(entries)[EIGHT] / 65535, atol=1e-6)


def test_eight_bit_lut_entries_two_in_a_word(tmp_path: Path) -> None:
    entries = RNG.integers(0, 256, 256)
    words = [int(low) | int(high) << 8 for low, high in entries.reshape(-1, 2)]
    ds = chest(EIGHT)
    item = lut_item(0, words, 8)
    item.LUTDescriptor = [256, 0, 8]
    ds.VOILUTSequence = [item]
    np.testing.assert_allclose(pixels(tmp_path, ds), entries[EIGHT] / 255, atol=1e-6)


def test_full_lut_says_zero_entries(tmp_path: Path) -> None:
    entries = [65535 - v for v in range(65536)]
    cells = RNG.integers(0, 65536, (6, 6), dtype=np.uint16)
    ds = chest(cells)
    item = lut_item(0, entries, 16)
    item.add_new("LUTData", "OW", np.array(entries, dtype="<u2").tobytes())
    ds.VOILUTSequence = [item]
    assert ds.VOILUTSequence[0].LUTDescriptor[0] == 0
    np.testing.assert_allclose(pixels(tmp_path, ds), (65535 - cells.astype(int)) / 65535, atol=1e-6)


def test_short_lut_is_refused(tmp_path: Path) -> None:
    ds = chest(EIGHT)
    item = lut_item(0, [1, 2, 3], 16)
    item.LUTDescriptor = [400, 0, 16]
    ds.VOILUTSequence = [item]
    with pytest.raises(ImageError, match="announces 400 entries of 16 bits and has 3"):
        pixels(tmp_path, ds)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless])
def test_signed_cells(tmp_path: Path, syntax: uid.UID) -> None:
    cells = RNG.integers(-2048, 2048, (24, 20), dtype=np.int16)
    ds = chest(cells, BitsStored=12, HighBit=11, WindowCenter=-100, WindowWidth=1500)
    np.testing.assert_allclose(pixels(tmp_path, ds, syntax), window(cells, -100, 1500), atol=1e-6)


def test_signed_lut_start(tmp_path: Path) -> None:
    cells = np.arange(-8, 8, dtype=np.int16).reshape(4, 4)
    ds = chest(cells)
    ds.VOILUTSequence = [lut_item(-8, [v * 4096 for v in range(16)], 16)]
    np.testing.assert_allclose(pixels(tmp_path, ds).ravel(), np.arange(16) * 4096 / 65535, atol=1e-6)


def test_sample_at_the_top_of_its_cell(tmp_path: Path) -> None:
    cells = (TWELVE << 4) | 9  # 12 bits stored, high bit 15, rubbish in the low four
    ds = chest(cells.astype(np.uint16), BitsStored=12, HighBit=15, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(pixels(tmp_path, ds), window(TWELVE, 2048, 4096), atol=1e-6)


def test_the_first_of_several_windows(tmp_path: Path) -> None:
    ds = chest(TWELVE, WindowCenter=[900, 2000], WindowWidth=[700, 100])
    np.testing.assert_allclose(pixels(tmp_path, ds), window(TWELVE, 900, 700), atol=1e-6)


def test_an_invalid_window_falls_back_on_the_range_and_says_so(tmp_path: Path) -> None:
    film = read_film(save(chest(EIGHT, WindowCenter=100, WindowWidth=0), tmp_path / "a"))
    np.testing.assert_allclose(film.pixels, EIGHT / 255, atol=1e-6)
    assert film.header["voi"] == "range"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(tmp_path: Path, photometric: str) -> None:
    cells = TWELVE.copy()
    cells[:3] = 0
    ds = chest(
        cells, BitsStored=12, HighBit=11, PhotometricInterpretation=photometric, WindowCenter=2048, WindowWidth=4096
    )
    ds.add_new("PixelPaddingValue", "US", 0)
    got = pixels(tmp_path, ds)
    assert (got[:3] == 0).all()
    inside = window(cells, 2048, 4096)
    rest = cells != 0
    np.testing.assert_allclose(got[rest], (1 - inside if photometric == "MONOCHROME1" else inside)[rest], atol=1e-6)


def test_colour_becomes_luma(tmp_path: Path) -> None:
    rgb = RNG.integers(0, 256, (10, 12, 3), dtype=np.uint8)
    expected = rgb @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(pixels(tmp_path, chest(rgb)), expected, atol=1e-5)
    planar = chest(rgb, PlanarConfiguration=1)
    planar.PixelData = np.moveaxis(rgb, 2, 0).tobytes()
    np.testing.assert_allclose(pixels(tmp_path, planar), expected, atol=1e-5)


def test_palette(tmp_path: Path) -> None:
    ds = chest(EIGHT, PhotometricInterpretation="PALETTE COLOR")
    tables = RNG.integers(0, 2**16, (3, 256), dtype=np.uint16)
    for name, entries in zip(("Red", "Green", "Blue"), tables, strict=True):
        ds.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        ds.add_new(f"{name}PaletteColorLookupTableData", "OW", entries.tobytes())
    expected = np.tensordot([0.299, 0.587, 0.114], tables[:, EIGHT], 1) / 65535
    np.testing.assert_allclose(pixels(tmp_path, ds), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0.2, 0.3], [0.5, 0.5], (0.2, 0.3)),
        ([0, 0], [0.5, 0.6], (0.5, 0.6)),
        (None, [0.5, 0.6], (0.5, 0.6)),
        (None, None, None),
    ],
)
def test_spacing(tmp_path: Path, first: Any, second: Any, expected: Any) -> None:
    ds = chest(EIGHT)
    if first:
        ds.PixelSpacing = first
    if second:
        ds.ImagerPixelSpacing = second
    assert read_film(save(ds, tmp_path / "a")).spacing_mm == expected


def no_picture(ds: Dataset) -> None:
    del ds.PixelData


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_picture, "holds no picture"),
        ({"Modality": "CT"}, "modality is CT"),
        ({"Modality": "SECRET"}, "modality is unknown"),
        ({"BodyPartExamined": "L KNEE"}, "body part is KNEE"),
        ({"NumberOfFrames": 3}, "3 frames"),
        ({"Rows": 0}, "0 x 20"),
        ({"Rows": 40}, "cut off"),
        ({"Rows": 60000, "Columns": 60000}, "limit is"),
        ({"BitsStored": 12}, "do not go together"),
        ({"HighBit": 9}, "do not go together"),
        ({"SOPClassUID": uid.MediaStorageDirectoryStorage}, "DICOMDIR"),
    ],
)
def test_what_is_no_chest_film_is_refused_with_the_reason(tmp_path: Path, change: Any, message: str) -> None:
    ds = chest(EIGHT)
    if callable(change):
        change(ds)
    else:
        for name, value in change.items():
            setattr(ds, name, value)
    with pytest.raises(ImageError, match=message) as caught:
        pixels(tmp_path, ds)
    assert str(tmp_path / "film.dcm") in str(caught.value)
    assert "SECRET" not in str(caught.value)  # header text is never quoted: it may be a name


def test_chest_words_outrank_other_parts(tmp_path: Path) -> None:
    assert pixels(tmp_path, chest(EIGHT, BodyPartExamined="CHEST ABDOMEN")).shape == EIGHT.shape


def test_a_deflate_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.dicom.read_dicom.MAX_FILE_BYTES", 2**24)
    path = save(chest(EIGHT), tmp_path / "bomb", uid.DeflatedExplicitVRLittleEndian)
    whole = path.read_bytes()
    meta_end = 132 + 12 + int.from_bytes(whole[140:144], "little")
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = b"".join(squeezer.compress(bytes(2**20)) for _ in range(17)) + squeezer.flush()
    path.write_bytes(whole[:meta_end] + body)
    assert path.stat().st_size < 2**20
    with pytest.raises(ImageError, match="inflates beyond"):
        read_film(path)


def test_a_codestream_larger_than_the_header_is_refused_before_decoding(tmp_path: Path) -> None:
    ds = chest(RNG.integers(0, 255, (64, 64), dtype=np.uint8))
    path = save(ds, tmp_path / "a", uid.JPEG2000Lossless)
    whole = path.read_bytes()
    at = whole.index(b"\xff\x4f\xff\x51") + 8
    path.write_bytes(whole[:at] + (65535).to_bytes(4, "big") * 2 + whole[at + 8 :])
    with pytest.raises(ImageError, match=r"compressed picture is \(65535, 65535\)"):
        read_film(path)


def test_real_films(shared: Path) -> None:
    folder = shared / "data/dicom_samples"
    plain, packed = read_film(folder / "RG1_UNCR.dcm"), read_film(folder / "RG1_J2KR.dcm")
    np.testing.assert_array_equal(plain.pixels, packed.pixels)
    assert plain.pixels.shape == (1955, 1841)
    assert plain.header["view_position"] == "PA"
    lossy = read_film(folder / "RG1_J2KI.dcm")
    assert 0 < np.abs(lossy.pixels - plain.pixels).mean() < 0.01
    # air in the top corners is dark and the body is bright, though the file is MONOCHROME1 ... by the window's order
    upright = read_film(folder / "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm")
    faked = read_film(folder / "Fake_MONOHR1.dcm")
    np.testing.assert_allclose(faked.pixels, 1 - upright.pixels, atol=1e-6)
