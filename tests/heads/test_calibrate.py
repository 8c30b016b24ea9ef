"""Calibration fitted on validation: closer to the truth, order and sums kept, a reason where it cannot be fitted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, softmax

from hilum.heads.calibrate import Calibrate, calibrated, fit_calibration, unfitted


def overconfident(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, 2) and scores whose logits are three times too large; a few labels are blank."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 2))
    labels = (rng.random((n, 2)) < expit(logits)).astype(float)
    labels[:5, 1] = np.nan
    return labels, expit(3 * logits)


@pytest.mark.parametrize("how", ["temperature", "platt"])
def test_findings_are_scaled_one_by_one(how: Calibrate) -> None:
    labels, scores = overconfident()
    stored = json.loads(json.dumps(fit_calibration(labels, scores, how, "multilabel")))
    better = calibrated(scores, stored, "multilabel")
    known = ~np.isnan(labels)
    for column in range(2):
        rows = known[:, column]
        before, after = (((s[rows, column] - labels[rows, column]) ** 2).mean() for s in (scores, better))
        assert after < before
        assert (np.argsort(better[:, column]) == np.argsort(scores[:, column])).all()
    assert stored["slopes"] == pytest.approx([1 / 3, 1 / 3], abs=0.08)


def test_classes_share_one_temperature() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(500, 3))
    drawn = (rng.random(500)[:, None] > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1)
    labels = np.eye(3)[drawn]
    labels[:4] = np.nan
    scores = softmax(3 * logits, axis=1)
    stored = fit_calibration(labels, scores, "temperature", "multiclass")
    better = calibrated(scores, stored, "multiclass")
    np.testing.assert_allclose(better.sum(axis=1), 1)
    np.testing.assert_allclose(better, softmax(3 * logits * stored["slopes"][0], axis=1), atol=1e-9)
    assert stored["slopes"][0] == pytest.approx(1 / 3, abs=0.05)

    def cost(slope: float) -> float:
        return float(-np.log(softmax(3 * logits * slope, axis=1)[4:][labels[4:] == 1]).mean())

    assert cost(stored["slopes"][0]) <= min(cost(slope) for slope in np.linspace(0.1, 1, 181)) + 1e-9


def test_none_and_what_cannot_be_fitted() -> None:
    labels, scores = overconfident(40)
    assert fit_calibration(labels, scores, "none", "multilabel") == {}
    assert calibrated(scores, {}, "multilabel") is scores
    labels[:, 1] = 1
    stored = fit_calibration(labels, scores, "platt", "multilabel")
    assert list(unfitted(stored, ("Mass", "Edema"))) == ["Edema"]
    assert np.array_equal(calibrated(scores, stored, "multilabel")[:, 1], scores[:, 1])
    sure = np.eye(2)[[0, 1, 0]]
    separated = fit_calibration(sure, sure * 0.8 + 0.1, "temperature", "multiclass")
    assert "no film is taken for another class" in unfitted(separated, ("A", "B"))["A"]
    assert calibrated(sure, separated, "multiclass") is sure
