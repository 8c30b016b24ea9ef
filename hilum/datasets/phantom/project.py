"""From a scene to the attenuation along every ray of one film, by Beer-Lambert, and to the parts the truth is read from.

The beam is taken as parallel for each shape, after magnifying the shape for its own distance from the tube: posterior
ribs grow more than anterior ones on a PA film, and the heart grows more on an AP film, where it is far from the
detector. Air of the lungs is what the pleural spaces hold after heart, vessels and domes have displaced it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
        shift = rng.normal(0.0, [5.0, 6.0]) * loose + (0.0, 6.0)
        if view == "LATERAL":
            turn = np.array([[yaw, lean, -1.0], [0.5 * tilt, 1.0, 0.0], [1.0, 0.0, yaw]])
        else:
            turn = np.array([[1.0, lean, yaw], [0.0, 1.0, tilt], [-yaw, 0.0, 1.0]])
        return Camera(view, size, patient.site.field_mm / size, turn, shift)

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


def select_ellipsoids(scene: Scene, camera: Camera, keep: Array, *, depth: bool = False) -> Floats:
    """Ellipsoids as the kernels take them, (N, 9) float32: see `shapes`. The last column is weight, or depth."""
    centres = np.asarray(scene.centres)[keep]
    if not len(centres):
        return np.zeros((0, 9), np.float32)
    column, row, middle, scale = camera.place(centres)
    s = camera.turn @ np.asarray(scene.matrices)[keep] @ camera.turn.T
    a, b, c = s[:, 0, 0], s[:, 0, 1], s[:, 1, 1]
    det = a * c - b * b
    slope_u = (c * s[:, 2, 0] - b * s[:, 2, 1]) / det  # regression of depth on the shadow's coordinates
    slope_v = (a * s[:, 2, 1] - b * s[:, 2, 0]) / det
    half = np.sqrt(np.maximum(s[:, 2, 2] - slope_u * s[:, 2, 0] - slope_v * s[:, 2, 1], 0.0))
    weight = middle if depth else np.asarray([data[0] for data in scene.ellipsoid_data])[keep]
    table = [column, row, c / det / scale**2, -b / det / scale**2, a / det / scale**2, half]
    return np.stack([*table, slope_u / scale, slope_v / scale, weight], axis=1).astype(np.float32)


def draw_tubes(scene: Scene, camera: Camera, keep: list[bool], out: Floats) -> None:
    """Add the tubes of the kept bundles to a picture."""
    points, lengths, weights, hollows = [], [], [], []
    for bundle, data, kept in zip(scene.bundles, scene.bundle_data, keep, strict=True):
        if kept:
            points.append(bundle.reshape(-1, 5))
            lengths.extend([bundle.shape[1]] * bundle.shape[0])
            weights.extend([data[0]] * bundle.shape[0])
            hollows.extend([data[1]] * bundle.shape[0])
    if not points:
        return
    vertices = np.concatenate(points)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    column, row, depth, scale = camera.place(vertices[:, :3])
    wide, deep = _foreshorten(vertices, column / scale, row / scale, depth, scale, starts)
    table = np.stack([column, row, wide, deep], axis=1).astype(np.float32)
    near, far = shapes.scratch(out.shape[0], 2)
    weight, hollow = np.asarray(weights, np.float32), np.asarray(hollows, np.float32)
    shapes.add_tubes(table, starts, weight, hollow, near, far, out)


def _foreshorten(
    vertices: Array, u: Array, v: Array, depth: Array, scale: Array, starts: np.ndarray
) -> tuple[Array, Array]:
    """Half-widths in pixels and half-depths in mm at the vertices.

    A tube that runs along the ray is crossed over a longer way, 1/sin of the angle, at most 4 times. A tube thinner than
    a pixel is drawn a pixel wide and thinner by as much, so that it neither breaks up nor grows.
    """
    step = np.empty((len(u), 3))
    for i, x in enumerate((u, v, depth)):
        step[1:, i] = np.diff(x)
        step[0, i] = 0.0
    step[starts[:-1]] = step[np.minimum(starts[:-1] + 1, len(u) - 1)]
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
    assert scene.body is not None and scene.spine is not None and scene.spine_weight is not None
    size, lateral = camera.size, camera.view == "LATERAL"
    total, solid, cloud = shapes.scratch(size, 3)
    shapes.add_slices(camera.rows(scene.body), -4 if lateral else 4, MU_SOFT, total)
    mineral = camera.rows(scene.spine, depth_weight=scene.spine_weight)
    shapes.add_slices(mineral, -4 if lateral else 4, 1.0, total)
    kinds = np.asarray([data[1] for data in scene.ellipsoid_data])
    shapes.add_ellipsoids(select_ellipsoids(scene, camera, kinds == Kind.SOLID), total)
    shapes.add_ellipsoids(select_ellipsoids(scene, camera, kinds == Kind.VESSEL), solid)
    shapes.add_clouds(select_ellipsoids(scene, camera, kinds == Kind.CLOUD), cloud)
    hidden = ARM if lateral else None  # the arms are raised out of a lateral film
    draw_tubes(scene, camera, [d[2] == Kind.SOLID and d[3] != hidden for d in scene.bundle_data], total)
    draw_tubes(scene, camera, [d[2] == Kind.VESSEL for d in scene.bundle_data], solid)
    pleura = project_pleura(scene, camera, (kinds == Kind.ORGAN) | (kinds == Kind.HEART))
    density = np.array([p.density / (1.0 - 0.6 * p.collapse) for p in scene.spaces.values()], np.float32)
    soft, lung = np.float32(MU_SOFT), np.float32(MU_LUNG)
    shapes.breathe(pleura.air, pleura.gas, solid, cloud, texture, density, soft, lung, total)
    return Projection(total, pleura)


def project_pleura(scene: Scene, camera: Camera, organs: Array) -> Pleura:
    """What both pleural spaces hold once the organs marked in `organs` (E,) have displaced the lung."""
    low, high = shapes.scratch(camera.size, 2)
    low += np.float32(FAR)
    high -= np.float32(FAR)
    shapes.unite(select_ellipsoids(scene, camera, organs, depth=True), low, high)
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
