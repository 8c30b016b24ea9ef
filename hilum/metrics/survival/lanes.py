"""Many weighted replicates at once: concordance and time-dependent AUROC with counts per patient, compiled.

As in `metrics/replicates.py` a replicate is a count per patient, and `LANES` replicates walk through the subjects side
by side. Concordance walks from the earliest time to the latest with the events met so far in a binary indexed tree over
the scores, so that a subject costs O(log n) additions. The weights of Uno and of Hung and Chiang come from each
replicate's own censoring, which the same walk keeps up to date.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hilum.metrics.survival.followed import CENSORED, EVENT, Floats

Whole = NDArray[np.int64]


class Walk(NamedTuple):
    """M subjects by time; among equal times events first, then competing causes, then censorings. T distinct times."""

    order: NDArray[np.intp]  # (M,) the subjects in the order of the walk
    patient: NDArray[np.uint32]  # (M,) row of the count table
    start: Whole  # (T + 1,) where each time begins; the last entry is M
    competing: Whole  # (T,) where its competing causes begin
    censored: Whole  # (T,) where its censorings begin
    time: Floats  # (T,)


class Ranks(NamedTuple):
    """Where the scores of the walk stand among the distinct scores of its events."""

    below: Whole  # (M,) how many of them are smaller
    upto: Whole  # (M,) how many are not larger
    size: int  # how many there are


def walk(time: Floats, event: NDArray[np.int64], patient: NDArray[Any]) -> Walk:
    """Sort subjects for the walks; all inputs (M,)."""
    kind = np.where(event == EVENT, 0, np.where(event == CENSORED, 2, 1))
    order = np.lexsort((kind, time))
    time, kind = time[order], kind[order]
    distinct, start = np.unique(time, return_index=True)
    borders = np.append(start, time.size).astype(np.int64)
    earlier = [np.concatenate(([0], np.cumsum(kind < bound))) for bound in (1, 2)]
    competing, censored = (borders[:-1] + passed[borders[1:]] - passed[borders[:-1]] for passed in earlier)
    return Walk(order, patient[order].astype(np.uint32), borders, competing, censored, distinct)


def ranks(score: Floats, event: NDArray[np.int64], order: NDArray[np.intp]) -> Ranks:
    """Rank the scores (M,) of subjects among those of the events, in the order of a walk."""
    values = np.unique(score[event == EVENT])
    below, upto = (np.searchsorted(values, score[order], side=side).astype(np.int64) for side in ("left", "right"))
    return Ranks(below, upto, values.size)


@njit(cache=True, error_model="numpy")
def concordance_block(
    counts: NDArray[np.uint8],
    patient: NDArray[np.uint32],
    start: Whole,
    competing: Whole,
    below: Whole,
    upto: Whole,
    size: int,
    weight: Floats,
    found: Floats,
) -> None:
    """Weighted pairs of an event and a subject who was well for longer, and those that the score orders rightly.

    Args:
        counts: (P, L) how often each patient is in each replicate.
        patient: as in `Walk`.
        start: as in `Walk`.
        competing: as in `Walk`: the others of a time begin here, and are comparable with its events.
        below: as in `Ranks`.
        upto: as in `Ranks`.
        size: `Ranks.size`.
        weight: (T, L) of the events of each time, or (T, 1) for all replicates; 0 leaves them out.
        found: (2, L) written: twice the weight of rightly ordered pairs, ties counted once; the weight of all pairs.
    """
    lanes = counts.shape[1]
    tree = np.zeros((size + 1, lanes))
    total, credit, here = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    found[:] = 0.0
    any_event = False
    for t in range(start.size - 1):
        for half in range(2):  # the events ask about earlier events; then they join; then the others ask
            first, last = (start[t], competing[t]) if half == 0 else (competing[t], start[t + 1])
            for i in range(first, last if any_event else first):
                row = patient[i]
                for lane in range(lanes):
                    credit[lane] = 2.0 * total[lane]
                both = 2.0 if below[i] == upto[i] else 1.0
                node = upto[i]
                while node > 0:
                    for lane in range(lanes):
                        credit[lane] -= both * tree[node, lane]
                    node -= node & -node
                node = below[i] if both == 1.0 else 0
                while node > 0:
                    for lane in range(lanes):
                        credit[lane] -= tree[node, lane]
                    node -= node & -node
                for lane in range(lanes):
                    found[0, lane] += counts[row, lane] * credit[lane]
                    found[1, lane] += counts[row, lane] * total[lane]
            for i in range(first, last if half == 0 else first):
                any_event = True
                row = patient[i]
                for lane in range(lanes):
                    here[lane] = counts[row, lane] * weight[t, lane % weight.shape[1]]
                    total[lane] += here[lane]
                node = upto[i]
                while node <= size:
                    for lane in range(lanes):
                        tree[node, lane] += here[lane]
                    node += node & -node


@njit(cache=True, error_model="numpy")
def still_watched_block(
    counts: NDArray[np.uint8], patient: NDArray[np.uint32], start: Whole, censored: Whole, found: Floats
) -> None:
    """Share not yet censored just before each time (Kaplan-Meier), in every replicate; events come before censorings.

    Args:
        counts: (P, L) how often each patient is in each replicate.
        patient: as in `Walk`.
        start: as in `Walk`.
        censored: as in `Walk`.
        found: (T, L) written; once everybody is gone it stays at what it was or is 0.
    """
    lanes = counts.shape[1]
    left, gone, share = np.zeros(lanes), np.zeros(lanes), np.ones(lanes)
    for i in range(patient.size):
        for lane in range(lanes):
            left[lane] += counts[patient[i], lane]
    for t in range(start.size - 1):
        for lane in range(lanes):
            found[t, lane] = share[lane]
            gone[lane] = 0.0
        for i in range(start[t], censored[t]):
            for lane in range(lanes):
                left[lane] -= counts[patient[i], lane]
        for i in range(censored[t], start[t + 1]):
            for lane in range(lanes):
                gone[lane] += counts[patient[i], lane]
        for lane in range(lanes):
            if gone[lane] > 0.0:
                share[lane] *= (left[lane] - gone[lane]) / left[lane]
                left[lane] -= gone[lane]


@njit(cache=True, error_model="numpy")
def time_dependent_block(
    counts: NDArray[np.uint8],
    patient: NDArray[np.uint32],
    tied: Whole,
    place: Whole,
    happened: NDArray[np.bool_],
    passed: Whole,
    weight: Floats,
    found: Floats,
) -> None:
    """Weighted AUROC of subjects with the event by a time against those still free of any event after it.

    Args:
        counts: (P, L) how often each patient is in each replicate.
        patient: (M,) row of the count table, best score first.
        tied: (G + 1,) where each group of equal scores begins.
        place: (M,) which of the T distinct times is the subject's.
        happened: (M,) whether the subject met the event.
        passed: (A,) how many of the distinct times are not later than each time asked for.
        weight: (T, L) of an event at each time.
        found: (A, L) written; NaN without a case or without a control.
    """
    lanes = counts.shape[1]
    cases, controls, area = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    new_cases, new_controls = np.zeros(lanes), np.zeros(lanes)
    for a in range(passed.size):
        cases[:] = 0.0
        controls[:] = 0.0
        area[:] = 0.0
        for group in range(tied.size - 1):
            new_cases[:] = 0.0
            new_controls[:] = 0.0
            for i in range(tied[group], tied[group + 1]):
                row = patient[i]
                if place[i] >= passed[a]:
                    for lane in range(lanes):
                        new_controls[lane] += counts[row, lane]
                elif happened[i]:
                    for lane in range(lanes):
                        new_cases[lane] += counts[row, lane] * weight[place[i], lane]
            for lane in range(lanes):
                area[lane] += new_controls[lane] * (cases[lane] + 0.5 * new_cases[lane])
                cases[lane] += new_cases[lane]
                controls[lane] += new_controls[lane]
        for lane in range(lanes):
            both = cases[lane] > 0.0 and controls[lane] > 0.0
            found[a, lane] = area[lane] / (cases[lane] * controls[lane]) if both else np.nan
