"""Bootstrap replicates as counts: draw patients, then rank every replicate of a finding in one compiled pass.

A bootstrap sample of patients is nothing but a count per patient (how often it was drawn), and an image
counts as often as its patient. So scores are sorted once per finding, and a replicate is a walk down that
order which adds counts. `LANES` replicates walk side by side: their counts lie next to each other in memory
(patient, lane), which turns the inner loop into a few vector instructions. Negatives only add to a running
sum; areas are updated at positives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

LANES: Final = 64  # replicates ranked side by side: one cache line of one-byte counts


class Sorted(NamedTuple):
    """One finding's judged images, best score first, positives first among equals; groups of equal scores."""

    patient: NDArray[np.uint32]  # (M,) row of the count table
    start: NDArray[np.int64]  # (G + 1,) where each group begins; the last entry is M
    middle: NDArray[np.int64]  # (G,) where the group's negatives begin


def sort_finding(positive: NDArray[np.bool_], score: NDArray[np.float64], patient: NDArray[Any]) -> Sorted:
    """Sort one finding's judged images for `rank_block`; all inputs (M,)."""
    order = np.lexsort((~positive, -score))
    score, positive = score[order], positive[order]
    start = np.flatnonzero(np.concatenate(([True], score[1:] != score[:-1])))
    middle = start + np.add.reduceat(positive.astype(np.int64), start)
    return Sorted(patient[order].astype(np.uint32), np.append(start, score.size), middle)


def draw_blocks(n_patients: int, draws: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Draw patients with replacement, `LANES` replicates at a time.

    Replicate r depends on (n_patients, seed, r) only: asking for more draws adds replicates and changes none.

    Yields:
        (n_patients, LANES) counts; a column sums to n_patients. Columns beyond `draws` in the last block are
        zero.
    """
    rng = np.random.default_rng(seed)
    for first in range(0, draws if n_patients else 0, LANES):
        lanes = min(LANES, draws - first)
        drawn = rng.integers(n_patients, size=(lanes, n_patients), dtype=np.uint32)
        counts = np.zeros((n_patients, LANES), dtype=np.uint8)
        add_draws(drawn, counts)
        yield counts


# A patient's count is Poisson(1) for many patients and at most n_patients for few: one byte never overflows.
@njit(cache=True)
def add_draws(drawn: NDArray[np.uint32], counts: NDArray[np.uint8]) -> None:
    """Count in place: drawn (lanes, P) patient rows -> counts (P, LANES)."""
    for lane in range(drawn.shape[0]):
        for i in range(drawn.shape[1]):
            counts[drawn[lane, i], lane] += np.uint8(1)


@njit(cache=True, nogil=True, error_model="numpy")
def rank_block(
    counts: NDArray[np.uint8],
    patient: NDArray[np.uint32],
    start: NDArray[np.int64],
    middle: NDArray[np.int64],
    auroc: NDArray[np.float64],
    precision: NDArray[np.float64],
) -> None:
    """AUROC and average precision of one finding in `LANES` replicates.

    Args:
        counts: (P, LANES) how often each patient is in each replicate.
        patient: as in `Sorted`.
        start: as in `Sorted`.
        middle: as in `Sorted`.
        auroc: (LANES,) written; NaN where the replicate lacks a class.
        precision: (LANES,) written likewise.
    """
    tp = np.zeros(LANES, dtype=np.int32)
    fp = np.zeros(LANES, dtype=np.int32)
    new_tp = np.zeros(LANES, dtype=np.int32)
    new_fp = np.zeros(LANES, dtype=np.int32)
    wrong = np.zeros(LANES)  # twice the number of pairs in the wrong order, ties counted one half
    steps = np.zeros(LANES)  # sum of precision x new positives
    for group in range(middle.size):
        begin, mid, end = start[group], middle[group], start[group + 1]
        if begin == mid:  # negatives only: nothing is added to an area
            for i in range(mid, end):
                row = patient[i]
                for lane in range(LANES):
                    fp[lane] += counts[row, lane]
            continue
        new_tp[:] = 0
        new_fp[:] = 0
        for i in range(begin, mid):
            row = patient[i]
            for lane in range(LANES):
                new_tp[lane] += counts[row, lane]
        for i in range(mid, end):
            row = patient[i]
            for lane in range(LANES):
                new_fp[lane] += counts[row, lane]
        for lane in range(LANES):
            wrong[lane] += float(new_tp[lane]) * float(2 * fp[lane] + new_fp[lane])
            tp[lane] += new_tp[lane]
            fp[lane] += new_fp[lane]
            steps[lane] += float(new_tp[lane]) * float(tp[lane]) / float(max(tp[lane] + fp[lane], 1))
    for lane in range(LANES):
        if tp[lane] > 0 and fp[lane] > 0:
            auroc[lane] = 1.0 - wrong[lane] / (2.0 * float(tp[lane]) * float(fp[lane]))
            precision[lane] = steps[lane] / float(tp[lane])
        else:
            auroc[lane] = np.nan
            precision[lane] = np.nan
