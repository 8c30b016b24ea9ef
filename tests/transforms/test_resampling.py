"""Kernels of other libraries: against plain formulas, and against the libraries themselves."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.transform import resize as skimage_resize

from hilum.transforms.resampling import FILTERS, resized
from tests.oracles.pixels import area, odd_film

SHAPES = [
    ((517, 611), (216, 256)),
    ((600, 333), (448, 248)),
    ((300, 200), (150, 100)),  # halves
    ((1000, 400), (250, 100)),  # whole factors
    ((90, 60), (30, 20)),
    ((97, 64), (256, 168)),  # grows
    ((224, 231), (232, 240)),
]


@pytest.mark.parametrize("kernel", FILTERS)
def test_pillows_kernels_are_pillows_in_either_type(kernel: str) -> None:
    film = odd_film(97, 131)
    expected = np.asarray(Image.fromarray(film).resize((40, 30), Image.Resampling[kernel.upper()]))
    found = resized(film, 30, 40, kernel)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)
    real = resized(film.astype(np.float32), 30, 40, kernel)
    assert real.dtype == np.float32
    assert np.abs(real.clip(0, 255) - expected).max() <= 1.01  # rounded between the passes, and at the end


@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_area_is_the_mean_over_each_cell(before: tuple[int, int], after: tuple[int, int]) -> None:
    film = odd_film(*before)
    found = resized(film, *after, "area")
    assert found.shape == after
    assert abs(found.mean() - film.mean()) < 1
    if after <= before:
        real = resized(film.astype(np.float32), *after, "area")
        assert np.abs(real - area(film, *after)).max() <= 0.501
        halved = before == (2 * after[0], 2 * after[1])  # a mean of four may be a half, which goes up
        assert (found != area(film, *after)).mean() < (0.15 if halved else 1e-3)
        assert np.abs(found.astype(int) - area(film, *after)).max() <= 1


def test_area_of_two_by_two_rounds_halves_up() -> None:
    film = np.array([[0, 0, 1, 1], [1, 1, 1, 2]], np.uint8)
    assert resized(film, 1, 2, "area").tolist() == [[1, 1]]  # 0.5 and 1.25


def test_area_enlarges_by_flat_pixels_with_straight_edges() -> None:
    film = np.array([[0, 100]], np.uint8)
    row = resized(film, 2, 5, "area")[0]
    assert row[[0, 1, 3, 4]].tolist() == [0, 0, 100, 100]
    assert 40 <= row[2] <= 60  # the middle lies across the edge


@pytest.mark.timm
@pytest.mark.parametrize(("before", "after"), SHAPES)
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_area_is_opencvs_to_the_level(before: tuple[int, int], after: tuple[int, int], kind: type) -> None:
    cv2 = pytest.importorskip("cv2")
    film: np.ndarray = odd_film(*before).astype(kind)
    expected = cv2.resize(film, after[::-1], interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(resized(film, *after, "area"), expected, atol=0 if kind is np.uint8 else 1e-4)


def test_skimages_kernel_sees_grey_beyond_the_edges() -> None:
    film = odd_film(120, 90).astype(np.float32) / 255
    values = (2 * film - 1) * 1024  # as torchxrayvision calls it: zero outside, which is 0.5 of our range
    expected = skimage_resize(values, (48, 36), mode="constant", preserve_range=True)
    found = resized(film, 48, 36, "skimage", outside=0.5)
    np.testing.assert_allclose((2 * found - 1) * 1024, expected, atol=1e-2)
    assert np.abs(found - resized(film, 48, 36, "skimage", outside=0.0)).max() > 0.05
