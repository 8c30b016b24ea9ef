"""From a scene to the attenuation along every ray of a film (Beer-Lambert), and to what the truth is read from.

The beam is taken as parallel for each shape, after magnifying the shape for its own distance from the tube:
posterior ribs grow more than anterior ones on a PA film, and the heart grows more on an AP film, where it is
far from the detector. Air of the lungs is what the pleural spaces hold after heart, vessels and domes have
displaced it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.datasets.phantom import shapes
from hilum.datasets.phantom.anatomy import SIDES
from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.patient import Patient, Study, View
from hilum.datasets.phantom.scene import ARM, MU_LUNG, MU_SOFT, Y_GRID, Array, Kind, Scene, Slices
from hilum.datasets.phantom.shapes import Floats

TUBE_MM = {"PA": 1800.0, "LATERAL": 1800.0, "AP": 1050.0}  # from the X-ray tube to the detector
DETECTOR_MM = {"PA": 140.0, "LATERAL": 190.0, "AP": 145.0}  # from the middle of the patient to the detector
COSTOPHRENIC_Y = 150.0  # height of the lowest angle, from which the depth of an effusion is counted, mm
FAR = 1e6


@dataclass(frozen=True)
class Camera:
    """Maps patient coordinates to the detector."""

    view: View
    size: int  # pixels a side
    pixel_mm: float  # at the detector
    turn: Array  # (3, 3): patient -> across the film (to the right), down the film, towards the tube's depth axis
    shift: Array  # (2,) mm by which the patient stands off centre

    @staticmethod
    def of(patient: Patient, study: Study, view: View, size: int) -> Camera:
        """The camera of one film: small turns and shifts of its own; bedside films are less well placed."""
        rng = stream("camera " + view, patient.seed, patient.index, study.index)
        loose = 2.2 if view == "AP" else 1.0
        yaw, lean, tilt = rng.normal(0.0, [0.018, 0.014, 0.012]) * loose
        if view == "AP":
            tilt -= 0.07
        shift = rng.normal(0.0, [5.0, 6.0]) * loose + (0.0, 8.0)
        if view == "LATERAL":
            turn = np.array([[yaw, lean, -1.0], [0.5 * tilt, 1.0, 0.0], [1.0, 0.0, yaw]])
        else:
            turn = np.array([[1.0, lean, yaw], [0.0, 1.0, tilt], [-yaw, 0.0, 1.0]])
        field = patient.site.field_mm * rng.uniform(0.86, 1.0)  # collimated and cropped closer or wider
        return Camera(view, size, field / size, turn, shift)

    def pixels_per_mm(self, depth: Array) -> Array:
        """Magnification at `depth` (mm along the third axis of `turn`) over the size of a pixel."""
        toward = -depth if self.view == "AP" else depth
        away = DETECTOR_MM[self.view] - toward
        scale: Array = TUBE_MM[self.view] / (TUBE_MM[self.view] - away) / self.pixel_mm
        return scale

    def place(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Columns, rows, depths and pixels per mm of points (..., 3)."""
        across, down, depth = np.moveaxis(points @ self.turn.T, -1, 0)
        scale = self.pixels_per_mm(depth)
        middle = (self.size - 1) / 2.0
        shift = self.shift / self.pixel_mm
        return middle + shift[0] + across * scale, middle + shift[1] + down * scale, depth, scale

    def rows(self, slices: Slices, depth_weight: Array | None = None) -> Floats:
        """(size, 4) float32: half-width in pixels, half-depth in mm, centre column, centre depth at each pixel row.

        `depth_weight` multiplies the half-depths, one value a height of `Y_GRID`.
        """
        wide, deep = slices.half_x, slices.half_z
        if self.view == "LATERAL":
            wide, deep = deep, wide
        centre = np.stack([slices.centre_x, Y_GRID, slices.centre_z], axis=-1)
        column, row, depth, scale = self.place(centre)
        at = np.arange(self.size, dtype=np.float64)
        out = np.empty((self.size, 4), np.float32)
        out[:, 0] = np.interp(at, row, wide * scale, left=0.0, right=0.0)
        out[:, 1] = np.interp(at, row, deep if depth_weight is None else deep * depth_weight)
        out[:, 2] = np.interp(at, row, column)
        out[:, 3] = np.interp(at, row, depth)
        return out


