"""Random swaps of two models' answers, and what they do to AUROC and AUPRC, fast.

Both models' scores of one finding stand in one order, sorted once. A swap only says which of an image's two entries
counts for the first model. Let s = +1 for a patient left alone and -1 for one swapped.

AUROC. AUROC(first) - AUROC(second) is a sum over the rightly ordered pairs (positive p, negative q) of pooled entries,
ties one half, with weight +1 where both count for the first model, -1 where both count for the second and 0 otherwise.
With t = +1 for entries of the first model and -1 for those of the second, the weight is (t_p s_p + t_q s_q) / 2: linear
in s. So what a patient's entries gain adds up to one number, and all permutations are one matrix product (Bandos,
Rockette and Gur 2005).

AUPRC is not linear: precision divides by what has been passed. There the pooled order is walked once with `LANES`
permutations side by side, as in `replicates.py`; what counts for the second model is what has been passed in all, less
what counts for the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hilum.metrics.cores import on_all_cores
from hilum.metrics.replicates import LANES

Floats = NDArray[np.float64]


class PooledOrder(NamedTuple):
    """Both models' entries of one finding, highest first, positives first among equals; M = 2 images."""

    patient: NDArray[np.uint32]  # (M,) row of the swap table
    second: NDArray[np.uint8]  # (M,) 1 where the entry is the second model's
    start: NDArray[np.int64]  # (G + 1,) where each group of equal scores begins; the last entry is M
    middle: NDArray[np.int64]  # (G,) where the group's negatives begin


def pool(positive: NDArray[np.bool_], first: Floats, second: Floats, patient: NDArray[Any]) -> PooledOrder:
    """Sort both models' scores of one finding into one order; all inputs (N,), the result does not depend on order."""
    score, both = np.concatenate([first, second]), np.concatenate([positive, positive])
    side = np.repeat(np.array([0, 1], dtype=np.uint8), positive.size)
    order = np.lexsort((~both, -score))
    score, both = score[order], both[order]
    start = np.flatnonzero(np.concatenate(([True], score[1:] != score[:-1])))
    middle = start + np.add.reduceat(both.astype(np.int64), start)
    rows = np.concatenate([patient, patient])[order].astype(np.uint32)
    return PooledOrder(rows, side[order], np.append(start, score.size), middle)


