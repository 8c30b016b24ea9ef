"""Masks measured: every convention against sets of pixels, bounds and invariances, trivial scores, intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score, jaccard_score

from hilum.metrics.resample import Resample
from hilum.metrics.segmentation import (
    Pixels,
    count_pixels,
    dice_all,
    dice_classes,
    dice_pooled,
    dice_positive,
    iou_positive,
    pooled_scores,
    surface_distance,
)
from tests.oracles.segmentation import dice_of_sets, directed_distance, outline, pixels_of

MASKS = arrays(bool, (3, 2, 6, 5), elements=st.booleans() | st.just(False))  # film, drawn or true


def counted(masks: np.ndarray) -> Pixels:
    rows = [count_pixels(drawn, true) for drawn, true in masks]
    return Pixels(*(np.array(column, np.float64) for column in zip(*rows, strict=True)))


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_every_convention_is_its_definition(masks: np.ndarray) -> None:
    pixels = counted(masks)
    sets = [(pixels_of(drawn), pixels_of(true)) for drawn, true in masks]
    assert dice_all(pixels) == pytest.approx([dice_of_sets(*pair) for pair in sets], abs=1e-12)
    for film, (_, true) in enumerate(sets):
        if not true:
            assert np.isnan(dice_positive(pixels)[film])
            assert np.isnan(iou_positive(pixels)[film])
            continue
        flat = masks[film, 1].ravel(), masks[film, 0].ravel()
        assert dice_positive(pixels)[film] == pytest.approx(f1_score(*flat, zero_division=0), abs=1e-9)
        assert iou_positive(pixels)[film] == pytest.approx(jaccard_score(*flat, zero_division=0), abs=1e-9)
        assert dice_positive(pixels)[film] >= iou_positive(pixels)[film]
    drawn, true = masks[:, 0].ravel(), masks[:, 1].ravel()
    one = dice_pooled(pixels)
    if not (drawn.any() or true.any()):
        assert one is None
        assert dice_classes(pixels) == 1.0
    else:
        assert one == pytest.approx(f1_score(true, drawn, zero_division=0), abs=1e-9)
        parts = [one]
        if not (drawn.all() and true.all()):
            parts.append(f1_score(~true, ~drawn, zero_division=0))
        assert dice_classes(pixels) == pytest.approx(np.mean(parts), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(MASKS, st.permutations(range(3)))
def test_order_symmetry_and_bounds(masks: np.ndarray, order: list[int]) -> None:
    pixels, moved = counted(masks), counted(masks[order])
    for metric in (dice_all, dice_positive, iou_positive):
        values = metric(pixels)
        np.testing.assert_array_equal(values[order], metric(moved))
        known = values[~np.isnan(values)]
        assert ((known >= 0) & (known <= 1)).all()
    assert dice_pooled(pixels) == dice_pooled(moved)
    swapped = counted(masks[:, ::-1])
    assert dice_pooled(swapped) == dice_pooled(pixels)
    perfect = counted(masks[:, [1, 1]])
    assert (dice_all(perfect) == 1).all()


@settings(max_examples=30, deadline=None)
@given(MASKS)
def test_drawing_nothing_scores_the_share_of_empty_films(masks: np.ndarray) -> None:
    nothing = counted(masks).nothing()
    empty = ~masks[:, 1].any(axis=(1, 2))
    np.testing.assert_array_equal(dice_all(nothing), empty.astype(float))
    assert dice_positive(nothing)[~empty].sum() == 0
    assert dice_pooled(nothing) in (None, 0.0)


@settings(max_examples=40, deadline=None)
@given(
    arrays(bool, (7, 6)),
    arrays(bool, (7, 6)),
    st.floats(0.2, 3),
    st.floats(0.2, 3),
    st.sampled_from([50.0, 95.0, 100.0]),
)
def test_surface_distance_is_the_slow_one(
    drawn: np.ndarray, true: np.ndarray, row: float, column: float, percentile: float
) -> None:
    found = surface_distance(drawn, true, (row, column), percentile)
    if not (drawn.any() and true.any()):
        assert found is None
        return
    ends = outline(drawn), outline(true)
    slow = max(directed_distance(a, b, (row, column), percentile) for a, b in (ends, ends[::-1]))
    assert found == pytest.approx(slow, abs=1e-9)
    assert found == pytest.approx(surface_distance(true, drawn, (row, column), percentile), abs=1e-12)
    scaled = surface_distance(drawn, true, (3 * row, 3 * column), percentile)
    assert scaled == pytest.approx(3 * found, abs=1e-9)
    assert surface_distance(true, true, (row, column)) == 0


def test_a_shift_of_a_square_is_its_distance_in_millimetres() -> None:
    true = np.zeros((40, 40), bool)
    true[5:15, 5:15] = True
    drawn = np.roll(true, 6, axis=0)
    assert surface_distance(drawn, true, (0.5, 2.0)) == pytest.approx(3.0)
    assert surface_distance(drawn.T, true, (0.5, 2.0)) == pytest.approx(12.0)


def test_unknown_pixels_count_nowhere_and_sizes_must_agree() -> None:
    drawn, true, known = np.ones((2, 2), bool), np.eye(2, dtype=bool), np.array([[True, True], [False, False]])
    assert count_pixels(drawn, true, known) == (1, 2, 1, 2)
    with pytest.raises(ValueError, match="different sizes"):
        count_pixels(drawn, np.ones((2, 3), bool))


def test_pooled_intervals_are_those_of_a_slow_bootstrap() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((12, 2, 5, 5)) < 0.3
    masks[3:6, 1] = False
    pixels = counted(masks)
    patients = np.repeat([f"p{i}" for i in range(6)], 2)
    category = np.tile(["Mass", "Edema"], 6)
    found = pooled_scores(pixels, pixels.nothing(), patients, category, draws=200, seed=3)
    rows = np.random.default_rng(3).integers(6, size=(200, 6), dtype=np.uint32)  # as draw_blocks draws
    by_finding = {}
    for name in ("Edema", "Mass"):
        points = []
        for row in rows:
            taken = np.concatenate([np.flatnonzero((patients == f"p{i}") & (category == name)) for i in row])
            points.append(dice_pooled(pixels.rows(taken)))
        by_finding[name] = np.array(points, float)
        estimate = found["dice_pooled"][name].model
        assert estimate.value == pytest.approx(dice_pooled(pixels.rows(category == name)))
        assert (estimate.low, estimate.high) == pytest.approx(tuple(np.quantile(points, (0.025, 0.975))))
    mean = np.nanmean(np.stack(list(by_finding.values())), axis=0)
    macro = found["dice_pooled"][""].model
    assert (macro.low, macro.high) == pytest.approx(tuple(np.quantile(mean, (0.025, 0.975))))
    gap = found["dice_pooled"]["Mass"].difference
    assert gap.value == pytest.approx(dice_pooled(pixels.rows(category == "Mass")))
    assert found["dice_pooled"]["Mass"].other.value == 0


def test_pooled_draws_are_those_of_the_means() -> None:
    """One film a patient, all of one size and drawn wholly: pooled and mean Dice move together draw by draw."""
    patients = np.array([f"p{i}" for i in range(8)])
    both = np.array([0, 1, 2, 3, 4, 5, 6, 7], float)
    pixels = Pixels(both, np.full(8, 7.0), np.full(8, 7.0), np.full(8, 49.0))
    pooled = pooled_scores(pixels, pixels.nothing(), patients, ["Mass"] * 8, draws=300, seed=1)["dice_pooled"][
        "Mass"
    ].model
    mean = Resample(patients, draws=300, seed=1).mean(dice_positive(pixels))
    assert (pooled.value, pooled.low, pooled.high) == pytest.approx((mean.value, mean.low, mean.high))


def test_undefined_is_said() -> None:
    none = Pixels(*(np.zeros(3) for _ in range(3)), np.full(3, 9.0))
    found = pooled_scores(none, none, ["a", "b", "c"], ["Mass"] * 3, draws=50)["dice_pooled"]["Mass"]
    assert found.model.value is None
    assert "nothing is drawn and nothing is true" in found.model.reason
    assert found.difference.value is None
    one = Pixels(np.array([1.0]), np.array([2.0]), np.array([2.0]), np.array([9.0]))
    alone = pooled_scores(one, one.nothing(), ["a"], ["Mass"], draws=50)["dice_classes"]["Mass"]
    assert alone.model.value is not None
    assert alone.model.low is None
    assert "one patient" in alone.model.reason
