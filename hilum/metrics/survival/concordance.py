"""Concordance: how often the subject with the higher score met the event first.

A pair is comparable when one met the event and the other was still without it then: watched for longer, or censored (or
met by a competing cause) at that very time. Two events at one time say nothing. Equal scores count one half.

`harrell_c` counts every comparable pair once (Harrell, Lee and Mark 1996; the pairs of lifelines), so what it estimates
depends on how long people happened to be watched. `uno_c` weighs a pair by the inverse square of the chance to be still
watched at the event, G(t-)^-2, and leaves out events at tau or later (Uno, Cai, Pencina, D'Agostino and Wei 2011,
Statistics in Medicine 30: C_tau): it estimates the same number whatever the censoring. Departures: G is taken just
before the event, as the subject had to be watched up to it (the paper's times are continuous), and a subject censored
at the time of an event is comparable to it, as for Harrell. With competing causes the event of interest is cause 1;
other causes end the follow-up but are not censorings.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hilum.metrics.survival.followed import Floats, followed, scores_of
from hilum.metrics.survival.lanes import Walk, concordance_block, ranks, still_watched_block, walk

EVERY_TIME: Final = np.inf


def harrell_c(times: ArrayLike, events: ArrayLike, scores: ArrayLike) -> float | None:
    """Harrell's C in [0, 1]; None without a comparable pair.

    Args:
        times: (N,) >= 0, NaN unknown.
        events: (N,) codes; only 1 is an event.
        scores: (N,) larger means earlier; only the order matters.
    """
    return _point(times, events, scores, None)


def uno_c(times: ArrayLike, events: ArrayLike, scores: ArrayLike, *, tau: float | None = None) -> float | None:
    """Uno's C in [0, 1]; None without a comparable pair whose event comes before `tau`.

    Args:
        times: (N,) >= 0, NaN unknown.
        events: (N,) codes; 1 is the event, 0 a censoring, others competing causes.
        scores: (N,) larger means earlier; only the order matters.
        tau: events at this time or later are left out; None keeps all. Take a time up to which a fair share is still
            watched, or few late events carry all the weight.
    """
    return _point(times, events, scores, EVERY_TIME if tau is None else tau)


def pair_weights(sorted_: Walk, watched: Floats, tau: float) -> Floats:
    """Uno's weight of the events of each time: G(t-)^-2 before `tau`, else 0; watched (T, L) -> (T, L)."""
    weight = np.zeros(watched.shape)
    np.divide(1.0, watched**2, out=weight, where=(watched > 0) & (sorted_.time < tau)[:, None])
    return weight


def ratio(found: Floats) -> Floats:
    """C (L,) of what `concordance_block` wrote (2, L); NaN without a comparable pair."""
    twice, pairs = found
    value = np.full(pairs.shape, np.nan)
    np.divide(twice, 2 * pairs, out=value, where=pairs > 0)
    return value


def _point(times: ArrayLike, events: ArrayLike, scores: ArrayLike, tau: float | None) -> float | None:
    time, event, known = followed(times, events)
    score = scores_of(scores, known)
    rows = np.arange(time.size)
    once = np.ones((time.size, 1), dtype=np.uint8)
    order = walk(time, event, rows)
    ranked = ranks(score, event, order.order)
    weight = np.ones((order.time.size, 1))
    if tau is not None:
        still_watched_block(once, order.patient, order.start, order.censored, weight)
        weight = pair_weights(order, weight, tau)
    found = np.zeros((2, 1))
    concordance_block(once, order.patient, order.start, order.competing, *ranked, weight, found)
    value = float(ratio(found)[0])
    return None if np.isnan(value) else value
