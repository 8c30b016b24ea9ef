"""Average precision, recall and sensitivity of images that count several times: one bootstrap replicate a lane.

A replicate in which a patient was drawn twice is a data set in which his images stand twice. Its found boxes need not
be matched or sorted again: each counts as often as its patient. Along the order of scores precision rises during a run
of equal hits and falls during a run of equal misses, so the interpolated precision is decided at the last one of each
run of hits, and one walk down the order gives all replicates exactly.

Average precision is COCO's: the mean over the recalls 0, 0.01, ... 1 of the largest precision at that recall or more.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hilum.metrics.detection.matching import Ranked

Floats = NDArray[np.float64]

RECALLS: Final = np.linspace(0.0, 1.0, 101)
RATES: Final = (0.25, 0.5, 1.0)  # false positives an image


class Rated(NamedTuple):
    """Numbers of each lane; NaN where no true box was drawn."""

    precision: Floats  # (T, L) average precision at each threshold of the IoU
    recall: Floats  # (T, L) share of true boxes hit
    sensitivity: Floats  # (R, L) share hit at the first threshold, with at most so many false positives an image


def rate(ranked: Ranked, patient: NDArray[np.int64], counts: NDArray[np.uint8], rates: Floats) -> Rated:
    """Rate one category in several replicates at once.

    Args:
        ranked: its boxes, matched and sorted.
        patient: (N,) row of each image's patient in `counts`.
        counts: (P, L) how often each patient counts.
        rates: (R,) false positives an image that are allowed.
    """
    lanes, thresholds = counts.shape[1], ranked.hits.shape[1]
    boxes = ranked.positives.astype(np.float64) @ counts[patient].astype(np.float64)
    images = np.bincount(patient, minlength=len(counts)).astype(np.float64) @ counts.astype(np.float64)
    ends = np.append(ranked.score[1:] != ranked.score[:-1], True)[: ranked.score.size]
    precision, recall, sensitivity = (np.full((rows, lanes), np.nan) for rows in (thresholds, thresholds, rates.size))
    owner = patient[ranked.image]
    rate_block(counts, owner, ranked.hits, ends, boxes, images, rates, precision, recall, sensitivity)
    return Rated(precision, recall, sensitivity)


@njit(cache=True, error_model="numpy")
def rate_block(
    counts: NDArray[np.uint8],
    owner: NDArray[np.int64],
    hits: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    boxes: Floats,
    images: Floats,
    rates: Floats,
    precision: Floats,
    recall: Floats,
    sensitivity: Floats,
) -> None:
    """Walk down the order once and write `precision`, `recall` and `sensitivity`.

    Args:
        counts: (P, L).
        owner: (D,) patient of each found box, best score first.
        hits: (D, T).
        ends: (D,) whether the next box has another score.
        boxes: (L,) true boxes of each lane.
        images: (L,) images of each lane.
        rates: (R,).
        precision: (T, L) written; NaN stays where a lane has no true box.
        recall: (T, L) likewise.
        sensitivity: (R, L) likewise.
    """
    lanes = counts.shape[1]
    kept = np.zeros(hits.shape[0], np.int64)  # boxes that hit anything at any threshold
    rows = 0
    for d in range(hits.shape[0]):
        if hits[d].any():
            kept[rows] = d
            rows += 1
    passed = np.zeros((rows, lanes))  # boxes drawn up to and with a kept one
    total = np.zeros(lanes)
    hit = np.zeros(lanes)  # at the first threshold
    reached = np.zeros((rates.size, lanes))
    row = 0
    for d in range(hits.shape[0]):
        for lane in range(lanes):
            total[lane] += counts[owner[d], lane]
        if hits[d, 0]:
            for lane in range(lanes):
                hit[lane] += counts[owner[d], lane]
        if row < rows and kept[row] == d:
            passed[row] = total
            row += 1
        if ends[d]:
            for r in range(rates.size):
                for lane in range(lanes):
                    if total[lane] - hit[lane] <= rates[r] * images[lane] + 1e-9:
                        reached[r, lane] = hit[lane]
    for lane in range(lanes):
        if boxes[lane] > 0:
            for r in range(rates.size):
                sensitivity[r, lane] = reached[r, lane] / boxes[lane]
            for t in range(hits.shape[1]):
                found = walk_back(counts, owner, hits, kept[:rows], passed, boxes[lane], lane, t)
                precision[t, lane], recall[t, lane] = found


@njit(cache=True, error_model="numpy")
def walk_back(
    counts: NDArray[np.uint8],
    owner: NDArray[np.int64],
    hits: NDArray[np.bool_],
    kept: NDArray[np.int64],
    passed: Floats,
    boxes: float,
    lane: int,
    threshold: int,
) -> tuple[float, float]:
    """Average precision and recall of one lane at one threshold, from the worst hit to the best."""
    tp = 0.0
    for d in kept:
        if hits[d, threshold]:
            tp += counts[owner[d], lane]
    reached = tp / boxes
    level = RECALLS.size - 1
    while level >= 0 and RECALLS[level] > reached:
        level -= 1
    best, area = 0.0, 0.0
    for row in range(kept.size - 1, -1, -1):
        weight = float(counts[owner[kept[row]], lane])
        if weight == 0 or not hits[kept[row], threshold]:
            continue
        best = max(best, tp / (passed[row, lane] + 2.220446049250313e-16))
        tp -= weight
        while level >= 0 and RECALLS[level] > tp / boxes:
            area += best
            level -= 1
    return (area + best * (level + 1)) / RECALLS.size, reached  # what is left is recall 0