def swap_blocks(n_patients: int, permutations: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Coins for `LANES` permutations at a time: 1 where a patient's two answers are swapped.

    Permutation r depends on (n_patients, seed, r) only: asking for more adds permutations and changes none.

    Yields:
        (n_patients, LANES); columns beyond `permutations` in the last block are zero.
    """
    rng = np.random.default_rng(seed)
    for first in range(0, permutations, LANES):
        lanes = min(LANES, permutations - first)
        swaps = np.zeros((n_patients, LANES), dtype=np.uint8)
        swaps[:, :lanes] = rng.integers(2, size=(lanes, n_patients), dtype=np.uint8).T
        yield swaps


def ranking_gaps(orders: Sequence[PooledOrder], n_patients: int, permutations: int, seed: int) -> Floats:
    """AUROC(first) - AUROC(second) of K findings in every permutation -> (K, permutations)."""
    gains, pairs = zip(*(_gains(order, n_patients) for order in orders), strict=True)
    return sign_gaps(np.stack(gains), permutations, seed) / np.array(pairs, dtype=np.float64)[:, None]


def sign_gaps(gains: Floats, permutations: int, seed: int) -> Floats:
    """Sums of gains (K, P) with the signs that the swaps give them -> (K, permutations)."""
    total = gains.sum(axis=1, keepdims=True)
    parts = [
        total - 2 * (gains @ swaps.astype(np.float64)) for swaps in swap_blocks(gains.shape[1], permutations, seed)
    ]
    return np.concatenate(parts, axis=1)[:, :permutations]


def precision_gaps(orders: Sequence[PooledOrder], n_patients: int, permutations: int, seed: int) -> Floats:
    """AUPRC(first) - AUPRC(second) of K findings in every permutation -> (K, permutations)."""
    found = np.empty((len(orders), permutations))
    for block, swaps in enumerate(swap_blocks(n_patients, permutations, seed)):
        here = slice(block * LANES, min((block + 1) * LANES, permutations))

        def walk(order: PooledOrder, swaps: NDArray[np.uint8] = swaps) -> Floats:
            gap = np.empty(LANES)
            precision_block(swaps, *order, gap)
            return gap

        found[:, here] = np.stack(on_all_cores(walk, orders))[:, : here.stop - here.start]
    return found


def _gains(order: PooledOrder, n_patients: int) -> tuple[Floats, int]:
    """What each patient adds to the difference when left alone (P,), in whole numbers, and the number to divide by."""
    sizes = np.diff(order.start)
    new_tp = order.middle - order.start[:-1]
    new_fp = sizes - new_tp
    fp_above, tp_above = np.cumsum(new_fp) - new_fp, np.cumsum(new_tp) - new_tp
    # twice the number of entries of the other class, of both models, that an entry forms a right pair with
    below = 2 * (int(new_fp.sum()) - fp_above) - new_fp
    above = 2 * tp_above + new_tp
    group = np.repeat(np.arange(sizes.size), sizes)
    is_positive = np.arange(order.patient.size) < order.middle[group]
    right = np.where(is_positive, below[group], above[group])
    signed = np.where(order.second == 1, -right, right)
    gains = np.bincount(order.patient, weights=signed.astype(np.float64), minlength=n_patients)
    # pooled pairs = 4 x the pairs of one model, and twice and half cancel
    return gains.astype(np.float64, copy=False), int(new_tp.sum()) * int(new_fp.sum())


@njit(cache=True, nogil=True, error_model="numpy")
def precision_block(
    swaps: NDArray[np.uint8],
    patient: NDArray[np.uint32],
    second: NDArray[np.uint8],
    start: NDArray[np.int64],
    middle: NDArray[np.int64],
    gap: NDArray[np.float64],
) -> None:
    """Average precision of the first minus that of the second model of one finding, in `LANES` permutations.

    Args:
        swaps: (P, LANES) 1 where a patient's answers are swapped.
        patient: as in `PooledOrder`.
        second: as in `PooledOrder`.
        start: as in `PooledOrder`.
        middle: as in `PooledOrder`.
        gap: (LANES,) written.
    """
    tp = np.zeros(LANES, dtype=np.int32)  # passed and counted for the second model
    fp = np.zeros(LANES, dtype=np.int32)
    new_tp = np.zeros(LANES, dtype=np.int32)
    steps = np.zeros(LANES)
    all_tp, all_fp = 0, 0  # passed, of both models: the same in every lane
    for group in range(middle.size):
        begin, mid, end = start[group], middle[group], start[group + 1]
        for i in range(mid, end):
            row, side = patient[i], second[i]
            for lane in range(LANES):
                fp[lane] += swaps[row, lane] ^ side
        all_fp += end - mid
        if begin == mid:
            continue
        new_tp[:] = 0
        for i in range(begin, mid):
            row, side = patient[i], second[i]
            for lane in range(LANES):
                new_tp[lane] += swaps[row, lane] ^ side
        new = mid - begin
        all_tp += new
        for lane in range(LANES):
            tp[lane] += new_tp[lane]
            theirs = float(tp[lane]) / float(max(tp[lane] + fp[lane], 1))
            first_tp, first_fp = all_tp - tp[lane], all_fp - fp[lane]
            ours = float(first_tp) / float(max(first_tp + first_fp, 1))
            steps[lane] += float(new - new_tp[lane]) * ours - float(new_tp[lane]) * theirs
    for lane in range(LANES):
        gap[lane] = steps[lane] / (all_tp / 2)
