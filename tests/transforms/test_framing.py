"""The whole numbers of resize and crop, against the libraries' own formulas; a bright dot lands where they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.schema import Preprocessing
from hilum.transforms.framing import fit, reached

sides = st.integers(20, 4000)
PLAIN = Preprocessing(size=224)


@settings(max_examples=200, deadline=None)
@given(sides, sides, st.integers(16, 640))
def test_the_shorter_side_is_torchvisions(height: int, width: int, size: int) -> None:
    rows, columns = reached((height, width), size, replace(PLAIN, resize="shortest"))
    short, long = (width, height) if width <= height else (height, width)
    new = int(size * long / short)
    assert (rows, columns) == ((new, size) if width <= height else (size, new))


@settings(max_examples=200, deadline=None)
@given(sides, sides, st.integers(16, 448))
def test_a_letterbox_rounds_as_its_library_does(height: int, width: int, side: int) -> None:
    padded = replace(PLAIN, resize="pad")
    ratio = max(height / side, width / side)
    assert reached((height, width), side, padded) == (max(1, round(height / ratio)), max(1, round(width / ratio)))
    cut = side / max(height, width)
    both = tuple(max(1, int(length * cut)) for length in (height, width))
    assert reached((height, width), side, replace(padded, sides="floor-both")) == both
    one = reached((height, width), side, replace(padded, sides="floor"))
    assert one == ((side, both[1]) if height >= width else (both[0], side))


def test_a_letterbox_of_chexzero_may_lack_a_pixel() -> None:
    record = replace(PLAIN, resize="pad", resize_to=320, reduce="resize", sides="floor-both")
    assert int(581 * (320 / 581)) == 319  # in floating point
    assert reached((581, 581), 320, record) == (319, 319)
    assert reached((581, 581), 320, replace(record, sides="floor")) == (320, 319)


@pytest.mark.parametrize(("margin", "offset"), [("floor", [0, 0, 1, 1, 2, 2]), ("even", [0, 0, 1, 2, 2, 2])])
def test_half_of_an_odd_margin(margin: str, offset: list[int]) -> None:
    record = replace(PLAIN, resize="shortest", margin=margin)  # type: ignore[arg-type]
    assert [-fit((224, 224 + rest), record).left for rest in range(6)] == offset


def test_the_letterbox_comes_before_the_crop() -> None:
    how = fit((200, 100), replace(PLAIN, size=80, resize="pad", resize_to=100))
    assert (how.rows, how.columns, how.top, how.left, how.window) == (100, 50, -10, 15, 80)
    how = fit((200, 100), replace(PLAIN, size=80, resize="pad", resize_to=100, reduce="resize"))
    assert (how.top, how.left, how.window) == (0, 25, 100)


def test_the_centre_square_is_cut_before_the_resize() -> None:
    how = fit((101, 60), replace(PLAIN, size=32, resize="square"))
    assert how.cut == (20, 0, 60, 60)  # 101 // 2 - 60 // 2
    assert (how.rows, how.columns, how.top, how.left) == (32, 32, 0, 0)


def test_numbers_are_whole() -> None:
    for rule in ("squeeze", "shortest", "pad", "square"):
        how = fit((517, 611), replace(PLAIN, resize=rule, resize_to=256))
        assert all(isinstance(number, int) for number in (*how.cut, *how[1:]))
        assert np.prod(how.cut[2:]) > 0
