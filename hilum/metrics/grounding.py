"""Does a heat map lie on the box? Overlap at thresholds, contrast to noise, and the pointing game.

Definitions as in BioViL (https://arxiv.org/abs/2204.09817, section 4) and MaCo (https://arxiv.org/abs/2309.05904, its
released evaluation): mIoU is the mean of the IoU at the thresholds 0.1, 0.2, 0.3, 0.4, 0.5; CNR is (mean inside - mean
outside) / sqrt(variance inside + variance outside) with population variances, signed.

Departures: where a map is empty (nothing above the threshold) the release has NaN, which then spoils the mean over all
films; here it scores 0 unless asked otherwise. Pixels without a value (NaN: a part of the film the encoder did not
see) count as background in the overlap only if asked, see `overlap`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Empty = Literal["zero", "undefined"]

THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5)
ROUNDING: Final = 1e-6  # a map whose values differ by less than this share of their size is constant: float32 noise


class Overlap(NamedTuple):
    """Overlap of one map with one mask, a number a threshold; all (T,)."""

    iou: Floats
    dice: Floats
    empty: Mask  # nothing is above this threshold


def min_max(heat: Floats, low: float = -1.0, high: float = 1.0) -> Floats:
    """Scale a map to [low, high] over its pixels that have a value; a constant map becomes `low`: it points nowhere.

    Args:
        heat: (H, W), NaN where there is no value.
        low: what the smallest value becomes.
        high: what the largest value becomes.
    """
    if is_constant(heat):
        return np.where(np.isnan(heat), np.nan, low)
    bottom, top = _range(heat)
    scaled: Floats = (heat - bottom) / (top - bottom) * (high - low) + low
    return scaled


def is_constant(heat: Floats) -> bool:
    """Whether a map says the same everywhere, but for rounding, which scaling would blow up to a map."""
    bottom, top = _range(heat)
    return not top - bottom > ROUNDING * max(abs(bottom), abs(top))  # also true of a map without any value


def overlap(
    heat: Floats, mask: Mask, thresholds: tuple[float, ...] = THRESHOLDS, *, empty: Empty = "zero", unseen: bool = False
) -> Overlap:
    """Intersection over union, and Dice, of {heat > threshold} with the mask.

    Args:
        heat: (H, W), NaN where there is no value.
        mask: (H, W) true inside the boxes; boxes that overlap are a union.
        thresholds: strict: a pixel at the threshold is not part of the prediction.
        empty: what a map with nothing above the threshold scores: 0, or NaN as released. A mask without a pixel
            is always NaN.
        unseen: count pixels of the mask without a value as missed; the release leaves them out.
    """
    inside = heat[mask]
    true = inside.size if unseen else int(np.count_nonzero(~np.isnan(inside)))
    both, predicted = (np.array([np.count_nonzero(part > t) for t in thresholds]) for part in (inside, heat))
    nothing = predicted == 0
    if not true:
        blank = np.full(len(thresholds), np.nan)
        return Overlap(blank, blank.copy(), nothing)
    iou, dice = both / (predicted + true - both), 2 * both / (predicted + true)
    if empty == "undefined":
        iou, dice = (np.where(nothing, np.nan, score) for score in (iou, dice))
    return Overlap(iou, dice, nothing)


def contrast_to_noise(heat: Floats, mask: Mask) -> float | None:
    """(mean inside - mean outside) / sqrt(var inside + var outside), signed; 0 for a constant map.

    Args:
        heat: (H, W), NaN where there is no value.
        mask: (H, W) true inside the boxes.

    Returns:
        The ratio; None where there is no inside, no outside, or a contrast without any noise.
    """
    inside, outside = (part[~np.isnan(part)] for part in (heat[mask], heat[~mask]))
    if not (inside.size and outside.size):
        return None
    if is_constant(heat):
        return 0.0
    contrast, noise = float(inside.mean() - outside.mean()), float(inside.var() + outside.var())
    return contrast / float(np.sqrt(noise)) if noise > 0 else None


def pointing_game(heat: Floats, mask: Mask, *, maxima: Literal["share", "any"] = "share") -> float:
    """Is the hottest pixel inside the box?

    Args:
        heat: (H, W), NaN where there is no value.
        mask: (H, W) true inside the boxes.
        maxima: of several hottest pixels, the share inside (what one of them drawn at random scores), or 1 where
            any is inside, as released. A constant map points nowhere and scores 0 by the first rule.

    Returns:
        In [0, 1].
    """
    hottest = heat == _range(heat)[1]  # never true of NaN
    if maxima == "any":
        return float((hottest & mask).any())
    return 0.0 if is_constant(heat) else float((hottest & mask).sum() / hottest.sum())


def _range(heat: Floats) -> tuple[float, float]:
    """Smallest and largest value, NaN left out; NaN where there is nothing else."""
    return float(np.fmin.reduce(heat, axis=None)), float(np.fmax.reduce(heat, axis=None))
