"""A scene: the 3-D shapes of one patient on one day, in mm, as arrays that the projector takes whole.

Coordinates are the patient's: x to the patient's left, y towards the feet, z to the front; the origin lies in
the middle of the chest at the height of the heart's upper half. Shapes do different things to the beam
(`Kind`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

Y_STEP = 2.0
Y_GRID: Array = np.arange(-320.0, 320.0 + Y_STEP, Y_STEP)  # heights at which stacked slices are stored, mm

MU_SOFT = 0.0190  # attenuation of soft tissue, 1/mm, at the effective energy of a chest film (about 70 keV)
MU_LUNG = 0.0058  # of aerated lung: a quarter of the density, a little more with blood in fine vessels
MU_BONE = 0.0420  # of mineral bone, above soft tissue
MU_FAT = -0.0022  # of fat, relative to soft tissue
MU_METAL = 0.60  # of a thin metal part, above soft tissue
MU_PLASTIC = 0.11  # of a radio-opaque catheter, above soft tissue

UNTAGGED = -1
ARM = -2  # tag of the arms, which are out of the field of a lateral film


class Kind(IntEnum):
    """What a shape does to the beam."""

    SOLID = 0  # adds weight (1/mm) times chord, wherever it lies; negative weight takes away (air, fat)
    ORGAN = 1  # displaces lung
    HEART = 2  # displaces lung, and is the heart
    VESSEL = 3  # mm of soft tissue inside lung; cannot exceed the lung there
    CLOUD = 4  # mm of fluid in air spaces, soft-edged; cannot exceed the lung there


@dataclass(frozen=True)
class Slices:
    """A stack of elliptic slices at the heights `Y_GRID`: half-widths in x and z and centres in x and z, mm."""

    half_x: Array
    half_z: Array
    centre_x: Array
    centre_z: Array
    boxy: bool = False  # x⁴ + z² = 1 in place of x² + z² = 1

    @staticmethod
    def through(knots: Sequence[tuple[float, float, float, float, float]], *, boxy: bool = False) -> Slices:
        """Slices interpolated between rows of (y, half_x, half_z, centre_x, centre_z); empty outside them."""
        table = np.asarray(knots, np.float64).T
        columns = [np.interp(Y_GRID, table[0], column) for column in table[1:]]
        columns[0] = np.where((table[0, 0] > Y_GRID) | (table[0, -1] < Y_GRID), 0.0, _smooth(columns[0]))
        return Slices(columns[0], _smooth(columns[1]), _smooth(columns[2]), _smooth(columns[3]), boxy)


def _smooth(values: Array) -> Array:
    """Round the corners that linear interpolation leaves, over 18 mm."""
    padded = np.pad(values, 4, mode="edge")
    return np.convolve(padded, np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25.0, mode="valid")


@dataclass
class PleuralSpace:
    """One side of the chest: the lung, and what may have taken its place."""

    slices: Slices  # the pleural space
    collapse: float = 0.0  # share by which the lung has shrunk towards the hilum (pneumothorax)
    fluid_mm: float = 0.0  # height of the effusion above the costophrenic angle
    density: float = 1.0  # of the aerated lung, relative to normal
    inner: Slices | None = None  # the collapsed lung
    full: Slices | None = None  # the pleural space before the pleura thickened


@dataclass
class Scene:
    """All shapes of one patient on one day. Grows while anatomy and findings add to it, then is only read."""

    spaces: dict[str, PleuralSpace] = field(default_factory=dict)  # "right", "left"
    body: Slices | None = None
    spine: Slices | None = None
    spine_weight: Array | None = None  # at Y_GRID, 1/mm
    centres: list[Array] = field(default_factory=list)  # each (3,)
    matrices: list[Array] = field(default_factory=list)  # each (3, 3), mm²
    ellipsoid_data: list[tuple[float, int, int]] = field(default_factory=list)  # weight, kind, tag
    bundles: list[Array] = field(default_factory=list)  # each (tubes, points, 5): x, y, z, half-width, half-depth
    bundle_data: list[tuple[float, float, int, int]] = field(default_factory=list)  # weight, hollow, kind, tag

    def ellipsoid(
        self,
        centre: ArrayLike,
        radii: ArrayLike,
        weight: float,
        kind: Kind = Kind.SOLID,
        *,
        turn: float = 0.0,
        tag: int = UNTAGGED,
    ) -> None:
        """Add an ellipsoid; `turn` rotates it in the frontal plane, radians, x towards y."""
        a, b, c = np.square(np.asarray(radii, np.float64))
        cos, sin = np.cos(turn), np.sin(turn)
        mixed = (a - b) * cos * sin
        matrix = [[a * cos**2 + b * sin**2, mixed, 0.0], [mixed, a * sin**2 + b * cos**2, 0.0], [0.0, 0.0, c]]
        self.centres.append(np.asarray(centre, np.float64))
        self.matrices.append(np.array(matrix))
        self.ellipsoid_data.append((weight, int(kind), tag))

    def tubes(
        self,
        paths: ArrayLike,
        radius: ArrayLike,
        weight: float,
        kind: Kind = Kind.SOLID,
        *,
        thickness: ArrayLike | None = None,
        hollow: float = 0.0,
        tag: int = UNTAGGED,
    ) -> None:
        """Add tubes along `paths` (tubes, points, 3), or one along (points, 3).

        `radius` is the half-width and `thickness` the half-depth (the same if None) in mm, one value or one a
        point; `hollow` is the radius of the inside relative to the outside.
        """
        points = np.asarray(paths, np.float64)
        points = points[None] if points.ndim == 2 else points
        bundle = np.empty((*points.shape[:2], 5))
        bundle[..., :3] = points
        bundle[..., 3] = radius
        bundle[..., 4] = radius if thickness is None else thickness
        self.bundles.append(bundle)
        self.bundle_data.append((weight, hollow, int(kind), tag))
