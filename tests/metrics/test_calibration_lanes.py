"""ECE and Brier score of many replicates in one pass: each lane is the metric of its own films."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.calibration import brier, expected_calibration_error
from hilum.metrics.calibration_lanes import calibration_block, sort_rising
from hilum.metrics.replicates import LANES, draw_blocks


@pytest.mark.parametrize("bins", [1, 3, 10, 60])
@pytest.mark.parametrize("digits", [1, 9])
def test_each_lane_equals_the_metric_of_its_replicate(bins: int, digits: int) -> None:
    rng = np.random.default_rng(digits)
    positive, score = rng.random(50) < 0.4, np.round(rng.random(50), digits)
    patient = rng.integers(20, size=50)
    (counts,) = draw_blocks(20, LANES - 2, 0)  # the last two lanes stay empty
    ece, squared = np.empty(LANES), np.empty(LANES)
    calibration_block(counts, *sort_rising(positive, score, patient), bins, ece, squared)
    for lane in range(LANES - 2):
        weight = counts[patient, lane]
        expected = expected_calibration_error(positive, score, weight, bins=bins)
        assert ece[lane] == pytest.approx(expected, abs=1e-12)
        assert squared[lane] == pytest.approx(brier(positive, score, weight), abs=1e-12)
    assert np.isnan(ece[-2:]).all()
    assert np.isnan(squared[-2:]).all()


def test_the_order_of_rows_changes_no_bit() -> None:
    rng = np.random.default_rng(0)
    positive, score, patient = rng.random(40) < 0.4, np.round(rng.random(40), 1), rng.integers(9, size=40)
    shuffled = rng.permutation(40)
    (counts,) = draw_blocks(9, LANES, 0)
    one, two = np.empty((2, LANES)), np.empty((2, LANES))
    calibration_block(counts, *sort_rising(positive, score, patient), 10, *one)
    calibration_block(counts, *sort_rising(positive[shuffled], score[shuffled], patient[shuffled]), 10, *two)
    np.testing.assert_array_equal(one, two)
