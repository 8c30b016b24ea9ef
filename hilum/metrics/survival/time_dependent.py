"""Cumulative/dynamic AUROC at a time t: those who met the event by t against those still free of any event after t.

Subjects censored before t are neither, and the cases that are left stand for them: a case counts 1 / G(T-), the inverse
of the chance to be still watched when its event came (all controls have the same chance, which cancels). Ties count one
half. Sources: Heagerty, Lumley and Pepe 2000 (definition); Hung and Chiang 2010 (weights); Blanche, Dartigues and
Jacqmin-Gadda 2013, Statistics in Medicine 32 (competing causes; of their two definitions the one whose controls are
free of every cause). Departure: at one time events come before censorings.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.survival.followed import EVENT, Floats, followed, scores_of
from hilum.metrics.survival.lanes import Walk, still_watched_block, time_dependent_block, walk


class ByScore(NamedTuple):
    """M subjects, best score first, as `time_dependent_block` wants them."""

    patient: NDArray[np.uint32]  # (M,) row of the count table
    tied: NDArray[np.int64]  # (G + 1,) where each group of equal scores begins
    place: NDArray[np.int64]  # (M,) which distinct time
    happened: NDArray[np.bool_]  # (M,)


def time_dependent_auroc(
    times: ArrayLike, events: ArrayLike, scores: ArrayLike, at: ArrayLike
) -> tuple[float | None, ...]:
    """AUROC in [0, 1] at each time asked for; None without a case by then or without a control after it.

    Args:
        times: (N,) >= 0, NaN unknown.
        events: (N,) codes; 1 is the event, 0 a censoring, others competing causes (neither case nor control).
        scores: (N,) larger means earlier; only the order matters.
        at: (A,) times.
    """
    time, event, known = followed(times, events)
    score = scores_of(scores, known)
    once = np.ones((time.size, 1), dtype=np.uint8)
    order = walk(time, event, np.arange(time.size))
    watched = np.ones((order.time.size, 1))
    still_watched_block(once, order.patient, order.start, order.censored, watched)
    passed = up_to(order, at)
    found = np.zeros((passed.size, 1))
    time_dependent_block(once, *by_score(time, event, score, np.arange(time.size)), passed, inverse(watched), found)
    return tuple(None if np.isnan(value) else float(value) for value in found[:, 0])


def by_score(time: Floats, event: NDArray[np.int64], score: Floats, patient: NDArray[Any]) -> ByScore:
    """Sort subjects by score; all inputs (M,)."""
    _, place = np.unique(time, return_inverse=True)
    order = np.argsort(-score, kind="stable")
    score = score[order]
    tied = np.flatnonzero(np.concatenate(([True], score[1:] != score[:-1]))) if score.size else np.empty(0, np.intp)
    return ByScore(
        patient[order].astype(np.uint32),
        np.append(tied, score.size).astype(np.int64),
        place[order].astype(np.int64),
        event[order] == EVENT,
    )


def up_to(order: Walk, at: ArrayLike) -> NDArray[np.int64]:
    """How many distinct times are not later than each of `at`, (A,)."""
    asked = np.atleast_1d(np.asarray(at, dtype=np.float64))
    return np.searchsorted(order.time, asked, side="right").astype(np.int64)


def inverse(watched: Floats) -> Floats:
    """1 / G, 0 where nobody is left."""
    weight = np.zeros(watched.shape)
    np.divide(1.0, watched, out=weight, where=watched > 0)
    return weight