@dataclass(frozen=True)
class Pleura:
    """What rays crossed in the pleural spaces: (2, H, W) float32 mm each, right then left."""

    space: Floats  # all of it, after organs displaced lung
    air: Floats  # aerated lung
    gas: Floats  # free air of a pneumothorax
    fluid: Floats  # effusion
    thick: Floats  # thickened pleura


@dataclass(frozen=True)
class Projection:
    """What the rays of one film crossed."""

    attenuation: Floats  # (H, W) line integral of attenuation, no unit
    pleura: Pleura


class Ellipsoids:
    """All ellipsoids of a scene as one camera sees them, ready for the kernels of `shapes`."""

    def __init__(self, scene: Scene, camera: Camera) -> None:
        data = np.asarray(scene.ellipsoid_data, np.float64)
        self.weight, self.kind, self.tag = data[:, 0], data[:, 1].astype(int), data[:, 2].astype(int)
        column, row, self.depth, scale = camera.place(np.asarray(scene.centres))
        s = camera.turn @ np.asarray(scene.matrices) @ camera.turn.T
        a, b, c = s[:, 0, 0], s[:, 0, 1], s[:, 1, 1]
        det = a * c - b * b
        along = (c * s[:, 2, 0] - b * s[:, 2, 1]) / det  # regression of depth on the shadow's coordinates
        down = (a * s[:, 2, 1] - b * s[:, 2, 0]) / det
        half = np.sqrt(np.maximum(s[:, 2, 2] - along * s[:, 2, 0] - down * s[:, 2, 1], 0.0))
        square = det * scale**2
        self._table = np.empty((len(data), 9), np.float32)
        for i, values in enumerate(
            (column, row, c / square, -b / square, a / square, half, along / scale, down / scale)
        ):
            self._table[:, i] = values

    def table(self, keep: NDArray[np.bool_], last: Array | float) -> Floats:
        """(N, 9) float32 of the kept ones, with their weights, or depths, or a number in the last column."""
        out = self._table[keep]
        out[:, 8] = last[keep] if isinstance(last, np.ndarray) else last
        return out

    @property
    def organs(self) -> Floats:
        """Those that displace lung, with their depths: what `shapes.unite` takes."""
        return self.table((self.kind == Kind.ORGAN) | (self.kind == Kind.HEART), self.depth)


@dataclass(frozen=True)
class Tubes:
    """Some tubes of a scene as one camera sees them: what `shapes.add_tubes` takes."""

    points: Floats  # (P, 4)
    starts: NDArray[np.int32]  # (T + 1,)
    weights: Floats  # (T,)
    hollows: Floats  # (T,)

    @staticmethod
    def of(scene: Scene, camera: Camera, keep: list[bool]) -> Tubes:
        """The tubes of the bundles marked in `keep`."""
        kept = [(b, d) for b, d, k in zip(scene.bundles, scene.bundle_data, keep, strict=True) if k]
        if not kept:
            return Tubes(np.zeros((0, 4), np.float32), np.zeros(1, np.int32), *np.zeros((2, 0), np.float32))
        vertices = np.concatenate([bundle.reshape(-1, 5) for bundle, _ in kept])
        counts = [bundle.shape[0] for bundle, _ in kept]
        lengths = np.repeat([bundle.shape[1] for bundle, _ in kept], counts)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        weights, hollows = (np.repeat([data[i] for _, data in kept], counts).astype(np.float32) for i in (0, 1))
        column, row, depth, scale = camera.place(vertices[:, :3])
        wide, deep = _foreshorten(vertices, column / scale, row / scale, depth, scale, starts)
        return Tubes(np.stack([column, row, wide, deep], axis=1).astype(np.float32), starts, weights, hollows)


def draw_tubes(scene: Scene, camera: Camera, keep: list[bool], out: Floats) -> None:
    """Add the tubes of the bundles marked in `keep` to a picture (H, W)."""
    tubes = Tubes.of(scene, camera, keep)
    near, deep = shapes.scratch(out.shape[0], 2)
    shapes.add_tubes(tubes.points, tubes.starts, tubes.weights, tubes.hollows, near, deep, out)


