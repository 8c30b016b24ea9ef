"""Boxes follow the film to the encoder's square and back, for every rule, to the pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.evaluation.detection.geometry import Rule, as_shares, clipped, from_shares, placed_by, placement
from hilum.heads.grounding import on_film
from hilum.released.pixels import PIXELS
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film

RULES: tuple[Rule, ...] = ("squeeze", "shortest", "pad", "square")
sides = st.integers(20, 200)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(16, 128), st.sampled_from(RULES), st.integers(0, 999))
def test_there_and_back(height: int, width: int, size: int, rule: Rule, seed: int) -> None:
    boxes = np.random.default_rng(seed).uniform(0.1, 50, (5, 4))
    place = placement((height, width), size, rule)
    np.testing.assert_allclose(place.back(place.forward(boxes, (height, width)), (height, width)), boxes)
    np.testing.assert_allclose(from_shares(as_shares(boxes, size), size), boxes)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(120, 80), (80, 120), (96, 96), (63, 77)])
def test_boxes_land_where_the_encoder_sees_the_pixels(rule: Rule, shape: tuple[int, int]) -> None:
    film = np.zeros(shape, np.uint8)
    box = np.array([[shape[1] // 2 - 12, shape[0] // 2 - 8, 24.0, 16.0]])
    film[int(box[0, 1]) : int(box[0, 1] + 16), int(box[0, 0]) : int(box[0, 0] + 24)] = 255
    record = Preprocessing(size=64, channels=1, mean=(0.0,), std=(1.0,), resize=rule)
    seen = prepare_film(film, record)[0].numpy() > 0.5
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    left, top, width, height = placed_by(shape, record).forward(box, shape)[0]
    assert np.abs(np.array([columns[0], rows[0]]) - [left, top]).max() <= 1
    assert np.abs(np.array([columns[-1] + 1, rows[-1] + 1]) - [left + width, top + height]).max() <= 1


def test_what_lies_outside_is_cut() -> None:
    boxes = np.array([[-5.0, -5, 10, 10], [90, 10, 30, 30], [200, 200, 5, 5]])
    assert clipped(boxes, (50, 100)).tolist() == [[0, 0, 5, 5], [90, 10, 10, 30], [100, 50, 0, 0]]


@pytest.mark.parametrize("name", PIXELS)
@settings(max_examples=12, deadline=None)
@given(st.integers(90, 220), st.integers(90, 220), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_a_dot_lands_where_the_geometry_says_for_every_public_encoder(
    name: str, height: int, width: int, down: float, across: float
) -> None:
    record = PIXELS[name].record.at(96)
    record = replace(record, channels=1, mean=(0.0,), std=(1.0,))
    film = np.zeros((height, width), np.uint8)
    top, left = int(down * (height - 9)), int(across * (width - 9))
    film[top : top + 9, left : left + 9] = 255
    place = placed_by((height, width), record)
    box = place.forward(np.array([[left, top, 9.0, 9.0]]), (height, width))
    seen = prepare_film(film, record)[0].double().numpy().clip(0)
    inside = clipped(box, (96, 96))
    if (inside != box).any():  # cut off: what is left of it, if anything, lies at the edge
        assert seen.sum() <= 255 * (inside[0, 2] + 2) * (inside[0, 3] + 2)
        return
    rows, columns = np.mgrid[:96, :96] + 0.5
    middle = (seen * columns).sum() / seen.sum(), (seen * rows).sum() / seen.sum()
    assert np.abs(np.array(middle) - (box[0, :2] + box[0, 2:] / 2)).max() < 0.6
    grid = seen[None, :, :].reshape(1, 24, 4, 24, 4).mean(axis=(2, 4))  # and back on the film, as maps are laid
    heat = on_film(grid, (height, width), record.resize, seen=record.seen)[0]
    hot = np.argwhere(heat > np.nanmax(heat) * 0.8).mean(axis=0)
    assert np.abs(hot - [top + 4, left + 4]).max() < 2.5 * max(height, width) / 96 + 1


def test_the_crop_of_a_letterbox_cuts_its_edges() -> None:
    record = PIXELS["mgca"].record  # 256, the middle 224
    place = placed_by((512, 256), record)
    assert place == (-16 + 64, -16, -16 + 192, 240)
    place = placed_by((512, 512), PIXELS["chexzero"].record)  # 320, then all of it to 224
    assert np.allclose(place, (0, 0, 224, 224))
    place = placed_by((300, 200), PIXELS["torchxrayvision"].record)
    assert np.allclose(place, (0, -50 * 1.12, 224, 250 * 1.12))
    outside = place.forward(np.array([[10.0, 5, 30, 20]]), (300, 200))
    assert clipped(outside, (224, 224))[0, 3] == 0
