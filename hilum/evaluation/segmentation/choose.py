"""Where probability becomes a mask: threshold and smallest area of each finding, chosen on validation films.

The threshold is that with the highest Dice over the pixels of all films together, which neither rewards drawing
nothing nor forgives drawing on films without the finding. The smallest area is then that with the highest Dice over all
films (a film without the finding scores 1 if nothing is drawn), among those that cost films with it at most `PRICE`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.segmentation import Pixels, dice_all, dice_pooled, dice_positive

Floats = NDArray[np.float64]

THRESHOLDS: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))  # 0.05, 0.1, ... 0.95
AREAS: Final = (0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # shares of a film's known pixels
HALF: Final = 0.5
PRICE: Final = 0.01  # Dice over films with the finding that the smallest area may cost


@dataclass(frozen=True)
class Sweep:
    """Pixels drawn on N films at every threshold, K findings."""

    both: Floats  # (N, K, T); NaN where the mask is unknown
    drawn: Floats  # (N, K, T)
    true: Floats  # (N, K)
    known: Floats  # (N, K)

    def at(self, finding: int, threshold: float, area: float = 0.0) -> Pixels:
        """Pixels of the films on which a finding is known; drawings smaller than `area` are wiped out."""
        place = THRESHOLDS.index(threshold)
        rows = ~np.isnan(self.true[:, finding])
        both, drawn = self.both[rows, finding, place], self.drawn[rows, finding, place]
        known = self.known[rows, finding]
        kept = drawn >= area * known
        return Pixels(np.where(kept, both, 0.0), np.where(kept, drawn, 0.0), self.true[rows, finding], known)


@dataclass(frozen=True)
class Cut:
    """How one finding's probabilities become a mask."""

    threshold: float = HALF  # a pixel at or above it is drawn
    area: float = 0.0  # drawings smaller than this share of the film are wiped out
    note: str = ""  # why nothing could be chosen

    def mask(self, probability: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(H, W) in [0, 1] -> (H, W) bool."""
        drawn: NDArray[np.bool_] = probability >= self.threshold
        return drawn if drawn.sum() >= self.area * drawn.size else np.zeros_like(drawn)


def count_film(probability: NDArray[np.floating], truth: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats, Floats]:
    """One film's row of a `Sweep`: (K, H, W) in [0, 1] and (K, H, W) of 0, 1, 255 -> both, drawn, true, known."""
    count, bins = len(probability), len(THRESHOLDS)
    both, drawn = np.full((count, bins), np.nan), np.full((count, bins), np.nan)
    true, known = np.full(count, np.nan), np.full(count, np.nan)
    edges = np.array(THRESHOLDS, dtype=np.float32)
    for k in range(count):
        seen = truth[k] <= 1
        if not seen.any():
            continue
        passed = np.searchsorted(edges, probability[k][seen].astype(np.float32), side="right")
        inside = truth[k][seen] == 1
        drawn[k], both[k] = (_from_above(part, bins) for part in (passed, passed[inside]))
        true[k], known[k] = inside.sum(), seen.sum()
    return both, drawn, true, known


def joined(rows: Sequence[tuple[Floats, Floats, Floats, Floats]]) -> Sweep:
    """Rows of `count_film`, one a film."""
    both, drawn, true, known = (np.stack(parts) for parts in zip(*rows, strict=True))
    return Sweep(both, drawn, true, known)


def best_pooled(sweep: Sweep, finding: int) -> tuple[float, float] | None:
    """(pooled Dice, threshold) at the best threshold, of several the one nearest to 0.5; None without the finding."""
    return _best(sweep, finding, lambda pixels: dice_pooled(pixels) or 0.0)


def best_positive(sweep: Sweep, finding: int) -> tuple[float, float] | None:
    """The same for the mean Dice over films that have the finding."""
    return _best(sweep, finding, lambda pixels: float(np.nanmean(dice_positive(pixels))))


def _best(sweep: Sweep, finding: int, score: Callable[[Pixels], float]) -> tuple[float, float] | None:
    if not (sweep.true[:, finding] > 0).any():
        return None
    values = {at: score(sweep.at(finding, at)) for at in THRESHOLDS}
    best = max(values, key=lambda at: (round(values[at], 12), -abs(at - HALF)))
    return values[best], best


def choose_cut(sweep: Sweep, finding: int) -> Cut:
    """Threshold and smallest area of a finding."""
    best = best_pooled(sweep, finding)
    if best is None:
        return Cut(note="no validation film has a mask of it: 0.5 and no smallest area")
    threshold = best[1]
    value = float(np.nanmean(dice_positive(sweep.at(finding, threshold))))
    scores = {}
    for area in AREAS:
        pixels = sweep.at(finding, threshold, area)
        if float(np.nanmean(dice_positive(pixels))) >= value - PRICE:
            scores[area] = float(dice_all(pixels).mean())
    return Cut(threshold, max(scores, key=lambda area: (round(scores[area], 12), -area)))


def _from_above(passed: NDArray[np.intp], bins: int) -> Floats:
    """How many pixels reach each threshold, of how many thresholds each pixel passed."""
    return np.bincount(passed, minlength=bins + 1)[::-1].cumsum()[::-1][1:].astype(np.float64)
