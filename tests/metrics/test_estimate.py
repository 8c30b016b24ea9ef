"""How a number with its interval is made and written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hilum.metrics.estimate import Difference, Estimate, percentile_interval, two_sided_share


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
