"""Each public encoder's input from the same film as its own pipeline makes it, to 1e-3; the table and its words."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import CheckpointError, ConfigError
from hilum.released.pixels import PIXELS, as_markdown, record
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film
from tests.oracles.pixels import ORACLES, odd_film

# oblong both ways with odd margins, small, tiny, square, and a long one whose letterbox CheXzero rounds to 319
SHAPES = [(517, 611), (603, 540), (231, 224), (97, 64), (300, 300), (581, 333)]
ENLARGED_BY_AREA = {
    "mgca",
    "medim",
    "gloria",
    "maco",
}  # the oracle is of films that shrink


def test_every_record_has_its_oracle() -> None:
    assert set(ORACLES) == set(PIXELS)


CASES = [
    (name, shape)
    for name in PIXELS
    for shape in SHAPES
    if name not in ENLARGED_BY_AREA or max(shape) >= (PIXELS[name].record.resize_to or 0)
]


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_pixels_are_those_of_the_encoders_own_pipeline(name: str, shape: tuple[int, int]) -> None:
    own = PIXELS[name].record
    film = odd_film(*shape)
    expected = ORACLES[name](film)
    scale = 1024 if own.channels == 1 else 1  # 1e-3 of the range of values, which is 2048 wide there
    found = prepare_film(film, own).numpy()
    assert found.shape == expected.shape
    off = np.abs(found - expected) > 1e-3 * scale
    if own.interpolation == "area":  # OpenCV sums in float32, the oracle in float64: halves between two levels differ
        assert off.mean() < 1e-4
        assert np.abs(found - expected).max() < 1.01 / 255 / own.std[0]
    else:
        assert not off.any()


@pytest.mark.parametrize("name", PIXELS)
def test_finer_films_are_rounded_where_the_pipeline_reads_pictures(name: str) -> None:
    own = record(name, channels=PIXELS[name].record.channels)
    film = odd_film(300, 260)
    fine = film / np.float32(255) + np.random.default_rng(0).uniform(-0.0019, 0.0019, film.shape).astype(np.float32)
    same = np.abs(prepare_film(fine, own).numpy() - prepare_film(film, own).numpy()).max()
    if own.eight_bit and own.rescale != "minmax-film":  # BioViL stretches before it rounds
        assert same == 0
    else:
        assert 0 < same < 0.03 * (2048 if own.channels == 1 else 1)


def test_the_odd_ones_see_the_values_they_were_trained_on() -> None:
    film = odd_film(500, 400, low=0, high=255)
    assert np.ptp(prepare_film(film, record("biovil")).numpy()) <= 1
    lungs = prepare_film(film, record("torchxrayvision", channels=1)).numpy()
    assert lungs.min() < -500
    assert lungs.max() > 500
    black = prepare_film(np.zeros((400, 300), np.uint8), record("chexzero")).numpy()
    np.testing.assert_allclose(black, -101.48761 / 83.43944, rtol=1e-5)
    assert prepare_film(film, record("chexfound", size=64)).amin(dim=(1, 2)).numpy() == pytest.approx(
        [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], abs=1e-4
    )


def test_another_size_keeps_what_is_cut_off() -> None:
    assert record("mae", size=112).resize_to == 128
    assert record("mae", size=384).resize_to is None
    assert record("eva-x", size=512).seen == 1
    assert record("convnext", size=384).resize == "squeeze"
    assert record("chexzero", size=32).resize_to == 45
    assert record("dinov2", size=518).seen == pytest.approx(7 / 8, abs=1e-3)
    for name in PIXELS:
        for size in (28, 224, 336):
            assert prepare_film(odd_film(90, 70), record(name, size=size)).shape[-2:] == (size, size)


def test_channels_are_repeated_or_refused() -> None:
    assert record("torchxrayvision").mean == (0.5,) * 3
    assert record("rad-dino", channels=1).std == (0.2583,)
    assert record("mae", channels=1) == Preprocessing(
        channels=1, mean=(0.5,), std=(0.25,), resize="shortest", resize_to=256, eight_bit=True, margin="even"
    )
    with pytest.raises(CheckpointError, match="takes 4 input channels"):
        record("mae", channels=4)
    with pytest.raises(ConfigError, match="Did you mean 'rad-dino'"):
        record("rad_dino")


def test_the_table_in_markdown_says_each_and_its_source() -> None:
    lines = as_markdown().splitlines()
    assert len(lines) == 2 + len(PIXELS)
    assert len({line.count("|") for line in lines}) == 1
    row = next(line for line in lines if line.startswith("| chexzero"))
    for part in ("letterboxed to 320", "lanczos", "then bicubic to 224, not antialiased", "data_process.py", "0.398"):
        assert part in row
