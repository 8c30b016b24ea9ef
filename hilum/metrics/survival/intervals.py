"""Concordance and time-dependent AUROC with intervals from drawing whole patients; paired differences of two scores.

Every number of one `Discrimination` sees the same draws, and so do two of them on the same subjects. A replicate has
its own censoring weights. One without a comparable pair (or a case, or a control) says nothing and is left out;
`Estimate.draws` states how many were used.

Source: Efron 1979 (percentile bootstrap); Field and Welsh 2007 (resampling whole clusters).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.estimate import Difference, Estimate, percentile_interval, two_sided_share
from hilum.metrics.replicates import LANES, draw_blocks
from hilum.metrics.survival.concordance import EVERY_TIME, harrell_c, pair_weights, ratio, uno_c
from hilum.metrics.survival.followed import EVENT, Floats, followed, scores_of
from hilum.metrics.survival.lanes import concordance_block, ranks, still_watched_block, time_dependent_block, walk
from hilum.metrics.survival.time_dependent import by_score, inverse, time_dependent_auroc, up_to


@dataclass(frozen=True)
class Discrimination:
    """How well one score tells early from late events."""

    harrell: Estimate
    uno: Estimate
    auroc: tuple[Estimate, ...]  # (A,) at each time of `at`; `n_positive` counts the events by then
    at: tuple[float, ...]
    tau: float | None  # Uno's C leaves out events from here on
    replicates: Floats  # (2 + A, draws) Harrell, Uno, then AUROC; NaN where undefined
    confidence: float
    pairing: str  # digest of subjects, follow-up, draws and seed: what two paired results must share

    def difference(self, other: Discrimination, metric: str) -> Difference:
        """Paired difference, this minus the other, of "harrell" or "uno".

        Raises:
            ValueError: the two do not share patients, follow-up, draws, seed and tau.
        """
        if self.pairing != other.pairing or self.tau != other.tau:
            raise ValueError("a paired difference needs the same patients, follow-up, draws, seed and tau")
        row = ("harrell", "uno").index(metric)
        one, two = (found.harrell if row == 0 else found.uno for found in (self, other))
        if one.value is None or two.value is None:
            return Difference(None, None, None, None, 0, one.reason or two.reason)
        gap = self.replicates[row] - other.replicates[row]
        if one.low is None or two.low is None:
            return Difference(one.value - two.value, None, None, None, 0, one.reason or two.reason)
        low, high, used = percentile_interval(gap, self.confidence)
        return Difference(one.value - two.value, low, high, two_sided_share(gap), used)


def discrimination(
    times: ArrayLike,
    events: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    *,
    at: ArrayLike = (),
    tau: float | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Discrimination:
    """Judge a score; the result does not depend on the order of the rows.

    Args:
        times: (N,) >= 0, NaN unknown.
        events: (N,) 0 censored, 1 the event, others competing causes.
        scores: (N,) larger means earlier.
        patients: (N,) ids; subjects (films) of one id are drawn together.
        at: (A,) times at which AUROC is asked.
        tau: where Uno's C stops; None keeps all events.
        draws: replicates.
        seed: of the draws.
        confidence: coverage of the intervals, in (0, 1).
    """
    if not 0 < confidence < 1 or draws < 0:
        raise ValueError(f"confidence must lie in (0, 1) and draws be >= 0, got {confidence} and {draws}")
    time, event, known = followed(times, events)
    score, asked = scores_of(scores, known), np.atleast_1d(np.asarray(at, dtype=np.float64))
    given = np.asarray(patients, dtype=str)
    if given.shape != known.shape:
        raise ValueError(f"patients {given.shape} must be one for each of {known.size} subjects")
    ids, patient = np.unique(given[known], return_inverse=True)
    stop = EVERY_TIME if tau is None else tau
    replicates = _replicates(time, event, score, patient, ids.size, asked, stop, draws=draws, seed=seed)
    points = [harrell_c(time, event, score), uno_c(time, event, score, tau=tau)]
    points += time_dependent_auroc(time, event, score, asked)
    met = event == EVENT
    bounds = [np.inf, np.nextafter(stop, -np.inf), *asked]  # an event counts up to here, tau itself left out
    estimates = [
        _estimate(value, row, time.size, ids.size, int((met & (time <= bound)).sum()), confidence, number)
        for number, (value, row, bound) in enumerate(zip(points, replicates, bounds, strict=True))
    ]
    order = np.lexsort((score, event, time, patient))
    text = "\n".join(ids.tolist()).encode() + b"".join(part[order].tobytes() for part in (patient, time, event))
    pairing = hashlib.sha256(text + f"{draws} {seed}".encode()).hexdigest()
    aurocs = tuple(estimates[2:])
    return Discrimination(
        estimates[0], estimates[1], aurocs, tuple(map(float, asked)), tau, replicates, confidence, pairing
    )


def _replicates(
    time: Floats,
    event: NDArray[np.int64],
    score: Floats,
    patient: NDArray[np.intp],
    n_patients: int,
    at: Floats,
    tau: float,
    *,
    draws: int,
    seed: int,
) -> Floats:
    """Harrell's C, Uno's C and the AUROCs in every replicate, (2 + A, draws)."""
    order = walk(time, event, patient)
    ranked, sorted_, passed = ranks(score, event, order.order), by_score(time, event, score, patient), up_to(order, at)
    found = np.full((2 + at.size, draws), np.nan)
    watched, pairs, areas = np.ones((order.time.size, LANES)), np.zeros((2, LANES)), np.zeros((at.size, LANES))
    plain = np.ones((order.time.size, 1))
    for block, counts in enumerate(draw_blocks(n_patients, draws, seed)):
        here = slice(block * LANES, min((block + 1) * LANES, draws))
        lanes = here.stop - here.start
        still_watched_block(counts, order.patient, order.start, order.censored, watched)
        for row, weight in enumerate((plain, pair_weights(order, watched, tau))):
            concordance_block(counts, order.patient, order.start, order.competing, *ranked, weight, pairs)
            found[row, here] = ratio(pairs)[:lanes]
        time_dependent_block(counts, *sorted_, passed, inverse(watched), areas)
        found[2:, here] = areas[:, :lanes]
    return found


def _estimate(
    value: float | None, replicates: Floats, n: int, patients: int, events: int, confidence: float, number: int
) -> Estimate:
    if value is None:
        nothing = "no comparable pair" if number < 2 else "no event by then" if not events else "nobody followed longer"
        return Estimate(None, None, None, n, patients, events, 0, nothing if n else "no subject")
    if patients < 2:
        return Estimate(value, None, None, n, patients, events, 0, "one patient: no interval")
    low, high, used = percentile_interval(replicates, confidence)
    return Estimate(value, low, high, n, patients, events, used, "" if used else "no usable draw: no interval")
