"""Affine registration of films to an anchor film, so that maps of many patients can be averaged on one chest.

Paper: CheXFound, https://arxiv.org/abs/2502.05142, Fig. 7 (with SimpleElastix; no setting is given, no code released).
Similarity of grey values is Mattes' mutual information (IEEE TMI 22:120, 2003), so films of two machines can be
compared; a rigid motion with one scale is found first, then a free affine one, from coarse to fine. Points are in
shares of a film's longer side, from its centre, so a registration holds at every resolution of the film.

A registration that went wrong would smear the average, so it is judged: films that are no more alike than they were
unmoved, or that would be turned, stretched or moved as no upright frontal film needs, are left out with a reason.

Departures: SimpleITK's own optimiser instead of elastix, one thread, regular sampling with a fixed seed: the same films
give the same numbers on every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from hilum.optional import require

Floats = NDArray[np.float64]
Metric = Literal["mutual_information", "correlation"]

SIDE: Final = 192  # pixels of the longer side while registering; planted motions come back to 0.05 %
BINS: Final = 32  # grey levels of the joint histogram
SAMPLED: Final = 0.5  # share of the pixels that are compared
STEP: Final = (0.05, 1e-4, 200)  # first and smallest step in shares of the film, most steps a level
COARSE: Final = ((8, 4), (4, 2))  # shrinking and smoothing, pixels, of the rigid motion
FINE: Final = ((4, 2, 1), (2, 1, 0))  # of the affine one
ALIKE: Final = 0.2  # least likeness of registered films; noise has 0.004, two chests 0.3 to 0.9
STRETCH: Final = (0.6, 1.7)  # smallest and largest factor along any direction
TURN: Final = 20.0  # degrees
SHIFT: Final = 0.3  # of the longer side


@dataclass(frozen=True)
class Registration:
    """Where the points of an anchor film lie on another film: `matrix @ point + shift`."""

    matrix: Floats  # (2, 2), of (x, y)
    shift: Floats  # (2,), in shares of the longer side
    before: float  # likeness of the unmoved films, larger is better: nats, or squared correlation
    after: float  # of the registered ones
    reason: str = ""  # why it is not to be used; "" where it is

    @property
    def usable(self) -> bool:
        """Whether it may enter an average."""
        return not self.reason

    def moved(self, points: Floats) -> Floats:
        """Points of the anchor (..., 2), x and y, on the film."""
        found: Floats = points @ self.matrix.T + self.shift
        return found


def register(film: NDArray[np.uint8], anchor: NDArray[np.uint8], metric: Metric = "mutual_information") -> Registration:
    """Find where the anchor's points lie on a film.

    Args:
        film: (H, W).
        anchor: (H', W'), the film that others are brought to.
        metric: likeness; correlation is for films of one machine.

    Returns:
        The registration, with a reason where it must not be used.

    Raises:
        MissingDependencyError: SimpleITK is not installed.
    """
    sitk = require("SimpleITK", extra="registration")
    if np.array_equal(film, anchor):
        return Registration(np.eye(2), np.zeros(2), np.inf, np.inf)
    if film.min() == film.max() or anchor.min() == anchor.max():
        return _failed("a film without any contrast")
    fixed, moving = (_picture(sitk, pixels) for pixels in (anchor, film))
    rigid = sitk.Similarity2DTransform()
    try:
        with _one_thread(sitk):
            before = -_method(sitk, metric, rigid).MetricEvaluate(fixed, moving)
            _optimise(sitk, metric, rigid, COARSE, fixed, moving)
            affine = sitk.AffineTransform(2)
            affine.SetMatrix(rigid.GetMatrix())
            affine.SetTranslation(rigid.GetTranslation())
            _optimise(sitk, metric, affine, FINE, fixed, moving)
            after = -_method(sitk, metric, affine).MetricEvaluate(fixed, moving)
    except RuntimeError as error:  # the films drifted apart
        return _failed(f"the optimiser stopped ({str(error).strip().splitlines()[-1][:120]})")
    matrix, shift = np.array(affine.GetMatrix()).reshape(2, 2), np.array(affine.GetTranslation())
    return Registration(matrix, shift, before, after, _fault(matrix, shift, before, after))


def onto_anchor(heat: Floats, registration: Registration, shape: tuple[int, int]) -> Floats:
    """A map (H, W) over a film, at any resolution, as a map over the anchor of `shape`; NaN outside the film."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    points = np.stack([columns - (width - 1) / 2, rows - (height - 1) / 2], axis=-1) / max(shape)
    there = registration.moved(points)[..., ::-1] * max(heat.shape)  # rows and columns from the centre
    half = np.array(heat.shape) / 2
    places = np.moveaxis(there + half - 0.5, -1, 0)
    inside = (np.abs(there) <= half).all(axis=-1)
    found: Floats = np.where(inside, map_coordinates(heat, places, order=1, mode="nearest"), np.nan)
    return found


