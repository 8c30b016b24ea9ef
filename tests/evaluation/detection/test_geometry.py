"""Boxes follow the film to the encoder's square and back, for every rule, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.evaluation.detection.geometry import as_shares, clipped, from_shares, placed_by, placement
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film

RULES = ("squeeze", "shortest", "pad")
sides = st.integers(20, 200)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(16, 128), st.sampled_from(RULES), st.integers(0, 999))
def test_there_and_back(height: int, width: int, size: int, rule: str, seed: int) -> None:
    boxes = np.random.default_rng(seed).uniform(0.1, 50, (5, 4))
    place = placement((height, width), size, rule)
    np.testing.assert_allclose(place.back(place.forward(boxes, (height, width)), (height, width)), boxes)
    np.testing.assert_allclose(from_shares(as_shares(boxes, size), size), boxes)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(120, 80), (80, 120), (96, 96), (63, 77)])
def test_boxes_land_where_the_encoder_sees_the_pixels(rule: str, shape: tuple[int, int]) -> None:
    film = np.zeros(shape, np.uint8)
    box = np.array([[shape[1] // 2 - 12, shape[0] // 2 - 8, 24.0, 16.0]])
    film[int(box[0, 1]) : int(box[0, 1] + 16), int(box[0, 0]) : int(box[0, 0] + 24)] = 255
    record = Preprocessing(size=64, channels=1, mean=(0.0,), std=(1.0,), resize=rule)  # type: ignore[arg-type]
    seen = prepare_film(film, record)[0].numpy() > 0.5
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    left, top, width, height = placed_by(shape, record).forward(box, shape)[0]
    assert np.abs(np.array([columns[0], rows[0]]) - [left, top]).max() <= 1
    assert np.abs(np.array([columns[-1] + 1, rows[-1] + 1]) - [left + width, top + height]).max() <= 1


def test_what_lies_outside_is_cut() -> None:
    boxes = np.array([[-5.0, -5, 10, 10], [90, 10, 30, 30], [200, 200, 5, 5]])
    assert clipped(boxes, (50, 100)).tolist() == [[0, 0, 5, 5], [90, 10, 10, 30], [100, 50, 0, 0]]
