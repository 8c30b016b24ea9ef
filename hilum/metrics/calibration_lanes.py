"""ECE and Brier score of one finding in many replicates at once: the partner of `replicates.rank_block`.

Films are sorted once, lowest score first; `LANES` replicates walk the order side by side. A replicate has its own
equally filled bins, because it has its own films: a bin closes at the end of the group of equal scores that holds its
last film, exactly as in `calibration.reliability_curve`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hilum.metrics.replicates import LANES

Floats = NDArray[np.float64]


class Rising(NamedTuple):
    """One finding's judged images, lowest probability first, negatives first among equals."""

    patient: NDArray[np.uint32]  # (M,) row of the count table
    positive: NDArray[np.uint8]  # (M,)
    score: Floats  # (M,) probabilities
    last: NDArray[np.bool_]  # (M,) whether a group of equal scores ends here


def sort_rising(positive: NDArray[np.bool_], score: Floats, patient: NDArray[Any]) -> Rising:
    """Sort one finding's judged images for `calibration_block`; all inputs (M,)."""
    order = np.lexsort((patient, positive, score))  # among equals too: sums of fractions depend on their order
    score = score[order]
    last = np.append(score[1:] != score[:-1], True)
    return Rising(patient[order].astype(np.uint32), positive[order].astype(np.uint8), score, last)


@njit(cache=True, nogil=True, error_model="numpy")
def calibration_block(
    counts: NDArray[np.uint8],
    patient: NDArray[np.uint32],
    positive: NDArray[np.uint8],
    score: Floats,
    last: NDArray[np.bool_],
    bins: int,
    ece: Floats,
    brier: Floats,
) -> None:
    """ECE with equally filled bins and Brier score of one finding in `LANES` replicates.

    Args:
        counts: (P, LANES) how often each patient is in each replicate.
        patient: as in `Rising`.
        positive: as in `Rising`.
        score: as in `Rising`.
        last: as in `Rising`.
        bins: how many bins at most.
        ece: (LANES,) written; NaN where the replicate is empty.
        brier: (LANES,) written likewise.
    """
    total = np.zeros(LANES, dtype=np.int32)
    for i in range(patient.size):
        row = patient[i]
        for lane in range(LANES):
            total[lane] += counts[row, lane]
    films = np.zeros(LANES, dtype=np.int32)
    excess = np.zeros(LANES)  # sum of (label - probability) since the last bin closed
    gaps = np.zeros(LANES)
    squares = np.zeros(LANES)
    bin_of = np.ones(LANES, dtype=np.int64)
    close_after = np.empty(LANES, dtype=np.int32)  # a bin closes once more films than this have passed
    for lane in range(LANES):
        close_after[lane] = (total[lane] - 1) // bins
    for i in range(patient.size):
        row = patient[i]
        off = float(positive[i]) - score[i]
        square = off * off
        for lane in range(LANES):
            films[lane] += counts[row, lane]
            count = np.float64(np.int32(counts[row, lane]))
            excess[lane] += count * off
            squares[lane] += count * square
        if not last[i]:
            continue
        closing = 0
        for lane in range(LANES):
            closing += films[lane] > close_after[lane]
        if closing == 0:
            continue
        for lane in range(LANES):
            if films[lane] > close_after[lane]:
                gaps[lane] += abs(excess[lane])
                excess[lane] = 0.0
                while bin_of[lane] < bins and films[lane] > close_after[lane]:
                    bin_of[lane] += 1
                    close_after[lane] = bin_of[lane] * (total[lane] - 1) // bins
                if bin_of[lane] == bins:
                    close_after[lane] = total[lane]
    for lane in range(LANES):
        if total[lane] > 0:
            ece[lane] = (gaps[lane] + abs(excess[lane])) / total[lane]
            brier[lane] = squares[lane] / total[lane]
        else:
            ece[lane] = np.nan
            brier[lane] = np.nan
