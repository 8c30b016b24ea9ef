"""Threshold and smallest area: counts by a slow walk, the rules, what cannot be chosen."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.evaluation.segmentation.choose import (
    AREAS,
    PRICE,
    THRESHOLDS,
    Cut,
    best_pooled,
    best_positive,
    choose_cut,
    count_film,
    joined,
)
from hilum.metrics.segmentation import dice_all, dice_positive


def test_counts_are_a_slow_walk() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((2, 6, 7)).astype(np.float32)
    probability[0, 0, :3] = np.array([0.5, 0.05, 0.95], np.float32)  # at a threshold: drawn
    truth = rng.integers(0, 2, (2, 6, 7)).astype(np.uint8)
    truth[0, 2] = 255
    both, drawn, true, known = count_film(probability, truth)
    for k in range(2):
        seen = truth[k] != 255
        assert (true[k], known[k]) == ((truth[k] == 1).sum(), seen.sum())
        for place, threshold in enumerate(THRESHOLDS):
            mask = Cut(threshold).mask(probability[k]) & seen
            assert drawn[k, place] == mask.sum()
            assert both[k, place] == (mask & (truth[k] == 1)).sum()


def test_unknown_masks_leave_no_row() -> None:
    rows = [count_film(np.full((1, 4, 4), 0.7), np.full((1, 4, 4), value, np.uint8)) for value in (1, 255, 0)]
    sweep = joined(rows)
    assert sweep.at(0, 0.5).true.tolist() == [16, 0]
    assert best_positive(sweep, 0) == (1.0, 0.5)
    assert best_pooled(sweep, 0) == (pytest.approx(2 / 3), 0.5)  # the film without it is drawn on, too


def graded(height: float, *, true: bool, spots: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A 100 x 100 film whose finding is as probable as `height`, and `spots` pixels of false alarm at 0.9."""
    probability, truth = np.full((1, 100, 100), 0.01), np.zeros((1, 100, 100), np.uint8)
    if true:
        probability[0, 20:60, 20:60], truth[0, 20:60, 20:60] = height, 1
    probability[0, 90, :spots] = 0.9
    return probability, truth


def test_threshold_by_pooled_dice_and_area_by_all_films() -> None:
    films = [graded(0.32, true=True), graded(0.34, true=True), *(graded(0, true=False, spots=5) for _ in range(8))]
    sweep = joined([count_film(*film) for film in films])
    cut = choose_cut(sweep, 0)
    assert cut.threshold == 0.3  # the highest that still draws both; nearest to 0.5
    assert cut.area == 0.001  # the smallest of those that wipe 5 of 10,000 pixels out
    assert dice_all(sweep.at(0, cut.threshold, cut.area)).mean() == 1
    assert dice_all(sweep.at(0, cut.threshold)).mean() == 0.2


def test_a_rare_finding_is_not_served_by_drawing_nothing() -> None:
    """One small true mask, ninety-nine empty films with larger false alarms: wiping all out would score 0.99."""
    small = graded(0, true=False)
    small[0][0, :8, :8], small[1][0, :8, :8] = 0.9, 1
    films = [small, *(graded(0, true=False, spots=90) for _ in range(99))]
    sweep = joined([count_film(*film) for film in films])
    cut = choose_cut(sweep, 0)
    kept = dice_positive(sweep.at(0, cut.threshold, cut.area))
    assert np.nanmean(kept) >= 1 - PRICE
    assert cut.area <= 0.003
    assert max(dice_all(sweep.at(0, cut.threshold, area)).mean() for area in AREAS) == pytest.approx(0.99)


def test_false_alarms_raise_the_threshold() -> None:
    """Films with the finding alone would be best served by drawing at 0.2; on the others that is all wrong."""
    sure, doubtful = graded(0.8, true=True), graded(0.3, true=False)
    doubtful[0][0, 20:60, 20:60] = 0.3
    weak = graded(0.8, true=True)
    weak[0][0, 50:60, 20:60] = 0.3
    sweep = joined([count_film(*film) for film in (sure, weak, *[doubtful] * 6)])
    positive, pooled = best_positive(sweep, 0), best_pooled(sweep, 0)
    assert positive is not None
    assert pooled is not None
    assert positive[1] == 0.3
    assert 0.3 < pooled[1] <= 0.8


def test_without_a_positive_film_nothing_is_chosen() -> None:
    cut = choose_cut(joined([count_film(*graded(0, true=False, spots=3))]), 0)
    assert (cut.threshold, cut.area) == (0.5, 0.0)
    assert "no validation film has a mask" in cut.note


def test_small_drawings_are_wiped_out() -> None:
    probability, _ = graded(0.6, true=True, spots=4)
    assert Cut(0.5, 0.1).mask(probability[0]).sum() == 1604
    assert Cut(0.5, 0.2).mask(probability[0]).sum() == 0
    assert Cut(0.95, 0.0).mask(probability[0]).sum() == 0
