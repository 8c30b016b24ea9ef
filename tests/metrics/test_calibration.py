"""Reliability, ECE and Brier against loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from hilum.metrics.calibration import brier, expected_calibration_error, reliability_curve
from tests.metrics.drawn_films import Films, films, quick
from tests.oracles import ranking as oracle
from tests.oracles import statistics


@pytest.mark.parametrize("bins", [1, 5, 10])
@pytest.mark.parametrize("seed", range(3))
def test_uniform_bins_equal_the_loop(seed: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores, counts = rng.integers(0, 2, 80).astype(float), rng.random(80), rng.integers(0, 3, 80)
    scores[:3] = 0, 1, 0.5
    expected = oracle.calibration_error(*oracle.written_out(labels, scores, counts), bins)
    found = expected_calibration_error(labels, scores, counts, bins=bins, strategy="uniform")
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_curve_equals_scikit_learn(strategy: str) -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 500).astype(float), rng.random(500)
    curve = reliability_curve(labels, scores, strategy=strategy)
    observed, mean_score = calibration_curve(labels, scores, n_bins=10, strategy=strategy)
    np.testing.assert_allclose(curve.observed, observed, atol=1e-12)
    np.testing.assert_allclose(curve.mean_score, mean_score, atol=1e-12)


def test_quantile_bins_hold_equal_numbers_and_keep_ties_together() -> None:
    scores = np.linspace(0.001, 0.1, 100)
    curve = reliability_curve(np.zeros(100), scores, bins=10)
    assert curve.films.tolist() == [10] * 10
    tied = reliability_curve(np.tile([0.0, 1.0], 10), np.full(20, 0.3), bins=10)
    assert tied.films.tolist() == [20]
    assert tied.observed.tolist() == [0.5]


@given(f=films, bins=st.integers(1, 12))
@quick
def test_equal_bins_equal_the_count_of_films(f: Films, bins: int) -> None:
    f = f.take(~np.isnan(f.labels))
    if not len(f.labels):
        return
    found = expected_calibration_error(f.labels, f.first, bins=bins)
    assert found == pytest.approx(statistics.equal_bins_error(f.labels, f.first, bins), abs=1e-12)
    counts = np.arange(len(f.labels)) % 3
    if counts.any():
        repeated = np.repeat(f.labels, counts), np.repeat(f.first, counts)
        found = expected_calibration_error(f.labels, f.first, counts, bins=bins)
        assert found == pytest.approx(statistics.equal_bins_error(*repeated, bins), abs=1e-12)


def test_brier_equals_scikit_learn_and_leaves_blanks_out() -> None:
    rng = np.random.default_rng(1)
    labels, scores, counts = rng.integers(0, 2, 90).astype(float), rng.random(90), rng.integers(1, 4, 90)
    assert brier(labels, scores, counts) == pytest.approx(
        brier_score_loss(labels, scores, sample_weight=counts), abs=1e-12
    )
    assert brier([*labels, np.nan], [*scores, 0.9]) == pytest.approx(brier(labels, scores), abs=1e-15)


def test_a_calibrated_score_has_a_small_error_and_a_shifted_one_its_shift() -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(20_000) * 0.7
    labels = (rng.random(20_000) < scores).astype(float)
    assert expected_calibration_error(labels, scores) < 0.02
    assert expected_calibration_error(labels, scores + 0.3) == pytest.approx(0.3, abs=0.02)


def test_undefined_and_refused() -> None:
    assert brier([], []) is None
    assert reliability_curve([np.nan], [0.3]) is None
    assert expected_calibration_error([np.nan], [0.3]) is None
    with pytest.raises(ValueError, match="probabilities"):
        brier([1], [1.2])
    with pytest.raises(ValueError, match="strategy"):
        reliability_curve([1], [0.2], strategy="other")
