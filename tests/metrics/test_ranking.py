"""Ranking metrics against pair-by-pair oracles and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import precision_recall_curve as sk_pr
from sklearn.metrics import roc_curve as sk_roc

from hilum.metrics.ranking import auroc, average_precision, precision_recall_curve, roc_curve
from tests.oracles import ranking as oracle


def drawn(seed: int, n: int = 60, digits: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(float)
    labels[:2] = 0, 1
    return labels, np.round(rng.random(n), digits), rng.integers(1, 4, n)


@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("seed", range(4))
def test_equals_oracle_and_scikit_learn_with_ties_and_counts(seed: int, digits: int) -> None:
    labels, scores, counts = drawn(seed, digits=digits)
    label_list, score_list = oracle.written_out(labels, scores, counts)
    assert auroc(labels, scores, counts) == oracle.auroc(label_list, score_list)
    assert average_precision(labels, scores, counts) == pytest.approx(
        oracle.average_precision(label_list, score_list), abs=1e-14
    )
    assert auroc(labels, scores, counts) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=counts), abs=1e-12
    )
    assert average_precision(labels, scores, counts) == pytest.approx(
        average_precision_score(labels, scores, sample_weight=counts), abs=1e-12
    )


def test_closed_forms() -> None:
    labels = np.array([1, 1, 0, 0])
    assert auroc(labels, [4, 3, 2, 1]) == 1.0
    assert auroc(labels, [1, 2, 3, 4]) == 0.0
    assert auroc(labels, [5, 5, 5, 5]) == 0.5
    assert average_precision(labels, [5, 5, 5, 5]) == 0.5  # the prevalence
    assert average_precision(labels, [4, 3, 2, 1]) == 1.0
    assert auroc(labels, [np.inf, 0, 0, -np.inf]) == 0.875


def test_blank_labels_are_left_out_and_their_scores_may_be_missing() -> None:
    labels, scores, _ = drawn(5)
    more_labels = np.concatenate([labels, [np.nan, np.nan]])
    more_scores = np.concatenate([scores, [0.9, np.nan]])
    assert auroc(more_labels, more_scores) == auroc(labels, scores)
    assert average_precision(more_labels, more_scores) == average_precision(labels, scores)


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1], [np.nan, np.nan]])
def test_undefined_is_none(labels: list[float]) -> None:
    scores = np.linspace(0, 1, len(labels))
    for metric in (auroc, average_precision, roc_curve, precision_recall_curve):
        assert metric(labels, scores) is None


def test_curves_equal_scikit_learn() -> None:
    labels, scores, counts = drawn(2)
    curve = roc_curve(labels, scores, counts)
    assert curve is not None
    x, y, threshold = sk_roc(labels, scores, sample_weight=counts, drop_intermediate=False)
    np.testing.assert_allclose(curve.x, x, atol=1e-12)
    np.testing.assert_allclose(curve.y, y, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold)
    curve = precision_recall_curve(labels, scores, counts)
    assert curve is not None
    precision, recall, threshold = sk_pr(labels, scores, sample_weight=counts)
    np.testing.assert_allclose(curve.x, recall[-2::-1], atol=1e-12)
    np.testing.assert_allclose(curve.y, precision[-2::-1], atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold[::-1])


@pytest.mark.parametrize(
    ("labels", "scores", "counts", "says"),
    [
        ([1, 0], [0.1], None, "one length"),
        ([1, -1], [0.1, 0.2], None, "uncertain labels"),
        ([1, 0], [0.1, np.nan], None, "score is NaN"),
        ([1, 0], [0.1, 0.2], [1, 0.5], "whole numbers"),
        ([1, 0], [0.1, 0.2], [1, -1], "whole numbers"),
        ([[1, 0]], [[0.1, 0.2]], None, "vectors"),
    ],
)
def test_bad_input_is_refused(labels: list, scores: list, counts: list | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        auroc(labels, scores, counts)
