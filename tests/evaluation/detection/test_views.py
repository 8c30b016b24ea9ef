"""Views move boxes with their films: a bright box stays where its pixels are, mirrored, scaled and cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.evaluation.detection.geometry import from_shares
from hilum.evaluation.detection.views import BOXES, BoxDraw, BoxViews
from hilum.methods.method import TruthViews
from hilum.schema import IMAGE, Preprocessing

shares = st.floats(0, 1)
SQUEEZED = Preprocessing(size=32)


@settings(max_examples=80, deadline=None)
@given(st.floats(0.6, 1.6), shares, shares, st.booleans(), st.sampled_from(["squeeze", "shortest", "pad"]))
def test_a_box_stays_on_its_pixels(factor: float, across: float, down: float, flip: bool, rule: str) -> None:
    film = np.zeros((120, 90), np.uint8)
    film[30:80, 20:60] = 255
    views = BoxViews(Preprocessing(size=64, resize=rule), 2)  # type: ignore[arg-type]
    seen = views.apply(film, np.array([[20.0, 30, 40, 50, 1]]), BoxDraw(factor, (across, down), flip))
    bright = seen[IMAGE][0].numpy() > 127
    known = seen[BOXES][~seen[BOXES][:, 0].isnan()].double().numpy()
    if not len(known):
        assert bright.sum() <= 64  # less than a pixel wide
        return
    assert known[0, 4] == 1
    left, top, width, height = from_shares(known[:, :4], 64)[0]
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    assert np.abs(np.array([columns[0], rows[0]]) - [left, top]).max() <= 1.2
    assert np.abs(np.array([columns[-1] + 1, rows[-1] + 1]) - [left + width, top + height]).max() <= 1.2
    assert left >= 0
    assert left + width <= 64 + 1e-4


def test_shapes_are_fixed_and_draws_keyed() -> None:
    views = BoxViews(SQUEEZED, 3, flip=0.5)
    assert isinstance(views, TruthViews)
    film = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    truth = np.array([[1.0, 2, 10, 10, 0], [20, 20, 10, 20, 1]])
    first, again = (views(film, np.random.default_rng(5), truth) for _ in range(2))
    assert first[IMAGE].shape == (1, 32, 32)
    assert first[BOXES].shape == (3, 5)
    assert first[BOXES][2].isnan().all()
    torch.testing.assert_close(first, again, equal_nan=True)
    nothing = views(film, np.random.default_rng(5), np.zeros((0, 5)))
    assert nothing[BOXES].isnan().all()


def test_flips_come_as_often_as_asked() -> None:
    flips = [BoxViews(SQUEEZED, 1, flip=0.3).draw(np.random.default_rng(seed)).flip for seed in range(400)]
    assert np.mean(flips) == pytest.approx(0.3, abs=0.08)
    assert not any(BoxViews(SQUEEZED, 1).draw(np.random.default_rng(seed)).flip for seed in range(50))


def test_without_scaling_the_whole_film_is_seen() -> None:
    film = np.full((40, 40), 200, np.uint8)
    seen = BoxViews(SQUEEZED, 1).apply(film, np.array([[0.0, 0, 40, 40, 0]]), BoxDraw(1.0, (0.7, 0.1), False))
    assert (seen[IMAGE] == 200).all()
    torch.testing.assert_close(seen[BOXES][0], torch.tensor([0.5, 0.5, 1, 1, 0]))
