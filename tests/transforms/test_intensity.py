"""Grey levels redrawn: each change against an independent implementation, each draw against its distribution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import correlate1d

from hilum.errors import ConfigError
from hilum.transforms.intensity import Grey, NaturalGrey, RadiographGrey, blurred, regrade

DRAWS = 4000
NEAR = 4 * 0.5 / DRAWS**0.5  # four standard errors of a share, at its widest


def crop(size: int = 24, seed: int = 0) -> np.ndarray:
    """Greys of a film's kind: smooth, with both ends of the scale."""
    noise = np.random.default_rng(seed).normal(0, 12, (size, size))
    ramp = np.linspace(-10, 265, size)[None] + noise
    return ramp.clip(0, 255).astype(np.uint8)


def test_numbers_at_rest_change_nothing() -> None:
    pixels = crop()
    assert np.array_equal(regrade(pixels, Grey()), pixels)


@pytest.mark.parametrize("factor", [0.6, 0.93, 1.4])
def test_brightness_and_contrast_are_pillows(factor: float) -> None:
    """Torchvision's transforms of a Pillow image call the same two enhancers."""
    pixels = crop()
    image = Image.fromarray(pixels)
    brighter = np.asarray(ImageEnhance.Brightness(image).enhance(factor), dtype=int)
    sharper = np.asarray(ImageEnhance.Contrast(image).enhance(factor), dtype=int)
    assert np.abs(regrade(pixels, Grey(brightness=factor)) - brighter).max() <= 1  # Pillow cuts, we round
    assert np.abs(regrade(pixels, Grey(contrast=factor)) - sharper).max() <= 1


def test_the_order_of_the_two_counts() -> None:
    pixels = crop()
    enhance = ImageEnhance.Brightness(ImageEnhance.Contrast(Image.fromarray(pixels)).enhance(1.4)).enhance(0.6)
    grey = Grey(brightness=0.6, contrast=1.4)
    assert np.abs(regrade(pixels, replace(grey, contrast_first=True)) - np.asarray(enhance, dtype=int)).max() <= 2
    assert np.abs(regrade(pixels, grey) - np.asarray(enhance, dtype=int)).max() > 5


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_the_blur_is_a_gaussian_of_nine_mirrored_at_the_rim(sigma: float) -> None:
    pixels = crop()
    kernel = np.array([np.exp(-(x**2) / (2 * sigma**2)) for x in range(-4, 5)])
    kernel /= kernel.sum()
    expected = pixels.astype(float)
    for axis in (0, 1):
        expected = correlate1d(expected, kernel, axis=axis, mode="mirror")
    assert np.abs(blurred(pixels, sigma) - expected).max() <= 0.51
    assert np.array_equal(blurred(pixels, 0.1), pixels)  # a tenth of a pixel is no blur


def test_solarize_is_pillows_and_comes_last() -> None:
    pixels = crop()
    solar = np.asarray(ImageOps.solarize(Image.fromarray(pixels), 128))
    assert np.array_equal(regrade(pixels, Grey(solarize=True)), solar)
    soft = np.asarray(ImageOps.solarize(Image.fromarray(blurred(pixels, 1.5)), 128))
    assert np.array_equal(regrade(pixels, Grey(solarize=True, blur=1.5)), soft)


def test_a_window_spreads_its_levels_and_clips_the_rest() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    seen = regrade(levels, Grey(window=(0.5, 0.8))).ravel()
    assert (seen[:26] == 0).all()  # below 10 % of the range
    assert (seen[230:] == 255).all()  # above 90 %
    assert seen[128] == pytest.approx(128, abs=1)
    assert (np.diff(seen.astype(int)) >= 0).all()
    wide = regrade(levels, Grey(window=(0.5, 1.25)))
    assert (wide.min(), wide.max()) == (26, 230)  # a wide window flattens, and clips nothing


