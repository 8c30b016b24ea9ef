"""Metrics at a threshold, and the choice of the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_curve

from hilum.metrics.operating_point import (
    accuracy,
    best_f1_threshold,
    confusion,
    f1,
    sensitivity,
    specificity,
    threshold_at_sensitivity,
    threshold_at_specificity,
)
from tests.metrics.drawn_films import Films, films, quick
from tests.oracles import ranking as oracle


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_equal_scikit_learn(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 50), np.round(rng.random(50), 1)
    counts = rng.integers(1, 4, 50)
    called = scores >= threshold
    kind = {"sample_weight": counts}
    at = {"threshold": threshold}
    assert accuracy(labels, scores, counts, **at) == pytest.approx(accuracy_score(labels, called, **kind), abs=1e-12)
    assert f1(labels, scores, counts, **at) == pytest.approx(f1_score(labels, called, **kind), abs=1e-12)
    assert sensitivity(labels, scores, counts, **at) == pytest.approx(recall_score(labels, called, **kind), abs=1e-12)
    assert specificity(labels, scores, counts, **at) == pytest.approx(
        recall_score(labels, called, pos_label=0, **kind), abs=1e-12
    )


def test_a_score_at_the_threshold_is_positive() -> None:
    assert confusion([1, 0, 1, 0, np.nan], [0.5, 0.5, 0.4, 0.4, 0.5]) == (1, 1, 1, 1)


def test_each_metric_is_undefined_only_where_its_own_denominator_is_zero() -> None:
    assert sensitivity([0, 0], [0.1, 0.9]) is None
    assert specificity([0, 0], [0.1, 0.9]) == 0.5
    assert specificity([1, 1], [0.1, 0.9]) is None
    assert sensitivity([1, 1], [0.1, 0.9]) == 0.5
    assert f1([0, 0], [0.1, 0.2]) is None
    assert f1([0, 0], [0.1, 0.9]) == 0.0
    assert accuracy([np.nan], [0.3]) is None


@pytest.mark.parametrize("seed", range(6))
def test_best_threshold_reaches_the_largest_f1_of_an_exhaustive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.random(40) < 0.3).astype(float)
    labels[:2] = 0, 1
    scores = np.round(rng.random(40) * 0.5 + 0.3 * labels, 2)
    threshold = best_f1_threshold(labels, scores)
    assert threshold is not None
    values = {cut: oracle.f1(list(labels), list(scores), cut) for cut in scores}
    assert f1(labels, scores, threshold=threshold) == pytest.approx(max(values.values()), abs=1e-12)
    best = max(cut for cut, value in values.items() if value == pytest.approx(max(values.values()), abs=1e-12))
    assert ((scores >= threshold) == (scores >= best)).all()


def test_best_threshold_lies_half_way_and_survives_rounding() -> None:
    assert best_f1_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7]) == pytest.approx(0.4)
    assert best_f1_threshold([1, 1, 0], [0.3, 0.3, 0.3]) == 0.3
    high = np.nextafter(0.5, 1)
    threshold = best_f1_threshold([1, 0], [high, 0.5])
    assert threshold == high
    assert best_f1_threshold([1, 0], [0.5, -np.inf]) == 0.5


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1], [np.nan]])
def test_no_threshold_without_both_classes(labels: list[float]) -> None:
    assert best_f1_threshold(labels, np.zeros(len(labels))) is None


@given(f=films, target=st.sampled_from([0.1, 0.5, 0.8, 0.9, 1.0]))
@quick
def test_fixed_sensitivity_and_specificity_are_reached_with_the_best_of_the_other(f: Films, target: float) -> None:
    at_sensitivity = threshold_at_sensitivity(f.labels, f.first, target)
    at_specificity = threshold_at_specificity(f.labels, f.first, target)
    f = f.take(~np.isnan(f.labels))
    if not 0 < f.labels.sum() < len(f.labels):
        assert at_sensitivity is at_specificity is None
        return
    fpr, tpr, _ = roc_curve(f.labels, f.first, drop_intermediate=False)
    assert sensitivity(f.labels, f.first, threshold=at_sensitivity) >= target - 1e-12
    assert specificity(f.labels, f.first, threshold=at_sensitivity) == pytest.approx(
        max(1 - x for x, y in zip(fpr, tpr, strict=True) if y >= target - 1e-12), abs=1e-12
    )
    assert specificity(f.labels, f.first, threshold=at_specificity) >= target - 1e-12
    assert sensitivity(f.labels, f.first, threshold=at_specificity) == pytest.approx(
        max(y for x, y in zip(fpr, tpr, strict=True) if 1 - x >= target - 1e-12), abs=1e-12
    )


def test_fixed_thresholds_lie_half_way_and_count_images() -> None:
    labels, scores = [1, 1, 0, 0, 0], [0.9, 0.5, 0.6, 0.2, 0.1]
    assert threshold_at_sensitivity(labels, scores, 0.5) == pytest.approx(0.75)
    assert threshold_at_sensitivity(labels, scores, 0.51) == pytest.approx(0.35)
    assert threshold_at_sensitivity(labels, scores, 0.5, [1, 9, 1, 1, 1]) == pytest.approx(0.35)
    assert threshold_at_specificity(labels, scores, 0.6) == pytest.approx(0.35)
    assert threshold_at_specificity(labels, scores, 1.0) == pytest.approx(0.75)
    nobody = threshold_at_specificity([0, 1], [0.9, 0.1], 1.0)
    assert nobody == np.nextafter(0.9, 1)
    assert confusion([0, 1], [0.9, 0.1], threshold=nobody).fp == 0
    assert threshold_at_sensitivity([1] * 10 + [0], [*np.arange(10) / 10, 0], 0.9) == pytest.approx(0.05)
    for target in (0.0, 1.1):
        with pytest.raises(ValueError, match="must lie in"):
            threshold_at_sensitivity(labels, scores, target)
