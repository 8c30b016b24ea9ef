"""The log-rank test against lifelines and Mantel's own formula, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.survival import log_rank
from tests.metrics.survival_subjects import drawn, lifelines, referee_speaks
from tests.oracles import survival as oracle


def referee(time: np.ndarray, group: np.ndarray, event: np.ndarray) -> tuple[float, float]:
    statistics = lifelines("lifelines.statistics")
    with referee_speaks():
        found = statistics.multivariate_logrank_test(time, group, event)
    return float(found.test_statistic), float(found.p_value)


@pytest.mark.parametrize("censored", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize("digits", [0, None])
def test_equals_lifelines(groups: int, censored: float, digits: int | None) -> None:
    time, event, _ = drawn(groups, 400, censored=censored, digits=digits)
    group = np.random.default_rng(7).integers(0, groups, 400)
    found = log_rank(time, event, group)
    assert (found.statistic, found.p) == pytest.approx(referee(time, group, event), abs=1e-9)
    assert found.degrees == groups - 1
    assert sum(found.observed) == event.sum()
    assert sum(found.expected) == pytest.approx(event.sum())


@pytest.mark.parametrize("seed", range(3))
def test_two_groups_equal_mantel(seed: int) -> None:
    time, event, score = drawn(seed, 70)
    group = (score > 0).astype(int)
    found = log_rank(time, event, group)
    assert found.statistic == pytest.approx(oracle.log_rank(time, event, group), rel=1e-12)


def test_a_group_without_an_event_is_compared() -> None:
    time = np.array([2, 4, 5, 7, 8, 9, 10, 11])
    event = np.array([1, 1, 0, 1, 0, 0, 0, 0])
    group = np.array(["a", "a", "a", "a", "b", "b", "b", "b"])
    found = log_rank(time, event, group)
    assert found.observed == (3, 0)
    assert (found.statistic, found.p) == pytest.approx(referee(time, group, event), abs=1e-9)


def test_competing_causes_count_as_censored() -> None:
    time, event, score = drawn(1, 90, competing=0.4)
    assert log_rank(time, event, score > 0) == log_rank(time, event == 1, score > 0)


def test_a_group_gone_before_the_first_event_takes_no_degree_of_freedom() -> None:
    time = [1, 1, 3, 4, 5, 6, 7, 8]
    event = [0, 0, 1, 1, 0, 1, 1, 0]
    found = log_rank(time, event, ["gone"] * 2 + ["a", "b"] * 3)
    without = log_rank(time[2:], event[2:], ["a", "b"] * 3)
    assert (found.statistic, found.p, found.degrees) == pytest.approx((without.statistic, without.p, 1))
    assert found.n == (3, 3, 2)


@pytest.mark.parametrize(
    ("time", "event", "group", "reason"),
    [
        ([], [], [], "no subject"),
        ([1, 2], [1, 1], ["a", "a"], "there is one group only"),
        ([1, 2], [0, 0], ["a", "b"], "no event"),
        ([1, 2], [0, 1], ["a", "b"], "only one group was at risk when an event happened"),
        ([2, 2], [1, 1], ["a", "b"], "all at risk met the event at once"),
    ],
)
def test_undefined_says_why(time: list, event: list, group: list, reason: str) -> None:
    found = log_rank(time, event, group)
    assert (found.statistic, found.p, found.reason) == (None, None, reason)


def test_groups_must_match() -> None:
    with pytest.raises(ValueError, match="one for each of 2"):
        log_rank([1, 2], [1, 0], ["a"])
