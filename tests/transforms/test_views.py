"""Random views: the numbers drawn, and what is done with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.transforms.views import (
    CROP_RATIO,
    FineTuneDraw,
    FineTuneViews,
    apply_fine_tune,
    crop_resize,
    draw_crop,
)


@pytest.mark.parametrize("shape", [(64, 64), (50, 90), (200, 60)])
def test_crops_stay_inside_and_within_scale_and_ratio(shape: tuple[int, int]) -> None:
    height, width = shape
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(500):
        left, top, right, bottom = draw_crop(rng, height, width, (0.2, 1.0))
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        aspect = (right - left) / (bottom - top)
        assert CROP_RATIO[0] * 0.93 < aspect < CROP_RATIO[1] * 1.07  # sides are rounded
        areas.append((right - left) * (bottom - top) / (height * width))
    assert min(areas) > 0.17
    assert max(areas) > min(0.9, 1.1 * min(shape) / max(shape))  # nearly all that the ratio allows


def test_the_area_is_uniform_where_every_try_fits() -> None:
    rng = np.random.default_rng(1)
    areas = []
    for _ in range(4000):
        left, top, right, bottom = draw_crop(rng, 1000, 1000, (0.2, 0.7))
        areas.append((right - left) * (bottom - top) / 1e6)
    assert np.mean(areas) == pytest.approx(0.45, abs=0.01)
    assert np.quantile(areas, 0.25) == pytest.approx(0.325, abs=0.015)


def test_a_shape_that_never_fits_gets_the_centre() -> None:
    assert draw_crop(np.random.default_rng(0), 10, 1000, (0.9, 1.0)) == (493, 0, 506, 10)
    assert draw_crop(np.random.default_rng(0), 1000, 12, (0.9, 1.0)) == (0, 492, 12, 508)


def test_crop_and_resize_is_pillows() -> None:
    film = np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)
    got = crop_resize(film, (5, 10, 45, 58), 16)
    cut = Image.fromarray(film[10:58, 5:45]).resize((16, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(got[2:-2, 2:-2], np.array(cut)[2:-2, 2:-2])  # the rim may look past the box
    assert np.array_equal(crop_resize(film, (0, 0, 50, 60), 16).shape, (16, 16))


def test_fine_tuning_views_are_reproducible_and_weak() -> None:
    film = np.random.default_rng(0).integers(0, 256, (70, 60), dtype=np.uint8)
    views = FineTuneViews(32)
    first = views(film, np.random.default_rng(5))["image"]
    again = views(film, np.random.default_rng(5))["image"]
    other = views(film, np.random.default_rng(6))["image"]
    assert first.shape == (1, 32, 32)
    assert first.dtype is torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    draws = [views.draw(np.random.default_rng(seed), 70, 60) for seed in range(200)]
    assert not any(draw.flip for draw in draws)  # the heart stays on its side
    assert max(abs(draw.degrees) for draw in draws) <= 5
    assert all(0.8 <= draw.contrast <= 1.2 and abs(draw.brightness) <= 0.1 for draw in draws)


def test_each_number_does_its_work() -> None:
    film = np.tile(np.linspace(60, 180, 32).astype(np.uint8), (32, 1))
    still = FineTuneDraw((0, 0, 32, 32), flip=False, degrees=0.0, contrast=1.0, brightness=0.0)
    assert np.array_equal(apply_fine_tune(film, still, 32), film)

    def changed(**field: object) -> np.ndarray:
        return apply_fine_tune(film, FineTuneDraw(**{**still.__dict__, **field}), 32)

    assert np.array_equal(changed(flip=True), film[:, ::-1])
    assert changed(brightness=0.1).mean() - film.mean() == pytest.approx(25.5, abs=1)
    assert changed(contrast=0.5).std() / film.std() == pytest.approx(0.5, abs=0.02)
    assert changed(contrast=0.5).mean() == pytest.approx(film.mean(), abs=1)
    turned = changed(degrees=5.0)[8:-8, 8:-8].astype(int)
    assert (np.abs(turned - film[8:-8, 8:-8]) > 0).any()
    assert np.abs(turned - film[8:-8, 8:-8]).max() < 12
