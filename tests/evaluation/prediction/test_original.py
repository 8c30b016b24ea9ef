"""Back from the stored picture to the film: a box or mask laid on the film comes back to its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hilum.dicom.store import FITS, fitted
from hilum.evaluation.prediction.original import Placed
from hilum.evaluation.prepared import Prepared

SIDES = st.integers(20, 300)


@given(SIDES, SIDES, st.sampled_from(FITS), st.integers(16, 200))
def test_the_film_fills_the_place_it_is_given(height: int, width: int, fit: str, size: int) -> None:
    placed = Placed.of(height, width, Prepared(size, fit))
    stored = fitted(np.ones((height, width), np.float32), size, fit)
    part = placed.crop(stored, stored.shape)
    assert part.shape == (placed.rows, placed.columns)
    assert (part == 255).all()
    assert int((stored == 255).sum()) == part.size  # all the rest is padding


@given(SIDES, SIDES, st.sampled_from(FITS))
def test_boxes_come_back(height: int, width: int, fit: str) -> None:
    placed = Placed.of(height, width, Prepared(64, fit))
    box = np.array([[width * 0.25, height * 0.5, width * 0.5, height * 0.25]])
    scale = np.array([placed.columns / width, placed.rows / height])
    stored = np.concatenate([box[:, :2] * scale + [placed.left, placed.top], box[:, 2:] * scale], axis=1)
    np.testing.assert_allclose(placed.boxes(stored), box)
    whole = placed.boxes(np.array([[-10.0, -10.0, 5000.0, 5000.0]]))
    np.testing.assert_allclose(whole, [[0, 0, width, height]])


@pytest.mark.parametrize("fit", FITS)
def test_a_mask_comes_back(fit: str) -> None:
    truth = np.zeros((120, 200), np.float32)
    truth[30:90, 50:150] = 1
    placed = Placed.of(120, 200, Prepared(100, fit))
    picture = placed.mask(fitted(truth, 100, fit) >= 128)
    assert picture.size == (200, 120)
    back = np.asarray(picture) > 0
    assert (back == (truth > 0)).mean() > 0.97
    assert isinstance(picture, Image.Image)


def test_a_film_that_was_not_prepared_is_its_own_picture() -> None:
    placed = Placed.of(30, 50, Prepared())
    film = np.arange(1500).reshape(30, 50)
    np.testing.assert_array_equal(placed.crop(film, (30, 50)), film)
    assert placed.crop(film[::2, ::2], (30, 50)).shape == (15, 25)
