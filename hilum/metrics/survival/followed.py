"""The door of every survival metric: which subjects were followed, until when, and what ended it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CENSORED: Final = 0
EVENT: Final = 1  # larger codes are competing causes


class Followed(NamedTuple):
    """The subjects whose follow-up is known; M of the N given."""

    time: Floats  # (M,) when the follow-up ended, >= 0
    event: NDArray[np.int64]  # (M,) what ended it: 0 censored, 1 the event, 2.. a competing cause
    known: NDArray[np.bool_]  # (N,) who they are


def followed(times: ArrayLike, events: ArrayLike) -> Followed:
    """Check times and event codes and keep the subjects who have both.

    Args:
        times: (N,) numbers >= 0 in any unit; NaN where the event is NaN too.
        events: (N,) 0, 1, 2, ... or False and True; NaN where unknown.

    Raises:
        ValueError: shapes differ, a time is negative or infinite, a code is not a whole number >= 0, or only one of
            the two is known.
    """
    time, event = np.asarray(times, dtype=np.float64), np.asarray(events, dtype=np.float64)
    if time.ndim != 1 or time.shape != event.shape:
        raise ValueError(f"times and events must be vectors of one length, got {time.shape} and {event.shape}")
    known = ~np.isnan(event)
    if (known != ~np.isnan(time)).any():
        raise ValueError("time and event must be known together or be NaN together")
    time, event = time[known], event[known]
    if not (np.isfinite(time) & (time >= 0)).all():
        raise ValueError("times must be finite and >= 0")
    codes = np.where(np.isfinite(event), event, -1.0).astype(np.int64)
    if (codes < 0).any() or (codes != event).any():
        raise ValueError("events must be 0 (censored), 1 (event) or the code of a competing cause")
    return Followed(time, codes, known)


def scores_of(scores: ArrayLike, known: NDArray[np.bool_]) -> Floats:
    """The scores (M,) of the subjects whose follow-up is known.

    Raises:
        ValueError: not one score a subject, or one of them is NaN.
    """
    score = np.asarray(scores, dtype=np.float64)
    if score.shape != known.shape:
        raise ValueError(f"scores {score.shape} must be one for each of {known.size} subjects")
    if np.isnan(score[known]).any():
        raise ValueError("a score is NaN; every subject with a known follow-up needs a score")
    return score[known]


def label_at(times: ArrayLike, events: ArrayLike, horizon: float) -> Floats:
    """The plain binary form: did the event happen within the horizon?

    Returns:
        (N,) 1 where the event came at `horizon` or before, 0 where the subject was seen free of it up to there or met
        a competing cause first, NaN where the follow-up is unknown or was censored before the horizon.
    """
    time, event, known = followed(times, events)
    label = np.full(known.shape, np.nan)
    happened = (event == EVENT) & (time <= horizon)
    lost = (event == CENSORED) & (time < horizon)
    label[known] = np.where(lost, np.nan, happened.astype(np.float64))
    return label


def median_follow_up(times: ArrayLike, events: ArrayLike) -> float | None:
    """Median time to censoring by the reverse Kaplan-Meier estimate; None where half are never censored.

    Schemper and Smith 1996: an event ends the chance to be censored, so the plain median of the times of a deadly
    disease is too short. Events at the time of a censoring come first.
    """
    time, event, _ = followed(times, events)
    distinct, kept = still_watched(time, event)
    below = np.flatnonzero(kept <= 0.5)
    return float(distinct[below[0]]) if below.size else None


def still_watched(time: Floats, event: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Kaplan-Meier estimate of not being censored yet: the distinct times (K,) and its value just after each, (K,).

    At equal times events come before censorings and are no longer at risk of one. A competing cause is an event.
    """
    distinct, index = np.unique(time, return_inverse=True)
    left = np.bincount(index, minlength=distinct.size)
    censored = np.bincount(index[event == CENSORED], minlength=distinct.size)
    at_risk = np.cumsum(left[::-1])[::-1] - (left - censored)
    share = np.divide(censored, at_risk, out=np.zeros(distinct.size), where=at_risk > 0)
    return distinct, np.cumprod(1.0 - share, dtype=np.float64)