def _foreshorten(
    vertices: Array, u: Array, v: Array, depth: Array, scale: Array, starts: np.ndarray
) -> tuple[Array, Array]:
    """Half-widths in pixels and half-depths in mm at the vertices.

    A tube that runs along the ray is crossed over a longer way, 1/sin of the angle, at most 4 times. A tube
    thinner than a pixel is drawn a pixel wide and thinner by as much, so that it neither breaks up nor grows.
    """
    step = np.diff(np.stack([u, v, depth], 1), axis=0, prepend=0.0)
    step[starts[:-1]] = step[starts[:-1] + 1]
    side = np.hypot(step[:, 0], step[:, 1])
    stretch = np.minimum(np.hypot(side, step[:, 2]) / np.maximum(side, 1e-6), 4.0)
    true = vertices[:, 3] * scale
    wide = np.maximum(true, 0.75)
    return wide, vertices[:, 4] * stretch * true / wide


def project(scene: Scene, camera: Camera, texture: Floats) -> Projection:
    """Project a scene.

    Args:
        scene: of the patient and study.
        camera: of the film.
        texture: (H, W) zero-mean, unit-variance field that makes lung and disease uneven.
    """
    assert scene.body is not None
    assert scene.spine is not None
    assert scene.spine_weight is not None
    size, lateral = camera.size, camera.view == "LATERAL"
    total, solid, cloud = shapes.scratch(size, 3)
    shapes.add_slices(camera.rows(scene.body), -4 if lateral else 4, MU_SOFT, total)
    mineral = camera.rows(scene.spine, depth_weight=scene.spine_weight)
    shapes.add_slices(mineral, -4 if lateral else 4, 1.0, total)
    drawn = Ellipsoids(scene, camera)
    shapes.add_ellipsoids(drawn.table(drawn.kind == Kind.SOLID, drawn.weight), total)
    shapes.add_ellipsoids(drawn.table(drawn.kind == Kind.VESSEL, drawn.weight), solid)
    shapes.add_clouds(drawn.table(drawn.kind == Kind.CLOUD, drawn.weight), cloud)
    hidden = ARM if lateral else None  # the arms are raised out of a lateral film
    draw_tubes(scene, camera, [d[2] == Kind.SOLID and d[3] != hidden for d in scene.bundle_data], total)
    draw_tubes(scene, camera, [d[2] == Kind.VESSEL for d in scene.bundle_data], solid)
    pleura = project_pleura(scene, camera, drawn)
    density = np.array([p.density / (1.0 - 0.6 * p.collapse) for p in scene.spaces.values()], np.float32)
    soft, lung = np.float32(MU_SOFT), np.float32(MU_LUNG)
    shapes.breathe(pleura.air, pleura.gas, solid, cloud, texture, density, soft, lung, total)
    return Projection(total, pleura)


def project_pleura(scene: Scene, camera: Camera, drawn: Ellipsoids) -> Pleura:
    """What both pleural spaces hold once the organs among `drawn` have displaced the lung."""
    low, high = shapes.scratch(camera.size, 2)
    low += np.float32(FAR)
    high -= np.float32(FAR)
    shapes.unite(drawn.organs, low, high)
    out = Pleura(*(shapes.scratch(camera.size, 2) for _ in range(5)))
    for i, side in enumerate(SIDES):
        space = scene.spaces[side]
        rows = camera.rows(space.slices)
        shapes.inflate(rows, low, high, out.space[i])
        if space.full is not None:
            shapes.inflate(camera.rows(space.full), low, high, out.thick[i])
            out.thick[i] = np.maximum(out.thick[i] - out.space[i], 0.0)
        if space.inner is None:
            out.air[i] = out.space[i]
        else:
            shapes.inflate(camera.rows(space.inner), low, high, out.air[i])
            np.minimum(out.air[i], out.space[i], out=out.air[i])
            out.gas[i] = out.space[i] - out.air[i]
        if space.fluid_mm > 0:
            level = _level(camera, space.fluid_mm, side)
            shapes.wet(rows, level, out.air[i], out.fluid[i])
            shapes.wet(rows, level, out.gas[i], out.fluid[i])
    return out


def _level(camera: Camera, fluid_mm: float, side: str) -> Floats:
    """Surface of an effusion for `shapes.wet`; in a lying patient it spreads behind the lung as a veil."""
    _, row, _, scale = camera.place(np.array([60.0 * SIDES[side], COSTOPHRENIC_Y - fluid_mm, 0.0]))
    upright = camera.view != "AP"
    rise = (0.28 * fluid_mm + 12.0) * scale
    veil = 0.0 if upright else min(0.62, 0.10 + 0.0042 * fluid_mm)
    return np.array([row, rise, (6.0 if upright else 26.0) * scale, veil], np.float32)
