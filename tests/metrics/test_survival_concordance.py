"""Harrell's C against lifelines, Uno's C against the paper pair by pair, and what must not move them."""

from __future__ import annotations

import time as clock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics.survival import harrell_c, uno_c
from tests.metrics.survival_subjects import CASES, Subjects, drawn, lifelines
from tests.oracles import survival as oracle


@pytest.mark.parametrize("subjects", CASES.values(), ids=CASES.keys())
def test_harrell_equals_lifelines(subjects: Subjects) -> None:
    referee = lifelines("lifelines.utils")
    found = harrell_c(*subjects)
    try:
        expected = float(referee.concordance_index(subjects.time, -subjects.score, subjects.event))
    except ZeroDivisionError:
        expected = None
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize("competing", [0.0, 0.4])
@pytest.mark.parametrize("digits", [0, None])
@pytest.mark.parametrize("tau", [20.0, 60.0, 1e9])
def test_both_equal_the_definition(tau: float, digits: int | None, competing: float) -> None:
    subjects = drawn(int(tau) % 7, 70, competing=competing, digits=digits)
    assert harrell_c(*subjects) == pytest.approx(oracle.concordance(*subjects), abs=1e-12)
    assert uno_c(*subjects, tau=tau) == pytest.approx(oracle.concordance(*subjects, tau=tau), abs=1e-12)


def test_without_censoring_uno_is_harrell() -> None:
    subjects = drawn(3, 80, censored=0.0)
    assert uno_c(*subjects) == pytest.approx(harrell_c(*subjects), abs=1e-12)


def test_uno_does_not_move_with_the_censoring_where_harrell_does() -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    score = rng.choice([0.0, 1.0, 2.0], n)  # hazards that cross: the score only tells early events
    time = np.where(rng.random(n) < 0.3 + 0.2 * score, rng.uniform(0, 5, n), rng.uniform(5, 10, n))
    stop = rng.exponential(6, n)
    seen, event = np.minimum(time, stop), (time <= stop).astype(int)
    true = harrell_c(time, np.ones(n), score)
    assert true is not None
    assert uno_c(seen, event, score, tau=10) == pytest.approx(true, abs=0.005)
    assert (harrell_c(seen, event, score) or 0) - true > 0.01


def test_closed_forms_and_the_undefined() -> None:
    assert harrell_c([1, 2, 3], [1, 1, 0], [3, 2, 1]) == 1.0
    assert harrell_c([1, 2, 3], [1, 1, 0], [1, 2, 3]) == 0.0
    assert harrell_c([1, 2, 3], [1, 1, 0], [4, 4, 4]) == 0.5
    assert harrell_c([5, 5], [1, 0], [2, 1]) == 1.0  # censored at the time of the event: it was still without it
    assert harrell_c([5, 5], [1, 1], [2, 1]) is None
    for undefined in (([], [], []), ([1], [1], [0.5]), ([1, 2], [0, 0], [1, 2]), ([1, 2], [0, 1], [1, 2])):
        assert harrell_c(*undefined) is None
        assert uno_c(*undefined) is None
    assert uno_c([1, 2, 3], [1, 1, 0], [3, 2, 1], tau=1) is None  # an event at tau is left out
    assert harrell_c([1, 2, 3, np.nan], [1, 1, 0, np.nan], [3, 2, 1, np.nan]) == 1.0


def test_bad_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="a score is NaN"):
        harrell_c([1, 2], [1, 0], [1, np.nan])
    with pytest.raises(ValueError, match="one for each of 2"):
        uno_c([1, 2], [1, 0], [1])


subjects_strategy = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([0, 1, 1, 2]), st.integers(-6, 6)), min_size=2, max_size=25
)


@settings(max_examples=60, deadline=None)
@given(rows=subjects_strategy, order=st.randoms(use_true_random=False))
def test_order_of_rows_and_monotone_transforms_change_nothing(rows: list, order) -> None:  # type: ignore[no-untyped-def]
    time, event, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    mixed = list(range(len(rows)))
    order.shuffle(mixed)
    for metric in (harrell_c, uno_c):
        value = metric(time, event, score)
        again = [
            metric(time[mixed], event[mixed], score[mixed]),
            metric(time, event, np.exp(score)),
            metric(time * 1000, event, 3 * score - 1),
        ]
        assert again == ([None] * 3 if value is None else [pytest.approx(value, abs=1e-12)] * 3)


@settings(max_examples=60, deadline=None)
@given(rows=subjects_strategy)
def test_the_reversed_score_has_the_reversed_concordance(rows: list) -> None:
    time, event, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    for metric in (harrell_c, uno_c):  # ties included, as they count one half
        value, reverse = metric(time, event, score), metric(time, event, -score)
        assert reverse == (None if value is None else pytest.approx(1 - value, abs=1e-12))


def test_fifty_thousand_subjects_take_seconds() -> None:
    subjects = drawn(0, 50_000, digits=None)
    harrell_c(*drawn(1))  # compile
    began = clock.monotonic()
    assert 0.6 < (harrell_c(*subjects) or 0) < 0.8
    assert 0.6 < (uno_c(*subjects, tau=100.0) or 0) < 0.8
    assert clock.monotonic() - began < 10
