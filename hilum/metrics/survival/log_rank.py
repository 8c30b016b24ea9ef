"""The log-rank test: do groups of subjects meet the event at the same rate?

At each time of an event the deaths of a group are compared with its share of those at risk; the sums of observed minus
expected have a hypergeometric covariance, and their quadratic form is chi-squared with (groups - 1) degrees of freedom.

Sources: Mantel 1966; Peto and Peto 1972. Departure from lifelines, the referee of the tests: a group of which nobody
was at risk when an event happened says nothing and does not count as a degree of freedom (as R's survdiff).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from hilum.metrics.survival.followed import EVENT, Floats, followed


@dataclass(frozen=True)
class LogRank:
    """The test; `statistic` and `p` are None where it is undefined."""

    statistic: float | None  # chi-squared
    p: float | None
    degrees: int  # of freedom
    groups: tuple[str, ...]
    n: tuple[int, ...]  # subjects of each group
    observed: tuple[int, ...]  # events of each group
    expected: tuple[float, ...]  # under equal rates
    reason: str = ""  # why there is no test


def log_rank(times: ArrayLike, events: ArrayLike, groups: ArrayLike, *, cause: int = EVENT) -> LogRank:
    """Compare the event rates of groups over the whole follow-up.

    Args:
        times: (N,) >= 0, NaN unknown.
        events: (N,) codes; those that are not `cause` count as censored.
        groups: (N,) a name or number a subject.
        cause: the code of the event.

    Raises:
        ValueError: not one group a subject.
    """
    time, event, known = followed(times, events)
    given = np.asarray(groups)
    if given.shape != known.shape:
        raise ValueError(f"groups {given.shape} must be one for each of {known.size} subjects")
    names, group = np.unique(given[known], return_inverse=True)
    died = event == cause
    distinct, index = np.unique(time, return_inverse=True)
    left, dead = (_table(index[rows], group[rows], distinct.size, names.size) for rows in (slice(None), died))
    watched = np.cumsum(left[::-1], axis=0)[::-1]
    happened = dead.sum(axis=1) > 0
    watched, dead = watched[happened], dead[happened]
    n, d = watched.sum(axis=1), dead.sum(axis=1)
    expected = (watched * (d / n)[:, None]).sum(axis=0)
    facts: dict[str, Any] = {
        "groups": tuple(str(name) for name in names),
        "n": tuple(int(count) for count in left.sum(axis=0)),
        "observed": tuple(int(count) for count in dead.sum(axis=0)),
        "expected": tuple(float(value) for value in expected),
    }
    present = expected > 0
    degrees = max(int(present.sum()) - 1, 0)
    reason = _reason(names.size, int(d.sum()), degrees)
    if not reason:
        statistic = _statistic(watched[:, present], (dead.sum(axis=0) - expected)[present], n, d)
        if statistic is not None:
            return LogRank(statistic, float(chdtrc(degrees, statistic)), degrees, **facts)
        reason = "all at risk met the event at once"
    return LogRank(None, None, degrees, **facts, reason=reason)


def _statistic(watched: NDArray[np.int64], gap: Floats, n: NDArray[np.int64], d: NDArray[np.int64]) -> float | None:
    """Quadratic form of observed minus expected (G,) in their covariance; None where that is zero."""
    factor = d * (n - d) / (np.maximum(n - 1, 1) * n.astype(np.float64) ** 2)
    spread = np.diag((factor * n) @ watched) - (watched * factor[:, None]).T @ watched
    if not spread.any():
        return None
    first = slice(None, -1)  # the sums add up to zero, so the last group follows from the others
    return float(gap[first] @ np.linalg.pinv(spread[first, first]) @ gap[first])


def _table(index: NDArray[np.intp], group: NDArray[np.intp], times: int, groups: int) -> NDArray[np.int64]:
    """Subjects by time and group, (times, groups)."""
    return np.bincount(index * groups + group, minlength=times * groups).reshape(times, groups).astype(np.int64)


def _reason(groups: int, events: int, degrees: int) -> str:
    if groups < 2:
        return "there is one group only" if groups else "no subject"
    if not events:
        return "no event"
    return "" if degrees else "only one group was at risk when an event happened"