def average(maps: Iterable[tuple[Floats, Registration]], shape: tuple[int, int]) -> tuple[Floats, int]:
    """The mean of maps over films, on an anchor.

    Args:
        maps: (H, W) over a film, and that film's registration; those that are not usable are passed over.
        shape: (H', W') of the anchor.

    Returns:
        (H', W'), NaN where no film has a value, and how many films it is of.
    """
    total, known, used = np.zeros(shape), np.zeros(shape), 0
    for heat, registration in maps:
        if registration.usable:
            laid = onto_anchor(heat, registration, shape)
            total += np.nan_to_num(laid)
            known += ~np.isnan(laid)
            used += 1
    return np.divide(total, known, out=np.full(shape, np.nan), where=known > 0), used


def _picture(sitk: Any, film: NDArray[np.uint8]) -> Any:
    """The film, small, with its centre at 0 and its longer side of length 1."""
    scale = SIDE / max(film.shape)
    size = [max(1, round(side * scale)) for side in reversed(film.shape)]
    grey = np.asarray(Image.fromarray(film).resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
    picture = sitk.GetImageFromArray(grey)
    picture.SetSpacing([1 / max(size)] * 2)
    picture.SetOrigin([-(side - 1) / 2 / max(size) for side in size])
    return picture


@contextmanager
def _one_thread(sitk: Any) -> Iterator[None]:
    """Sums in one order, so that the same films give the same last digit; a method's own setting is not enough."""
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _method(sitk: Any, metric: Metric, start: Any) -> Any:
    """A registration from a transform, which it moves in place."""
    method = sitk.ImageRegistrationMethod()
    if metric == "correlation":
        method.SetMetricAsCorrelation()
    else:
        method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(SAMPLED, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(start, inPlace=True)
    return method


def _optimise(sitk: Any, metric: Metric, transform: Any, levels: Any, fixed: Any, moving: Any) -> None:
    method = _method(sitk, metric, transform)
    method.SetOptimizerAsRegularStepGradientDescent(*STEP, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(levels[0])
    method.SetSmoothingSigmasPerLevel(levels[1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.Execute(fixed, moving)


def _fault(matrix: Floats, shift: Floats, before: float, after: float) -> str:
    """Why a registration is not to be believed; "" where it is."""
    if not np.isfinite([*matrix.flat, *shift, after]).all() or after <= before:
        return "no more alike than unmoved"
    if after < ALIKE:
        return "nothing alike"
    left, stretch, right = np.linalg.svd(matrix)
    turn = left @ right
    degrees = np.rad2deg(np.arctan2(turn[1, 0], turn[0, 0]))
    if np.linalg.det(matrix) <= 0 or stretch.min() < STRETCH[0] or stretch.max() > STRETCH[1]:
        return f"stretched beyond {STRETCH[0]:g} to {STRETCH[1]:g}"
    if abs(degrees) > TURN:
        return f"turned by more than {TURN:g} degrees"
    return f"moved by more than {SHIFT:.0%} of the film" if np.abs(shift).max() > SHIFT else ""


def _failed(reason: str) -> Registration:
    return Registration(np.eye(2), np.zeros(2), np.nan, np.nan, reason)
