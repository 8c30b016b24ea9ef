"""How a number with its interval is made and written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap

from hilum.metrics.estimate import (
    Difference,
    Estimate,
    bca_interval,
    few_draws,
    interval_of,
    percentile_interval,
    two_sided_share,
)
from tests.metrics.drawn_films import quick


def test_written_as_value_and_interval() -> None:
    estimate = Estimate(0.85321, 0.812, 0.8914, n=100, n_patients=90, n_positive=20, draws=1000)
    assert str(estimate) == "0.853 [0.812, 0.891]"
    assert json.loads(json.dumps(estimate.to_json(), allow_nan=False))["n_positive"] == 20
    assert str(Estimate(None, None, None, 10, 9, 0, 0, "no positives")) == "undefined"
    assert str(Estimate(0.5, None, None, 10, 1, 5, 0, "one patient")) == "0.500 [–, –]"
    assert str(Difference(-0.02, -0.05, 0.01, 0.2, 1000)) == "−0.020 [−0.050, +0.010]"


def test_percentiles_skip_undefined_draws_and_count_the_rest() -> None:
    values = np.append(np.arange(101) / 100, [np.nan] * 5)
    low, high, used = percentile_interval(values, 0.9)
    assert (low, high, used) == (pytest.approx(0.05), pytest.approx(0.95), 101)
    assert percentile_interval(np.full(3, np.nan), 0.95) == (None, None, 0)


def test_two_sided_share() -> None:
    assert two_sided_share(np.ones(999)) == 2 / 1000
    assert two_sided_share(np.zeros(99)) == 1.0
    assert two_sided_share(np.array([-1.0, 1.0, 1.0, 1.0, np.nan])) == pytest.approx(4 / 5)
    assert two_sided_share(np.array([np.nan])) is None


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_bca_is_scipys_on_the_same_replicates(seed: int, confidence: float) -> None:
    sample = np.random.default_rng(seed).exponential(size=23)
    first = scipy_bootstrap((sample,), np.mean, n_resamples=200, method="BCa", confidence_level=confidence, rng=seed)
    left_out = np.array([np.delete(sample, i).mean() for i in range(23)])
    found = bca_interval(sample.mean(), first.bootstrap_distribution, left_out, confidence)
    assert found[:2] == pytest.approx((first.confidence_interval.low, first.confidence_interval.high), abs=1e-9)
    assert found[2] == 200


@given(
    replicates=st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=30),
    left=st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=8),
    point=st.floats(0, 1),
)
@quick
def test_bca_lies_among_the_replicates_or_is_none(replicates: list[float], left: list[float], point: float) -> None:
    values, jackknife = np.array(replicates, dtype=float), np.array(left, dtype=float)
    low, high, used = bca_interval(point, values, jackknife, 0.9)
    assert used == np.isfinite(values).sum()
    if low is None or high is None:
        assert low is high is None
        return
    assert np.nanmin(values) - 1e-9 <= low <= high <= np.nanmax(values) + 1e-9  # ties: values within 1e-12
    back = bca_interval(1 - point, 1 - values, 1 - jackknife, 0.9)
    assert back == (pytest.approx(1 - high, abs=1e-9), pytest.approx(1 - low, abs=1e-9), used)


def test_bca_without_an_interval_says_why() -> None:
    rising = np.arange(10) / 10
    assert bca_interval(5.0, rising, rising, 0.95) == (None, None, 10)  # every draw below the value
    assert interval_of(5.0, rising, rising, 0.95)[3].startswith("all draws lie on one side")
    assert bca_interval(0.5, rising, np.array([0.5]), 0.95) == (None, None, 10)
    assert bca_interval(1.0, np.ones(10), np.ones(4), 0.95) == (1.0, 1.0, 10)  # perfect, and so is every draw
    assert interval_of(0.5, np.full(3, np.nan), None, 0.95) == (None, None, 0, "no usable draw: no interval")
    assert bca_interval(0.45, rising, np.ones(4), 0.8)[:2] == pytest.approx(percentile_interval(rising, 0.8)[:2])


def test_few_draws_are_said() -> None:
    assert few_draws(100) == ""
    assert few_draws(1000, 1000) == ""
    assert few_draws(40, 1000).startswith("Only 40 of 1,000 draws could be used")
    assert few_draws(20, 20).startswith("Only 20 draws could be used")
    assert few_draws(1).startswith("Only 1 draw could be used")
