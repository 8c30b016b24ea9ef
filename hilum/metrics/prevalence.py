"""Findings sorted into bins by how common they are, for tables of a long tail.

A macro average over forty findings hides that the rare ones are hardly found; it is therefore also given for each bin.
The cuts are the reader's; the defaults, 1 % and 10 %, are those of the long-tailed chest film literature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

CUTS: Final = (0.01, 0.1)


@dataclass(frozen=True)
class PrevalenceBin:
    """Findings whose share of positives lies in [low, high)."""

    name: str  # "< 1 %", "1–10 %", "≥ 10 %"
    low: float
    high: float  # infinity in the last bin
    findings: tuple[int, ...]  # places of the findings, in the order given


def prevalence_bins(
    counts: ArrayLike, n: ArrayLike, cuts: Sequence[float] = CUTS
) -> tuple[tuple[PrevalenceBin, ...], tuple[int, ...]]:
    """Sort K findings into len(cuts) + 1 bins, rarest first; bins may be empty.

    Args:
        counts: (K,) images with the finding.
        n: images with a label, one number or (K,).
        cuts: rising shares inside (0, 1); a finding exactly at a cut belongs to the bin above it.

    Returns:
        The bins, and the places of findings without any label, which have no prevalence.

    Raises:
        ValueError: cuts do not rise inside (0, 1), or a count is negative or above its n.
    """
    positive = np.asarray(counts, dtype=np.float64)
    known = np.broadcast_to(np.asarray(n, dtype=np.float64), positive.shape)
    if any(not 0 < cut < 1 for cut in cuts) or any(low >= high for low, high in pairwise(cuts)):
        raise ValueError(f"prevalence cuts must rise inside (0, 1), got {tuple(cuts)}")
    if positive.ndim != 1 or (positive < 0).any() or (positive > known).any():
        raise ValueError("counts must be a vector between 0 and n")
    share = np.divide(positive, known, out=np.full(positive.shape, np.nan), where=known > 0)
    place = np.searchsorted(np.asarray(cuts, dtype=np.float64), share, side="right")
    edges = (0.0, *cuts, float("inf"))
    bins = tuple(
        PrevalenceBin(
            _name(low, high), low, high, tuple(map(int, np.flatnonzero((place == number) & ~np.isnan(share))))
        )
        for number, (low, high) in enumerate(pairwise(edges))
    )
    return bins, tuple(map(int, np.flatnonzero(np.isnan(share))))


def _name(low: float, high: float) -> str:
    if low == 0:
        return "all" if high == float("inf") else f"< {100 * high:g} %"
    return f"≥ {100 * low:g} %" if high == float("inf") else f"{100 * low:g}–{100 * high:g} %"
