"""Film and masks move together; the square and the film's own pixels correspond; draws are the sample's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.evaluation.segmentation.views import TRUTH, Frame, MaskDraw, MaskViews, Resize, apply_view, square_masks
from hilum.manifest.masks import UNKNOWN
from hilum.methods.method import TruthViews
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.image import prepare_film


def bright_film(height: int = 90, width: int = 70) -> tuple[np.ndarray, np.ndarray]:
    """A film that is bright exactly inside its mask."""
    mask = np.zeros((1, height, width), np.uint8)
    mask[0, 20:60, 30:55] = 1
    return (20 + 200 * mask[0]).astype(np.uint8), mask


def test_meets_the_contract_of_the_loop() -> None:
    views = MaskViews(64)
    assert isinstance(views, TruthViews)
    film, mask = bright_film()
    seen = views(film, np.random.default_rng(0), mask)
    assert (seen[IMAGE].shape, seen[IMAGE].dtype) == ((1, 64, 64), torch.uint8)
    assert (seen[TRUTH].shape, seen[TRUTH].dtype) == ((1, 64, 64), torch.uint8)
    again = views(film, np.random.default_rng(0), mask)
    assert all(torch.equal(seen[key], again[key]) for key in seen)


@pytest.mark.parametrize("resize", ["pad", "squeeze"])
@pytest.mark.parametrize("seed", range(12))
def test_masks_follow_their_film(resize: Resize, seed: int) -> None:
    film, mask = bright_film()
    views = MaskViews(96, resize, contrast=0, brightness=0, rotate=15)
    seen = views(film, np.random.default_rng(seed), mask)
    pixels, truth = seen[IMAGE][0].numpy(), seen[TRUTH][0].numpy()
    known = truth != UNKNOWN
    agree = (pixels > 120) == (truth == 1)
    assert agree[known].mean() > 0.97  # but for the rim, which is drawn more finely on the film
    assert (truth == 1).any()


def test_a_mask_of_another_size_is_brought_to_the_films() -> None:
    film, mask = bright_film()
    large = mask.repeat(3, axis=1).repeat(3, axis=2)
    views = MaskViews(64)
    one, other = (views(film, np.random.default_rng(3), masks)[TRUTH] for masks in (mask, large))
    assert torch.equal(one, other)
    unknown = views(film, np.random.default_rng(3), np.full((2, 1, 1), UNKNOWN, np.uint8))[TRUTH]
    assert unknown.shape == (2, 64, 64)
    assert (unknown == UNKNOWN).all()


def test_the_whole_film_unmoved_is_the_evaluation_transform() -> None:
    film = np.random.default_rng(0).integers(80, 176, (90, 70), dtype=np.uint8)  # bicubic overshoots nowhere
    _, mask = bright_film()
    still = MaskDraw((0, 0, 70, 90), flip=False, degrees=0.0, contrast=1.0, brightness=0.0)
    for resize in ("pad", "squeeze"):
        pixels, truth = apply_view(film, mask, still, 64, resize)  # type: ignore[arg-type]
        record = Preprocessing(size=64, channels=1, mean=(0.0,), std=(1.0,), resize=resize)  # type: ignore[arg-type]
        expected = 255 * prepare_film(film, record)[0].numpy()
        assert np.abs(pixels - expected).max() < 2  # 8-bit rounding between the two passes of the resampling
        np.testing.assert_array_equal(truth, square_masks(mask, 90, 70, 64, resize))  # type: ignore[arg-type]
        assert ((truth == UNKNOWN).any()) == (resize == "pad")


def test_options_that_are_off_draw_nothing() -> None:
    views = MaskViews(64, crop=1.0, flip=0.0, rotate=0.0, contrast=0.0, brightness=0.0)
    draws = {views.draw(np.random.default_rng(seed), 90, 70) for seed in range(20)}
    assert draws == {MaskDraw((0, 0, 70, 90), flip=False, degrees=0.0, contrast=1.0, brightness=0.0)}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.05, 1), st.integers(0, 9))
def test_crops_lie_in_the_film_and_keep_their_share(height: int, width: int, crop: float, seed: int) -> None:
    draw = MaskViews(64, crop=crop).draw(np.random.default_rng(seed), height, width)
    left, top, right, bottom = draw.box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left + 0.5) * (bottom - top + 0.5) >= crop * (height - 0.5) * (width - 0.5) * 0.9 - 1


@settings(max_examples=50, deadline=None)
@given(st.integers(8, 300), st.integers(8, 300), st.sampled_from(["pad", "squeeze"]))
def test_lifting_undoes_the_square(height: int, width: int, resize: Resize) -> None:
    frame = Frame.of(height, width, 64, resize)
    assert frame.rows <= 64
    assert frame.columns <= 64
    inside = torch.full((1, 64, 64), 9.0)
    rows = slice(frame.top, frame.top + frame.rows)
    columns = slice(frame.left, frame.left + frame.columns)
    ramp = torch.linspace(0, 1, frame.rows)[:, None].expand(-1, frame.columns)
    inside[0, rows, columns] = ramp
    lifted = frame.lift(inside, height, width)
    assert lifted.shape == (1, height, width)
    assert float(lifted.max()) <= 1  # nothing of the padding comes in
    centre = lifted[0, :, width // 2]
    assert (centre.diff() >= 0).all()
