"""Net benefit against a count of films, and its intervals as those of a mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from hilum.metrics.net_benefit import decision_curve, net_benefit
from hilum.metrics.replicates import draw_blocks
from tests.metrics.drawn_films import Films, drawn, films, quick
from tests.oracles import statistics as oracle

THRESHOLDS = [0.05, 0.3, 0.5, 0.9]


@given(f=films)
@quick
def test_equal_to_the_count_and_never_above_the_prevalence(f: Films) -> None:
    found = net_benefit(f.labels, f.first, THRESHOLDS)
    if np.isnan(f.labels).all():
        assert found is None
        return
    assert found.tolist() == pytest.approx([oracle.net_benefit(f.labels, f.first, t) for t in THRESHOLDS], abs=1e-12)
    assert (found <= np.nanmean(f.labels) + 1e-12).all()
    counts = np.arange(len(f.labels)) % 3 + 1
    repeated = net_benefit(np.repeat(f.labels, counts), np.repeat(f.first, counts), THRESHOLDS)
    np.testing.assert_allclose(net_benefit(f.labels, f.first, THRESHOLDS, counts), repeated, atol=1e-12)


def test_intervals_are_those_of_drawing_patients() -> None:
    f = drawn(0)
    curve = decision_curve(f.labels, f.first, f.patients, THRESHOLDS, draws=100, seed=2)
    ids, row = np.unique(f.patients, return_inverse=True)
    counts = np.concatenate(list(draw_blocks(ids.size, 100, 2)), axis=1)[row][:, :100]
    replicates = np.array([net_benefit(f.labels, f.first, THRESHOLDS, column) for column in counts.T])
    everyone = np.array([net_benefit(f.labels, np.ones(80), THRESHOLDS, column) for column in counts.T])
    for k, point in enumerate(net_benefit(f.labels, f.first, THRESHOLDS)):
        ends = np.quantile(replicates[:, k], (0.025, 0.975))
        assert (curve.model[k].value, curve.model[k].low, curve.model[k].high) == pytest.approx((point, *ends))
        gap = np.quantile(replicates[:, k] - everyone[:, k], (0.025, 0.975))
        assert (curve.over_everyone[k].low, curve.over_everyone[k].high) == pytest.approx(tuple(gap))
    assert curve.model[0].n_positive == int((f.labels == 1).sum())
    assert curve.thresholds == tuple(THRESHOLDS)


def test_acting_on_everyone_is_worth_nothing_at_the_prevalence() -> None:
    labels = np.array([1.0, 0, 0, 0])
    curve = decision_curve(labels, labels, np.arange(4), [0.25], draws=20)
    assert curve.everyone[0].value == pytest.approx(0, abs=1e-15)
    assert curve.model[0].value == 0.25


def test_undefined_and_refused() -> None:
    assert net_benefit([np.nan], [0.2], [0.5]) is None
    assert decision_curve([np.nan], [0.2], ["a"], [0.5]).model[0].reason == "no item has a value"
    with pytest.raises(ValueError, match="probabilities"):
        net_benefit([1], [1.2], [0.5])
    with pytest.raises(ValueError, match="thresholds"):
        net_benefit([1], [0.2], [1.0])
