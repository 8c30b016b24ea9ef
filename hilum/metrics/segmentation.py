"""Does a drawn mask lie on the true one? Dice in every convention, IoU, and the distance between the outlines.

Published Dice scores differ first in what a film without the finding scores, so they are given side by side:

    dice_all       mean over all films; a film without the finding scores 1 if nothing is drawn on it, else 0 (the
                   "medDice" of MRM's and MaCo's released evaluation, and what MedIM's harness counts)
    dice_positive  mean over films with the finding alone
    dice_pooled    one Dice over the pixels of all films together
    dice_classes   mean of the pooled Dice of the finding and of the background (mmsegmentation's mDice)

Dice 1945 (https://doi.org/10.2307/1932409); surface distances: Huttenlocher et al. 1993, here the 95th percentile of
the distances from either outline to the other, the larger of the two. A value that is undefined is NaN in an array of
films (they have none) and None with a reason in an `Estimate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from hilum.metrics.estimate import Difference, Estimate, percentile_interval, two_sided_share
from hilum.metrics.replicates import draw_blocks
from hilum.metrics.resample import ONE_PATIENT

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PERCENTILE: Final = 95.0
NO_POSITIVE: Final = "no film has the finding"


class Pixels(NamedTuple):
    """Pixels of N pairs of masks; all (N,) whole numbers as float64."""

    both: Floats  # drawn and true
    drawn: Floats
    true: Floats
    known: Floats  # of the film whose truth is known

    def nothing(self) -> Pixels:
        """The same films with nothing drawn on any: the score to beat."""
        zero = np.zeros_like(self.both)
        return Pixels(zero, zero.copy(), self.true, self.known)

    def rows(self, keep: NDArray[Any]) -> Pixels:
        """Some films."""
        return Pixels(*(column[keep] for column in self))


def count_pixels(drawn: Mask, true: Mask, known: Mask | None = None) -> tuple[int, int, int, int]:
    """(both, drawn, true, known) of one film, (H, W) bool each; pixels whose truth is unknown count nowhere.

    Raises:
        ValueError: masks of different sizes.
    """
    if drawn.shape != true.shape:
        raise ValueError(f"masks of different sizes: {drawn.shape} and {true.shape}")
    if known is not None:
        drawn, true = drawn & known, true & known
    seen = drawn.size if known is None else int(known.sum())
    return int((drawn & true).sum()), int(drawn.sum()), int(true.sum()), seen


def dice_all(pixels: Pixels) -> Floats:
    """Dice of each film in [0, 1]; without the finding 1 if nothing is drawn, else 0."""
    dice = _ratio(2 * pixels.both, pixels.drawn + pixels.true)
    return np.where(pixels.true > 0, dice, (pixels.drawn == 0).astype(np.float64))


def dice_positive(pixels: Pixels) -> Floats:
    """Dice of each film with the finding in [0, 1]; NaN for a film without it."""
    return np.where(pixels.true > 0, _ratio(2 * pixels.both, pixels.drawn + pixels.true), np.nan)


def iou_positive(pixels: Pixels) -> Floats:
    """Intersection over union of each film with the finding in [0, 1]; NaN for a film without it."""
    return np.where(pixels.true > 0, _ratio(pixels.both, pixels.drawn + pixels.true - pixels.both), np.nan)


def dice_pooled(pixels: Pixels) -> float | None:
    """One Dice over the pixels of all films; None where nothing is drawn and nothing is true."""
    return _or_none(_pooled(np.array([column.sum() for column in pixels])[:, None])[0])


def dice_classes(pixels: Pixels) -> float | None:
    """Mean of the pooled Dice of finding and background; a class that is in neither is left out, None without any."""
    return _or_none(_classes(np.array([column.sum() for column in pixels])[:, None])[0])


def surface_distance(
    drawn: Mask, true: Mask, spacing: tuple[float, float] = (1.0, 1.0), percentile: float = PERCENTILE
) -> float | None:
    """The distance that `percentile` % of one outline keeps from the other, the worse of the two directions.

    An outline is the pixels of a mask that touch its outside over an edge (or the border of the film).

    Args:
        drawn: (H, W) bool.
        true: (H, W) bool.
        spacing: millimetres from row to row and from column to column; 1, 1 gives pixels.
        percentile: 100 is the Hausdorff distance.

    Returns:
        Millimetres (or pixels); None where either mask is empty.
    """
    if not (drawn.any() and true.any()):
        return None
    union = drawn | true
    rows, columns = (np.flatnonzero(union.any(axis=axis)) for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    first, second = (_outline(mask[box]) for mask in (drawn, true))
    there, back = (
        float(np.percentile(distance_transform_edt(~to, sampling=spacing)[of], percentile))
        for of, to in ((first, second), (second, first))
    )
    return max(there, back)


class Pooled(NamedTuple):
    """A pooled score of a model, of another way to draw on the same films, and their paired difference."""

    model: Estimate
    other: Estimate
    difference: Difference


def pooled_scores(
    pixels: Pixels,
    other: Pixels,
    patients: ArrayLike,
    categories: Sequence[str] | NDArray[np.str_],
    *,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, dict[str, Pooled]]:
    """`dice_pooled` and `dice_classes` with intervals from drawing whole patients.

    Args:
        pixels: of N pairs of film and finding.
        other: of the same pairs, drawn otherwise: `pixels.nothing()`, or another model's.
        patients: (N,) ids; the draws are those of `Resample` over the same patients.
        categories: (N,) finding of each pair.
        draws: replicates.
        seed: of the draws.
        confidence: coverage of the intervals.

    Returns:
        {"dice_pooled": {finding: Pooled}, "dice_classes": {...}}; under "" the mean over findings, of which a
        replicate leaves out those that are undefined in it.
    """
    ids, patient = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    names, category = np.unique(np.asarray(categories, dtype=str), return_inverse=True)
    blocks = [block.astype(np.float64) for block in draw_blocks(int(ids.size), draws, seed)]
    found: dict[str, dict[str, Pooled]] = {"dice_pooled": {}, "dice_classes": {}}
    tables = [[_sums(of.rows(category == k), patient[category == k], ids.size) for k in range(names.size)]
              for of in (pixels, other)]  # fmt: skip
    for metric, score in (("dice_pooled", _pooled), ("dice_classes", _classes)):
        points = [np.array([score(sums.sum(axis=1, keepdims=True))[0] for sums in table]) for table in tables]
        drawn = [np.stack([_replicates(score, sums, blocks, draws) for sums in table]) for table in tables]
        for k, name in enumerate(names):
            rows = category == k
            found[metric][str(name)] = _pair(
                [point[k] for point in points], [r[k] for r in drawn], pixels.rows(rows), patient[rows], confidence
            )
        means = [_mean_defined(point[:, None])[0] for point in points]
        found[metric][""] = _pair(means, [_mean_defined(r) for r in drawn], pixels, patient, confidence)
    return found


def _pair(
    points: Sequence[float], replicates: Sequence[Floats], pixels: Pixels, patient: NDArray[np.intp], confidence: float
) -> Pooled:
    """Model, the other and their difference from points and replicates of both."""
    count = int(np.unique(patient).size)
    model, other = (
        _estimate(float(point), drawn, pixels, count, confidence)
        for point, drawn in zip(points, replicates, strict=True)
    )
    gap, gaps = points[0] - points[1], replicates[0] - replicates[1]
    if np.isnan(gap):
        return Pooled(model, other, Difference(None, None, None, None, 0, NO_POSITIVE))
    if count < 2:
        return Pooled(model, other, Difference(float(gap), None, None, None, 0, ONE_PATIENT))
    low, high, used = percentile_interval(gaps, confidence)
    return Pooled(model, other, Difference(float(gap), low, high, two_sided_share(gaps), used))


def _estimate(point: float, replicates: Floats, pixels: Pixels, patients: int, confidence: float) -> Estimate:
    n, positive = pixels.true.size, int((pixels.true > 0).sum())
    if np.isnan(point):
        return Estimate(None, None, None, n, patients, positive, 0, "nothing is drawn and nothing is true")
    if patients < 2:
        return Estimate(point, None, None, n, patients, positive, 0, ONE_PATIENT)
    low, high, used = percentile_interval(replicates, confidence)
    return Estimate(point, low, high, n, patients, positive, used, "" if used else "no usable draw")


def _sums(pixels: Pixels, patient: NDArray[np.intp], count: int) -> Floats:
    """Pixels summed by patient: (4, patients)."""
    return np.stack([np.bincount(patient, weights=column, minlength=count) for column in pixels])


def _replicates(score: Any, sums: Floats, blocks: Sequence[Floats], draws: int) -> Floats:
    parts: list[Floats] = [score(sums @ block) for block in blocks]
    return np.concatenate([np.empty(0), *parts])[:draws]  # the last block is filled up with empty draws


def _pooled(sums: Floats) -> Floats:
    """(4, R) sums of pixels -> (R,) Dice."""
    both, drawn, true, _ = sums
    return _ratio(2 * both, drawn + true)


def _classes(sums: Floats) -> Floats:
    """(4, R) sums of pixels -> (R,) mean of the finding's and the background's Dice."""
    both, drawn, true, known = sums
    background = (known - drawn - true + both, known - drawn, known - true, known)
    return _mean_defined(np.stack([_pooled(sums), _pooled(np.stack(background))]))


def _mean_defined(rows: Floats) -> Floats:
    """Mean over the first axis (M, R) -> (R,), NaN left out."""
    known = ~np.isnan(rows)
    return _ratio(np.where(known, rows, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _ratio(part: Floats, whole: Floats) -> Floats:
    found = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _outline(mask: Mask) -> Mask:
    """The pixels of a mask that erosion takes away; beyond the border nothing is true."""
    edge: Mask = mask & ~binary_erosion(mask)
    return edge


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
