"""Where high risk begins, by subjects of validation alone."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.evaluation.survival.threshold import risk_threshold
from hilum.metrics.survival import label_at


def test_the_median_halves_the_subjects() -> None:
    scores = np.array([3.0, 1.0, 2.0, 10.0])
    threshold, said = risk_threshold(scores, np.ones(4), np.zeros(4), "median", 5.0)
    assert (threshold, said) == (2.5, "median score of 4 validation subjects")
    assert (scores >= threshold).sum() == 2


def test_youden_is_the_best_of_all_thresholds() -> None:
    rng = np.random.default_rng(0)
    time, event = rng.integers(1, 20, 80).astype(float), rng.integers(0, 3, 80).astype(float)
    scores = rng.normal(size=80).round(1) - 0.1 * time
    came = label_at(time, event, 10.0)
    threshold, said = risk_threshold(scores, time, event, "youden", 10.0)

    def youden(at: float) -> float:
        high = scores >= at
        return float(high[came == 1].mean() - high[came == 0].mean())

    assert youden(threshold) == pytest.approx(max(youden(at) for at in scores))
    assert said == f"largest Youden index on {int((~np.isnan(came)).sum())} validation subjects at 10 days"


def test_youden_without_two_sides_falls_back_and_says_so() -> None:
    threshold, said = risk_threshold(np.array([1.0, 3.0]), np.array([2.0, 4.0]), np.array([0.0, 0.0]), "youden", 3.0)
    assert threshold == 2.0
    assert said == "median score of 2 validation subjects, since none of them parts at the horizon"
