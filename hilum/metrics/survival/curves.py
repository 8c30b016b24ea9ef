"""Curves over time: Kaplan-Meier and Aalen-Johansen, with pointwise intervals, and numbers at risk.

Sources: Kaplan and Meier 1958; Greenwood 1926 (variance); Kalbfleisch and Prentice 1980 (interval on the scale
log(-log S), which stays inside [0, 1]); Aalen and Johansen 1978 (cumulative incidence with competing causes), its
variance by the delta method as in Marubini and Valsecchi 1995. Same numbers as lifelines, which is the
referee of the tests; unlike it, tied times of different causes need no jitter.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.estimate import Estimate
from hilum.metrics.survival.followed import EVENT, followed

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

ROUNDING: Final = 1e-12  # an incidence this near to 1 is 1: what is missing is the rounding of a sum


@dataclass(frozen=True)
class Curve:
    """A step function of time with its interval; every array is (K,), one entry a distinct time, the first at 0.

    Where nothing happened yet, and where everything has, the interval has no width: it is not defined there.
    """

    time: Floats
    value: Floats  # survival, or cumulative incidence
    variance: Floats  # of the value
    low: Floats
    high: Floats
    at_risk: Whole  # just before the time
    events: Whole  # of the cause, at the time
    others: Whole  # competing events at the time
    confidence: float
    n: int  # subjects
    closed: bool  # nobody was left to be censored at the last time: the curve stays where it is

    @property
    def last(self) -> float:
        """The longest follow-up."""
        return float(self.time[-1])

    def index(self, times: ArrayLike) -> Whole:
        """The entry in force at each time: the last one that is not later."""
        return np.searchsorted(self.time, np.asarray(times, dtype=np.float64), side="right").astype(np.int64) - 1


def kaplan_meier(times: ArrayLike, events: ArrayLike, *, cause: int = EVENT, confidence: float = 0.95) -> Curve | None:
    """Survival S(t) = product over times of (1 - d / n); None without a subject.

    Args:
        times: (N,) >= 0, NaN unknown.
        events: (N,) codes; those that are not `cause` count as censored, a competing cause included.
        cause: the code of the event.
        confidence: coverage of the pointwise interval, in (0, 1).
    """
    counted = _counted(times, events, cause)
    if counted is None:
        return None
    time, at_risk, dead, others, n = counted
    left = at_risk - dead
    value = np.cumprod(_divide(left, at_risk, 1.0), dtype=np.float64)
    spread = np.cumsum(_divide(dead, at_risk * left, 0.0))  # Greenwood: the variance of log S
    low, high = _log_log(value, np.sqrt(spread), confidence)
    return Curve(time, value, value**2 * spread, low, high, at_risk, dead, others, confidence, n, bool(left[-1] == 0))


def cumulative_incidence(
    times: ArrayLike, events: ArrayLike, *, cause: int = EVENT, confidence: float = 0.95
) -> Curve | None:
    """Aalen-Johansen estimate of the share of subjects with `cause` by t, competing causes allowed for.

    F(t) = sum of S(t-) d_cause / n, where S counts every cause as an event. None without a subject.

    Args:
        times: (N,) >= 0, NaN unknown.
        events: (N,) codes: 0 censored, everything else a cause.
        cause: the code of the one asked for.
        confidence: coverage of the pointwise interval, in (0, 1).
    """
    counted = _counted(times, events, cause)
    if counted is None:
        return None
    time, at_risk, dead, others, n = counted
    ended = dead + others
    survival = np.cumprod(_divide(at_risk - ended, at_risk, 1.0), dtype=np.float64)
    before = np.concatenate(([1.0], survival[:-1]))
    step = before * _divide(dead, at_risk, 0.0)
    value = np.cumsum(step)
    # Var F(t) = sum (F(t) - F_i)^2 a_i + sum b_i - 2 sum (F(t) - F_i) c_i, multiplied out to run in one pass
    a = _divide(ended, at_risk * (at_risk - ended), 0.0)  # where all end at once, nothing follows: F(t) = F_i
    b = step**2 * _divide(at_risk - dead, at_risk * dead, 0.0)
    c = _divide(step, at_risk, 0.0)
    first = value**2 * np.cumsum(a) - 2 * value * np.cumsum(a * value) + np.cumsum(a * value**2)
    variance = np.maximum(first + np.cumsum(b) - 2 * (value * np.cumsum(c) - np.cumsum(c * value)), 0.0)
    relative = _divide(np.sqrt(variance), value, 0.0)
    low, high = _log_log(value, relative, confidence)
    closed = bool(at_risk[-1] == ended[-1])
    return Curve(time, value, variance, low, high, at_risk, dead, others, confidence, n, closed)


def at_risk(times: ArrayLike, at: ArrayLike) -> Whole:
    """How many subjects are still watched and free of any event just before each time of `at`: those with time >= t."""
    known = np.asarray(times, dtype=np.float64)
    ordered = np.sort(known[~np.isnan(known)])
    return (ordered.size - np.searchsorted(ordered, np.asarray(at, dtype=np.float64), side="left")).astype(np.int64)


def at_horizon(curve: Curve | None, horizon: float) -> Estimate:
    """The curve's value at a time with its pointwise interval.

    Returns:
        An estimate whose `n_positive` counts the events up to the horizon and whose `draws` is 0. No value where the
        follow-up of everybody ends before; no interval where no event has come yet, or nobody is left.
    """
    if curve is None:
        return Estimate(None, None, None, 0, 0, 0, 0, "no subject")
    here = int(curve.index(horizon))
    passed = int(curve.events[: here + 1].sum())
    if horizon > curve.last and not curve.closed:
        reason = f"nobody is followed that long: the longest follow-up is {curve.last:g}"
        return Estimate(None, None, None, curve.n, curve.n, passed, 0, reason)
    value = float(curve.value[here])
    low, high = float(curve.low[here]), float(curve.high[here])
    if low < high:
        return Estimate(value, low, high, curve.n, curve.n, passed, 0)
    reason = "no event up to there: no interval" if not passed else "the event came to all: no interval"
    return Estimate(value, None, None, curve.n, curve.n, passed, 0, reason)


def _counted(times: ArrayLike, events: ArrayLike, cause: int) -> tuple[Floats, Whole, Whole, Whole, int] | None:
    """Distinct times from 0, and at each: at risk, of the cause, of other causes; and the number of subjects."""
    time, event, _ = followed(times, events)
    if not time.size:
        return None
    distinct, index = np.unique(np.concatenate(([0.0], time)), return_inverse=True)
    index = index[1:]

    def count(rows: NDArray[np.bool_]) -> Whole:
        return np.bincount(index[rows], minlength=distinct.size).astype(np.int64)

    everyone = count(np.ones(time.size, dtype=bool))
    watched = np.cumsum(everyone[::-1])[::-1]
    return distinct, watched, count(event == cause), count((event != cause) & (event > 0)), time.size


def _log_log(value: Floats, relative: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Interval exp(-exp(log(-log v) +- z s / |log v|)), with s the standard error of log v; [v, v] at 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    inside = (value > 0) & (value < 1 - ROUNDING)
    minus_log = -np.log(np.where(inside, value, 0.5))  # a stand-in where there is no width
    width = NormalDist().inv_cdf((1 + confidence) / 2) * relative / minus_log
    width = np.minimum(width, 700.0)  # exp stays finite; the ends are 0 and 1 long before
    low = np.where(inside, np.exp(-minus_log * np.exp(width)), value)
    high = np.where(inside, np.exp(-minus_log * np.exp(-width)), value)
    return low, high


def _divide(part: NDArray[np.generic], whole: NDArray[np.generic], otherwise: float) -> Floats:
    """Quotient, `otherwise` where the denominator is 0."""
    found = np.full(part.shape, otherwise)
    np.divide(part, whole, out=found, where=whole != 0)
    return found
