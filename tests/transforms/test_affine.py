"""Letterboxed, turned and scaled views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.transforms.affine import AffineDraw, AffineViews, apply_affine, letterbox


def blobs(size: int = 64) -> np.ndarray:
    """A smooth picture without symmetry, dark at the edges."""
    rows, columns = np.mgrid[:size, :size] / size
    spots = ((0.3, 0.35, 200), (0.65, 0.6, 120), (0.3, 0.7, 60))
    grey = sum(level * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 0.01) for y, x, level in spots)
    return np.clip(grey, 0, 255).astype(np.uint8)


def test_letterbox_keeps_the_aspect_and_centres() -> None:
    film = np.full((40, 80), 200, dtype=np.uint8)
    square = letterbox(film, 32)
    assert square.shape == (32, 32)
    assert (square[8:24] == 200).all()
    assert not square[:8].any()
    assert not square[24:].any()
    assert (letterbox(film.T, 32) == square.T).all()
    whole = blobs(32)
    assert (letterbox(whole, 32) == whole).all()


@pytest.mark.parametrize("degrees", [90.0, 20.0, -20.0])
def test_a_turn_is_anticlockwise_as_in_pillow(degrees: float) -> None:
    picture = blobs()
    turned = apply_affine(picture, AffineDraw(flip=False, degrees=degrees, factor=1.0))
    wanted = np.array(Image.fromarray(picture).rotate(degrees, Image.Resampling.BILINEAR))
    assert np.abs(turned.astype(int) - wanted).max() <= 1
    assert np.abs(turned.astype(int) - picture).max() > 30


def test_a_factor_enlarges_about_the_centre() -> None:
    picture = np.zeros((64, 64), dtype=np.uint8)
    picture[24:40, 24:40] = 255
    grown = apply_affine(picture, AffineDraw(flip=False, degrees=0.0, factor=1.5))
    assert (grown[21:43, 21:43] == 255).all()
    assert not grown[:19].any()
    assert (apply_affine(picture, AffineDraw(flip=False, degrees=0.0, factor=1.0)) == picture).all()


def test_views_follow_the_generator_and_stay_in_range() -> None:
    views = AffineViews(image_size=32, patches=16)
    film = blobs(50)
    first, again = views(film, np.random.default_rng(1)), views(film, np.random.default_rng(1))
    assert first["image"].shape == (1, 32, 32)
    assert first["image"].dtype is torch.uint8
    assert first["mask_noise"].shape == (16,)
    assert all(torch.equal(first[key], again[key]) for key in first)
    draws = [views.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert -20 <= min(d.degrees for d in draws) < -18
    assert 18 < max(d.degrees for d in draws) <= 20
    assert 0.8 <= min(d.factor for d in draws) < 0.82
    assert 1.18 < max(d.factor for d in draws) <= 1.2
    assert 100 < sum(d.flip for d in draws) < 200
    plain = AffineViews(image_size=50, patches=4, rotate=0.0, scale=(1.0, 1.0), flip=1.0)
    assert (plain(film, np.random.default_rng(0))["image"][0].numpy() == film[:, ::-1]).all()
