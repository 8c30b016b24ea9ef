"""Which patches of a crop the student does not see: rectangles, until enough are covered; and how many are enough.

Papers: BEiT https://arxiv.org/abs/2106.08254, algorithm 1 (block-wise masking); iBOT https://arxiv.org/abs/2111.07832,
    section 3.3; DINOv2 https://arxiv.org/abs/2304.07193. Facts checked against RPIDIAL/CheXFound at a4bac49, nothing
    copied; the order of draws is the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

TRIES = 10  # rectangles drawn before a mask is left with fewer patches than asked


def block_mask(
    grid: tuple[int, int],
    count: int,
    rng: np.random.Generator,
    *,
    smallest: int = 4,
    largest: float | None = None,
    aspect: tuple[float, float] = (0.3, 1 / 0.3),
) -> npt.NDArray[np.bool_]:
    """Cover `count` patches with rectangles, or a few less where none fits any more.

    Args:
        grid: rows and columns of patches.
        count: how many to mask at most, 0 or more.
        rng: draws, for each rectangle tried, area, aspect, top and left.
        smallest: least area drawn, in patches.
        largest: greatest area drawn and greatest number of patches that one rectangle adds; None: half of the grid.
        aspect: range of height / width, uniform in its logarithm.

    Returns:
        (rows, cols) True where masked, never more than `count`.
    """
    mask = np.zeros(grid, dtype=np.bool_)
    limit = grid[0] * grid[1] / 2 if largest is None else largest
    while (missing := count - int(mask.sum())) > 0:
        room = min(missing, limit)
        for _ in range(TRIES):
            block = _block(grid, rng, (smallest, room), aspect)
            if block is not None and 0 < int((~mask[block]).sum()) <= room:
                mask[block] = True
                break
        else:
            break
    return mask


def _block(
    grid: tuple[int, int], rng: np.random.Generator, area: tuple[float, float], aspect: tuple[float, float]
) -> tuple[slice, slice] | None:
    """Draw one rectangle smaller than the grid in both directions; None, without a place, if it is not."""
    patches = area[0] + (area[1] - area[0]) * rng.random()  # the second may be the smaller: still between the two
    low, high = math.log(aspect[0]), math.log(aspect[1])
    ratio = math.exp(low + (high - low) * rng.random())
    height, width = round(math.sqrt(patches * ratio)), round(math.sqrt(patches / ratio))
    if height >= grid[0] or width >= grid[1]:
        return None
    top = int(rng.integers(0, grid[0] - height, endpoint=True))
    left = int(rng.integers(0, grid[1] - width, endpoint=True))
    return slice(top, top + height), slice(left, left + width)


def mask_counts(
    rng: np.random.Generator, crops: int, patches: int, *, probability: float, ratio: tuple[float, float]
) -> npt.NDArray[np.int64]:
    """How many patches each global crop of a batch loses.

    Args:
        rng: draws a share for each masked crop, then their order.
        crops: global crops of the batch.
        patches: of a crop.
        probability: share of the crops that are masked, in [0, 1]; int(crops * probability) of them.
        ratio: range of the share of patches masked, within [0, 1].

    Returns:
        (crops,) in an order drawn; 0 for a crop that stays whole.
    """
    masked = int(crops * probability)
    counts = np.zeros(crops, dtype=np.int64)
    counts[:masked] = list(stratified_counts(rng, masked, patches, ratio))
    rng.shuffle(counts)
    return counts


def stratified_counts(rng: np.random.Generator, masked: int, patches: int, ratio: tuple[float, float]) -> Iterator[int]:
    """Patches to mask in each of `masked` crops: a share of each of as many equal parts of `ratio`, drawn on demand."""
    edges = np.linspace(*ratio, masked + 1)
    for low, high in pairwise(edges.tolist()):
        yield int(patches * (low + (high - low) * rng.random()))