def test_gamma_keeps_black_and_white_and_moves_the_middle() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    darker = regrade(levels, Grey(gamma=1.25)).ravel()
    assert (darker[0], darker[255]) == (0, 255)
    assert darker[128] == round(255 * (128 / 255) ** 1.25)


@pytest.mark.parametrize(("quirk", "shares"), [(False, (1.0, 0.1, 0.5)), (True, (0.0, 0.9, 0.5))])
def test_natural_blur_has_its_probabilities_or_one_minus_them(quirk: bool, shares: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    for crop_kind, share in zip(("first", "second", "local"), shares, strict=True):
        drawn = [NaturalGrey().draw(rng, crop_kind, blur_quirk=quirk).blur for _ in range(DRAWS)]  # type: ignore[arg-type]
        assert np.mean(np.array(drawn) > 0) == pytest.approx(share, abs=NEAR if 0 < share < 1 else 0)
        sigmas = [sigma for sigma in drawn if sigma]
        if sigmas:
            assert 0.1 <= min(sigmas) < 0.2
            assert 1.9 < max(sigmas) <= 2.0


def test_natural_jitter_and_solarize_have_dinov2s_shares() -> None:
    rng = np.random.default_rng(1)
    drawn = [NaturalGrey().draw(rng, "second") for _ in range(DRAWS)]
    changed = [grey for grey in drawn if grey.brightness != 1]
    assert len(changed) / DRAWS == pytest.approx(0.8, abs=NEAR)
    assert all(grey.contrast != 1 for grey in changed)  # one coin for both
    assert np.mean([grey.contrast_first for grey in changed]) == pytest.approx(0.5, abs=NEAR)
    assert np.mean([grey.solarize for grey in drawn]) == pytest.approx(0.2, abs=NEAR)
    for name in ("brightness", "contrast"):
        factors = np.array([getattr(grey, name) for grey in changed])
        assert 0.6 <= factors.min() < 0.62
        assert 1.38 < factors.max() <= 1.4
        assert factors.mean() == pytest.approx(1, abs=0.02)
    assert not any(NaturalGrey().draw(rng, kind).solarize for kind in ("first", "local") for _ in range(200))


def test_radiograph_draws_stay_within_its_strengths() -> None:
    rng = np.random.default_rng(2)
    drawn = [RadiographGrey().draw(rng) for _ in range(DRAWS)]
    windows = [grey.window for grey in drawn if grey.window is not None]
    changed = [grey for grey in drawn if grey.gamma != 1]
    assert len(windows) / DRAWS == pytest.approx(0.5, abs=NEAR)
    assert len(changed) / DRAWS == pytest.approx(0.8, abs=NEAR)
    assert np.mean([grey.blur > 0 for grey in drawn]) == pytest.approx(0.3, abs=NEAR)
    assert max(grey.blur for grey in drawn) <= 1
    edges = [(centre - width / 2, centre + width / 2) for centre, width in windows]
    assert max(low for low, _ in edges) <= 0.15  # no window hides more than 15 % of either end
    assert min(high for _, high in edges) >= 0.85
    assert np.mean([np.log(grey.gamma) for grey in changed]) == pytest.approx(0, abs=0.01)
    assert not any(grey.solarize for grey in drawn)


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (NaturalGrey, {"jitter": 1.2}, "jitter is 1.2"),
        (NaturalGrey, {"blur": (1.0, 0.5, -0.1)}, "blur_local is -0.1"),
        (NaturalGrey, {"sigma": (0.0, 2.0)}, "sigma is"),
        (RadiographGrey, {"gamma": -1.0}, "gamma is -1.0"),
        (RadiographGrey, {"gamma": float("nan")}, "gamma is nan"),
        (RadiographGrey, {"window_width": (1.2, 0.8)}, "window_width is"),
        (RadiographGrey, {"window_shift": 2.0}, "window_shift is 2.0"),
    ],
)
def test_values_without_meaning_are_refused(kind: Any, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        kind(**values)
