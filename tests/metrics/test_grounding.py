"""Overlap, contrast and pointing: the released numbers, slow counts, and what an empty map scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hilum.metrics.grounding import THRESHOLDS, contrast_to_noise, min_max, overlap, pointing_game


def test_the_released_metrics_are_reproduced(shared: Path) -> None:
    case = np.load(shared / "golden/grounding/ms_cxr_metrics.npz")
    extra = json.loads((shared / "golden/grounding/ms_cxr_metrics.json").read_text())["extra"]
    heats, masks = case["in/allow_nan_heatmaps"], case["in/gt_masks"].astype(bool)
    assert np.isnan(heats).any()  # one map has pixels the encoder did not see
    scaled = [min_max(heat) for heat in heats]
    thresholds = tuple(case["in/thresholds"])
    found = [overlap(heat, mask, thresholds, empty="undefined") for heat, mask in zip(scaled, masks, strict=True)]
    iou = np.stack([one.iou for one in found])
    np.testing.assert_allclose(iou, case["out/iou"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.stack([one.dice for one in found]), case["out/dice"], rtol=1e-5, atol=1e-6)
    cnr = [contrast_to_noise(heat, mask) for heat, mask in zip(scaled, masks, strict=True)]
    np.testing.assert_allclose(cnr, case["out/cnr"], rtol=1e-5, atol=1e-6)
    pointed = [pointing_game(heat, mask, maxima="any") for heat, mask in zip(scaled, masks, strict=True)]
    np.testing.assert_array_equal(pointed, case["out/pointing_game"])
    assert iou.mean() == pytest.approx(float(case["out/miou_mean_over_samples_then_thresholds"]), abs=1e-6)
    table = next(iter(extra.values()))
    assert [round(value, 3) for value in iou.mean(axis=0)] == table["iou"][:-1]
    assert round(float(np.mean(pointed)), 3) == table["pg"][0]


def test_overlap_counts_pixels_one_by_one() -> None:
    rng = np.random.default_rng(0)
    heat, mask = rng.uniform(-1, 1, (7, 9)), rng.random((7, 9)) < 0.4
    found = overlap(heat, mask)
    for place, threshold in enumerate(THRESHOLDS):
        cells = [(heat[i, j] > threshold, mask[i, j]) for i in range(7) for j in range(9)]
        both, either = sum(a and b for a, b in cells), sum(a or b for a, b in cells)
        assert found.iou[place] == pytest.approx(both / either)
        assert found.dice[place] == pytest.approx(2 * both / (both + either))


def test_an_empty_map_scores_zero_or_nothing() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    cold = np.full((4, 4), 0.05)
    assert overlap(cold, mask).iou.tolist() == [0.0] * 5
    assert overlap(cold, mask).empty.all()
    assert np.isnan(overlap(cold, mask, empty="undefined").iou).all()
    assert np.isnan(overlap(cold + 1, np.zeros((4, 4), bool)).dice).all()  # nothing to find: no score either way
    assert min_max(cold).max() == -1.0
    rounded = 1e3 + np.random.default_rng(0).normal(0, 1e-5, (4, 4))  # what a filter leaves of a constant
    assert min_max(rounded).max() == -1.0
    assert (contrast_to_noise(rounded, mask), pointing_game(rounded, mask)) == (0.0, 0.0)
    assert contrast_to_noise(cold, mask) == 0.0
    assert (pointing_game(cold, mask), pointing_game(cold, mask, maxima="any")) == (0.0, 1.0)


def test_pixels_the_encoder_did_not_see_are_left_out_or_missed() -> None:
    mask = np.array([[True, True, False, False]])
    heat = np.array([[np.nan, 1.0, -1.0, np.nan]])
    assert overlap(heat, mask).iou.tolist() == [1.0] * 5
    assert overlap(heat, mask, unseen=True).iou.tolist() == [0.5] * 5
    assert np.isnan(min_max(np.full((2, 2), np.nan))).all()
    assert pointing_game(np.full((1, 4), np.nan), mask) == 0.0


def test_contrast_is_signed_and_undefined_without_an_outside() -> None:
    mask = np.array([[True, True, False, False]])
    heat = np.array([[3.0, 1.0, 0.0, -2.0]])
    assert contrast_to_noise(heat, mask) == pytest.approx(3 / np.sqrt(2))
    assert contrast_to_noise(-heat, mask) == pytest.approx(-3 / np.sqrt(2))
    assert contrast_to_noise(heat, np.ones((1, 4), bool)) is None
    assert contrast_to_noise(mask.astype(float), mask) is None  # contrast without noise


def test_several_hottest_pixels_share_the_point() -> None:
    mask = np.array([[True, False, False]])
    heat = np.array([[1.0, 1.0, 0.0]])
    assert pointing_game(heat, mask) == 0.5
    assert pointing_game(heat, mask, maxima="any") == 1.0
