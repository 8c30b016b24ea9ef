"""Temperature and Platt scaling against statsmodels, and what they keep."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from scipy.special import expit, logit

from hilum.metrics.ranking import auroc
from hilum.metrics.scaling import EDGE, Scaling, fit_platt, fit_temperature, rescale
from tests.metrics.drawn_films import Films, drawn, films, quick


def log_loss_gradient(design: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return design.T @ (expit(design @ weights) - target) / len(target)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_statsmodels(seed: int) -> None:
    api = pytest.importorskip("statsmodels.api", reason="statsmodels, the referee, is not installed")
    f = drawn(seed, 200, blank=0)
    z = logit(np.clip(f.first, EDGE, 1 - EDGE))
    n = f.labels.sum()
    targets = np.where(f.labels == 1, (n + 1) / (n + 2), 1 / (200 - n + 2))
    for found, design, target in (
        (fit_temperature(f.labels, f.first), z[:, None], f.labels),
        (fit_platt(f.labels, f.first), np.stack([z, np.ones(200)], axis=1), targets),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = api.GLM(target, design, family=api.families.Binomial()).fit(tol=1e-14, maxiter=200).params
        assert (found.slopes[0], found.intercepts[0])[: len(expected)] == pytest.approx(expected.tolist(), abs=1e-9)


@given(f=films)
@quick
def test_a_fit_is_where_the_slope_of_the_loss_is_zero_and_keeps_the_order(f: Films) -> None:
    for fit in (fit_temperature, fit_platt):
        found = fit(f.labels, f.first)
        again = rescale(f.first, found)
        assert ((again >= 0) & (again <= 1)).all()
        assert auroc(f.labels, again) == pytest.approx(auroc(f.labels, f.first), abs=1e-12)
        if found.reasons[0]:
            assert (found.slopes, found.intercepts) == ((1.0,), (0.0,))
            np.testing.assert_array_equal(again, f.first)
            continue
        known = ~np.isnan(f.labels)
        z, y = logit(np.clip(f.first[known], EDGE, 1 - EDGE)), f.labels[known]
        if fit is fit_temperature:
            gradient = log_loss_gradient(z[:, None], y, np.array(found.slopes))
        else:
            target = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))
            design = np.stack([z, np.ones(z.size)], axis=1)
            gradient = log_loss_gradient(design, target, np.array([found.slopes[0], found.intercepts[0]]))
        assert np.abs(gradient).max() < 1e-9


@given(f=films)
@quick
def test_scaling_what_is_scaled_changes_nothing(f: Films) -> None:
    inside = np.clip(f.first, 0.05, 0.95)
    found = fit_temperature(f.labels, inside)
    assume(not found.reasons[0] and 0.1 < found.slopes[0] < 10)
    assert fit_temperature(f.labels, rescale(inside, found)).slopes[0] == pytest.approx(1.0, abs=1e-6)


def test_overconfidence_and_a_wrong_base_rate_are_undone() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=40_000)
    labels = (rng.random(z.size) < expit(z)).astype(float)
    assert fit_temperature(labels, expit(3 * z)).temperatures[0] == pytest.approx(3, rel=0.05)
    platt = fit_platt(labels, expit(3 * z + 2))
    assert (platt.slopes[0], platt.intercepts[0]) == pytest.approx((1 / 3, -2 / 3), abs=0.03)


def test_each_finding_by_itself_and_through_json() -> None:
    one, two = drawn(0), drawn(1)
    labels, scores = np.stack([one.labels, two.labels], axis=1), np.stack([one.first, two.first], axis=1)
    together = fit_platt(labels, scores)
    assert together.slopes == (*fit_platt(*one[:2]).slopes, *fit_platt(*two[:2]).slopes)
    back = Scaling.from_json(json.loads(json.dumps(together.to_json(), allow_nan=False)))
    assert back == together
    np.testing.assert_array_equal(rescale(scores, back)[:, 1], rescale(two.first, fit_platt(*two[:2])))


def test_undefined_leaves_scores_alone_and_says_why() -> None:
    assert fit_platt([0, 0], [0.1, 0.2]).reasons == ("no positives",)
    assert fit_temperature([np.nan], [0.1]).reasons == ("no labels",)
    assert fit_platt([0, 1], [0.3, 0.3]).reasons == ("every score is the same",)
    assert "no best temperature" in fit_temperature([0, 1, 1], [0.2, 0.8, 0.7]).reasons[0]
    assert fit_platt([0, 1, 1], [0.2, 0.8, 0.7]).reasons == ("",)
    assert "best slope" in fit_temperature([1, 1, 0, 0], [0.1, 0.4, 0.6, 0.9]).reasons[0]
    with pytest.raises(ValueError, match="probabilities"):
        fit_platt([0, 1], [0.3, 1.3])
    with pytest.raises(ValueError, match="one shape"):
        fit_platt([0, 1], [0.3])
    with pytest.raises(ValueError, match="do not fit"):
        rescale(np.zeros((3, 2)), fit_platt([0, 1], [0.3, 0.3]))
