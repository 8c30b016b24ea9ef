"""Kaplan-Meier and Aalen-Johansen curves against lifelines and slow oracles, and what is said where they end."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.survival import at_horizon, at_risk, cumulative_incidence, kaplan_meier, median_follow_up
from hilum.metrics.survival.followed import followed, label_at
from tests.metrics.survival_subjects import CASES, Subjects, drawn, lifelines, referee_speaks
from tests.oracles import survival as oracle


@pytest.mark.parametrize("subjects", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_kaplan_meier_equals_lifelines(subjects: Subjects, confidence: float) -> None:
    fitter = lifelines().KaplanMeierFitter(alpha=1 - confidence)
    with referee_speaks():
        fitter.fit(subjects.time, subjects.event)
    curve = kaplan_meier(subjects.time, subjects.event, confidence=confidence)
    assert curve is not None
    table = fitter.event_table
    np.testing.assert_array_equal(curve.time, fitter.timeline)
    np.testing.assert_allclose(curve.value, fitter.survival_function_.to_numpy()[:, 0], atol=1e-9)
    low, high = fitter.confidence_interval_.to_numpy().T
    np.testing.assert_allclose(curve.low, low, atol=1e-9)
    np.testing.assert_allclose(curve.high, high, atol=1e-9)
    np.testing.assert_array_equal(curve.at_risk, table["at_risk"])
    np.testing.assert_array_equal(curve.events, table["observed"])
    assert curve.n == subjects.time.size


@pytest.mark.parametrize("seed", range(5))
def test_cumulative_incidence_equals_lifelines_without_ties(seed: int) -> None:
    subjects = drawn(seed, 80, censored=0.4, competing=0.4, digits=None)
    for cause in (1, 2):
        fitter = lifelines().AalenJohansenFitter()
        with referee_speaks():
            fitter.fit(subjects.time, subjects.event, event_of_interest=cause)
        curve = cumulative_incidence(subjects.time, subjects.event, cause=cause)
        assert curve is not None
        np.testing.assert_array_equal(curve.time, fitter.cumulative_density_.index)
        np.testing.assert_allclose(curve.value, fitter.cumulative_density_.to_numpy()[:, 0], atol=1e-9)
        np.testing.assert_allclose(curve.variance, fitter.variance_.to_numpy(), atol=1e-9)
        inside = (curve.value > 0) & (curve.value < 1)
        bounds = np.sort(fitter.confidence_interval_.to_numpy()[inside], axis=1).T
        np.testing.assert_allclose((curve.low[inside], curve.high[inside]), bounds, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_both_curves_equal_their_definitions_with_tied_causes(seed: int) -> None:
    time, event, _ = drawn(seed, 50, censored=0.3, competing=0.4)
    survival, incidence = kaplan_meier(time, event), cumulative_incidence(time, event)
    assert survival is not None
    assert incidence is not None
    for place, t in enumerate(survival.time):
        assert survival.value[place] == pytest.approx(oracle.survival(time, event, t), abs=1e-12)
        assert survival.variance[place] == pytest.approx(oracle.greenwood(time, event, t), abs=1e-12)
        assert incidence.value[place] == pytest.approx(oracle.incidence(time, event, t), abs=1e-12)
        assert incidence.variance[place] == pytest.approx(oracle.incidence_variance(time, event, t), abs=1e-12)


def test_causes_and_the_living_add_up_to_one() -> None:
    time, event, _ = drawn(9, 90, censored=0.3, competing=0.5)
    causes = [cumulative_incidence(time, event, cause=cause) for cause in (1, 2)]
    alive = kaplan_meier(time, event > 0)
    assert alive is not None
    assert causes[0] is not None
    assert causes[1] is not None
    np.testing.assert_allclose(causes[0].value + causes[1].value + alive.value, 1, atol=1e-12)
    without = cumulative_incidence(time, event == 1)
    plain = kaplan_meier(time, event == 1)
    assert without is not None
    assert plain is not None
    np.testing.assert_allclose(without.value, 1 - plain.value, atol=1e-12)
    assert (causes[0].value <= 1 - plain.value + 1e-12).all()  # what Kaplan-Meier overstates


def test_at_the_horizon_with_reasons() -> None:
    curve = kaplan_meier([5, 8, 8, 12, 20], [1, 1, 0, 0, 0])
    found = at_horizon(curve, 10)
    assert (found.value, found.n, found.n_positive, found.reason) == (pytest.approx(0.6), 5, 2, "")
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < 0.6 < found.high < 1
    early, late = at_horizon(curve, 4), at_horizon(curve, 21)
    assert (early.value, early.low, early.reason) == (1.0, None, "no event up to there: no interval")
    assert (late.value, late.reason) == (None, "nobody is followed that long: the longest follow-up is 20")
    dead = at_horizon(kaplan_meier([1, 2], [1, 1]), 50)
    assert (dead.value, dead.high, dead.reason) == (0.0, None, "the event came to all: no interval")
    assert at_horizon(kaplan_meier([], []), 1).reason == "no subject"
    closed = at_horizon(cumulative_incidence([1, 2], [1, 2]), 50)
    assert (closed.value, closed.reason) == (0.5, "")
    assert at_horizon(kaplan_meier([1, 2], [1, 2]), 50).value is None  # a competing cause censors Kaplan-Meier


def test_numbers_at_risk_count_those_not_gone_before() -> None:
    assert at_risk([3, 1, 3, 7, np.nan], [0, 1, 2, 3, 3.5, 7, 8]).tolist() == [4, 4, 3, 3, 1, 1, 0]
    curve = kaplan_meier([3, 1, 3, 7], [1, 0, 0, 1])
    assert curve is not None
    assert at_risk([3, 1, 3, 7], curve.time).tolist() == curve.at_risk.tolist()


def test_median_follow_up_is_not_shortened_by_deaths() -> None:
    assert median_follow_up([1, 2, 10, 10], [1, 1, 0, 0]) == 10
    assert median_follow_up([1, 2, 3, 4], [0, 0, 0, 0]) == 2
    assert median_follow_up([1, 2], [1, 1]) is None
    assert median_follow_up([], []) is None


@pytest.mark.parametrize("seed", range(3))
def test_median_follow_up_is_the_reversed_kaplan_meier(seed: int) -> None:
    time, event, _ = drawn(seed, 80)
    below = [t for t in np.unique(time) if oracle.watched(time, event, np.nextafter(t, np.inf)) <= 0.5]
    assert median_follow_up(time, event) == (below[0] if below else None)


def test_the_binary_label_leaves_out_who_was_lost() -> None:
    label = label_at([5, 5, 10, 10, 11, 3, np.nan, 12], [1, 0, 0, 1, 0, 2, np.nan, 1], 10)
    np.testing.assert_array_equal(label, [1, np.nan, 0, 1, 0, 0, np.nan, 0])


def test_unknown_subjects_are_left_out_and_types_do_not_matter() -> None:
    plain = kaplan_meier([4, 2, 9], [1, 0, 1])
    other = kaplan_meier(np.array([9, np.nan, 2, 4]), np.array([1, np.nan, 0, 1]))
    whole = kaplan_meier(np.array([2, 4, 9], dtype=np.int32), np.array([False, True, True]))
    assert plain is not None
    assert other is not None
    assert whole is not None
    for curve in (other, whole):
        np.testing.assert_array_equal(curve.value, plain.value)
        np.testing.assert_array_equal(curve.low, plain.low)


@pytest.mark.parametrize(
    ("times", "events", "says"),
    [
        ([1, 2], [1], "one length"),
        ([1, -2], [1, 0], "finite and >= 0"),
        ([1, np.inf], [1, 0], "finite and >= 0"),
        ([1, 2], [1, 0.5], "code of a competing cause"),
        ([1, 2], [1, -1], "code of a competing cause"),
        ([1, 2], [1, np.inf], "code of a competing cause"),
        ([1, np.nan], [1, 0], "known together"),
        ([1, 2], [1, np.nan], "known together"),
    ],
)
def test_bad_input_is_refused(times: list, events: list, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        followed(times, events)


def test_confidence_must_be_a_share() -> None:
    with pytest.raises(ValueError, match="confidence"):
        kaplan_meier([1, 2], [1, 0], confidence=95)
