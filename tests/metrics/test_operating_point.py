"""Metrics at a threshold, and the choice of the threshold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from hilum.metrics.operating_point import (
    accuracy,
    best_f1_threshold,
    confusion,
    f1,
    sensitivity,
    specificity,
)
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
