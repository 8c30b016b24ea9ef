"""Cumulative/dynamic AUROC against the definition pair by pair, and against the plain AUROC without censoring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.metrics.ranking import auroc
from hilum.metrics.survival import time_dependent_auroc
from tests.metrics.survival_subjects import drawn
from tests.oracles import survival as oracle

AT = (0.5, 5.0, 15.0, 40.0, 90.0, 1e6)


@pytest.mark.parametrize("competing", [0.0, 0.4])
@pytest.mark.parametrize("digits", [0, None])
@pytest.mark.parametrize("censored", [0.3, 0.9])
def test_equals_the_definition(censored: float, digits: int | None, competing: float) -> None:
    subjects = drawn(6, 80, censored=censored, competing=competing, digits=digits)
    expected = [oracle.auroc_at(*subjects, t) for t in AT]
    found = time_dependent_auroc(*subjects, AT)
    assert [value is None for value in found] == [value is None for value in expected]
    assert expected[-1] is None
    assert expected[2] is not None
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == (None if theirs is None else pytest.approx(theirs, abs=1e-12))


def test_without_censoring_it_is_the_plain_auroc() -> None:
    time, event, score = drawn(5, 120, censored=0.0)
    for t in (5.0, 20.0, 50.0):
        assert time_dependent_auroc(time, event, score, [t]) == (pytest.approx(auroc(time <= t, score), abs=1e-12),)


def test_weights_undo_the_censoring() -> None:
    rng = np.random.default_rng(0)
    n = 30_000
    score = rng.normal(size=n)
    # the score only tells the early events, and the censoring hides the late ones
    time = np.where(rng.random(n) < 0.3, 20 / (1 + np.exp(2 * score + rng.normal(size=n))), rng.uniform(10, 40, n))
    stop = rng.exponential(20, n)
    seen, event = np.minimum(time, stop), (time <= stop).astype(int)
    true, found = auroc(time <= 25, score), time_dependent_auroc(seen, event, score, [25.0])[0]
    assert true is not None
    assert found == pytest.approx(true, abs=0.01)
    known = (seen > 25) | (event == 1)
    naive = auroc((seen <= 25)[known], score[known])
    assert naive is not None
    assert naive - true > 0.01


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from([0, 1, 1, 2]), st.integers(-6, 6)), min_size=1, max_size=25
    ),
    order=st.randoms(use_true_random=False),
)
def test_order_and_monotone_transforms_change_nothing(rows: list, order) -> None:  # type: ignore[no-untyped-def]
    time, event, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    mixed = list(range(len(rows)))
    order.shuffle(mixed)
    value = time_dependent_auroc(time, event, score, [3, 7])
    same = tuple(None if v is None else pytest.approx(v, abs=1e-12) for v in value)
    assert time_dependent_auroc(time[mixed], event[mixed], np.exp(score[mixed]), [3, 7]) == same
    turned = tuple(None if v is None else pytest.approx(1 - v, abs=1e-12) for v in value)
    assert time_dependent_auroc(time, event, -score, [3, 7]) == turned


def test_nobody_is_no_value() -> None:
    assert time_dependent_auroc([], [], [], [1, 2]) == (None, None)
    assert time_dependent_auroc([1], [1], [0.0], [1]) == (None,)
