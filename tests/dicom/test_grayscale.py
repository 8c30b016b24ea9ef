"""The grayscale steps against values worked out from PS3.3 by hand and against pydicom's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from hilum.dicom import grayscale


def linear_by_the_text(x: float, center: float, width: float) -> float:
    """PS3.3 C.11.2.1.2.1, its pseudo-code with ymin 0 and ymax 1."""
    if x <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if x > center - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (center - 0.5)) / (width - 1) + 0.5


@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (0, 100), (100, 1), (128, 2), (-50.5, 33.25), (9000, 10)])
def test_linear_window(center: float, width: float) -> None:
    x = np.arange(-300, 5000, 7)
    expected = [linear_by_the_text(float(v), center, width) for v in x]
    np.testing.assert_allclose(grayscale.windowed(x, center, width, "LINEAR"), expected, atol=1e-6)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(function: str) -> None:
    ds = Dataset()
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = 1200, 900, function
    ds.PhotometricInterpretation, ds.BitsStored, ds.PixelRepresentation = "MONOCHROME2", 12, 0
    x = np.arange(4096, dtype=np.uint16)
    expected = apply_windowing(x, ds) / 4095
    np.testing.assert_allclose(grayscale.windowed(x, 1200, 900, function), expected, atol=1e-6)


def test_sigmoid_does_not_overflow() -> None:
    values = grayscale.windowed(np.array([-(10**6), 50, 10**6]), 50, 1, "SIGMOID")
    assert list(values) == [0.0, 0.5, 1.0]


def test_window_width_rules() -> None:
    assert grayscale.window_is_valid(1, "LINEAR")
    assert not grayscale.window_is_valid(0.5, "LINEAR")
    assert grayscale.window_is_valid(0.5, "SIGMOID")
    assert not grayscale.window_is_valid(0, "LINEAR_EXACT")


def test_lookup_clamps_both_ends() -> None:
    table = np.array([10, 20, 40], dtype=np.uint16)
    assert list(grayscale.looked_up(np.array([-9, 4, 5, 6, 7, 900]), table, 5)) == [10, 10, 10, 20, 40, 40]


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("stored", "high"), [(12, 11), (12, 15), (10, 12), (16, 15), (1, 0)])
def test_bits_outside_the_sample_are_dropped(stored: int, high: int, signed: bool) -> None:
    rng = np.random.default_rng(stored * 100 + high)
    cells = rng.integers(0, 2**16, (5, 7), dtype=np.uint16)
    got = grayscale.unused_bits_removed(cells, stored, high, signed)
    for cell, value in zip(cells.ravel(), got.ravel(), strict=True):
        expected = (int(cell) >> (high + 1 - stored)) & (2**stored - 1)
        if signed and expected >= 2 ** (stored - 1):
            expected -= 2**stored
        assert int(value) == expected


def test_range_rule() -> None:
    eight = np.array([0, 128, 255])
    np.testing.assert_allclose(grayscale.ranged(eight, np.array([1, 1, 1]), 8), eight / 255, atol=1e-7)
    levels = np.arange(1000)
    counts = np.ones(1000, dtype=np.intp)
    counts[0] = 0  # padding is not counted
    deep = grayscale.ranged(levels, counts, 12)
    low, high = 1, 999  # the 0.1 and 99.9 percentiles of 1..999 fall on its ends
    np.testing.assert_allclose(deep, np.clip((levels - low) / (high - low), 0, 1), atol=2e-3)
    assert deep.min() == 0
    assert deep.max() == 1
    flat = grayscale.ranged(np.array([7]), np.array([50]), 12)
    assert list(flat) == [0.0]
    lonely = grayscale.ranged(np.array([0, 4000]), np.array([10**6, 1]), 12)  # percentiles coincide: the extremes
    assert list(lonely) == [0.0, 1.0]
    assert list(grayscale.ranged(np.array([3]), np.array([0]), 12)) == [0.0]


def test_range_rule_outlier_costs_no_contrast() -> None:
    levels = np.arange(4096)
    counts = np.where((levels >= 100) & (levels < 1100), 100, 0)
    counts[4095] = 20  # a marker: 0.02 % of the pixels
    assert math.isclose(grayscale.ranged(levels, counts, 12)[600], 0.5, abs_tol=0.01)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_levels_rebuild_the_picture(dtype: type) -> None:
    picture = np.random.default_rng(0).integers(3, 120, (6, 5)).astype(dtype)
    levels, index = grayscale.levels_of(picture)
    np.testing.assert_array_equal(levels[index], picture)


def test_padding_range_may_be_given_either_way() -> None:
    levels = np.arange(6)
    assert list(np.nonzero(grayscale.padding(levels, 2, None))[0]) == [2]
    assert list(np.nonzero(grayscale.padding(levels, 4, 2))[0]) == [2, 3, 4]
