"""The skeleton of the chest: spine, ribs, clavicles, scapulae, sternum."""

from __future__ import annotations

import numpy as np

from hilum.datasets.phantom.anatomy import SIDES, Frame
from hilum.datasets.phantom.scene import MU_BONE, Y_GRID, Array, Scene, Slices

RIBS = 11  # pairs; the twelfth hides below the diaphragm
RIB_POINTS = 22
RIB_DROP = (34.0, 58.0, 76.0, 90.0, 98.0, 104.0, 108.0, 110.0, 108.0, 104.0, 96.0)  # mm from spine to front


def rib_paths(frame: Frame, side: str) -> Array:
    """The axes of a side's ribs from the spine round to their cartilages, (RIBS, RIB_POINTS, 3) mm.

    A rib leaves the spine, follows the cage at a constant angle step and sinks on its way to the front.
    """
    rib = np.arange(RIBS)[:, None]
    end = np.radians(np.where(rib < 7, 138.0, 138.0 - 17.0 * (rib - 6)))
    angle = np.radians(9.0) + (end - np.radians(9.0)) * np.linspace(0.0, 1.0, RIB_POINTS)
    drop = np.array(RIB_DROP)[:, None] * (1.0 if frame.pose.upright else 0.93)
    start = -168.0 + 23.6 * rib - 4.0 * (rib == 0)
    sine, cosine = np.sin(angle), np.cos(angle)
    y = frame.sy * (start + drop * (1.0 - cosine) / 2.0 - 6.0 * sine * (rib > 0))
    edge, deep, centre = frame.cage_at(y)
    x = SIDES[side] * (edge + 3.0) * sine**0.9 + 0.5 * frame.bend(y)
    return np.stack([x, y, centre - (deep + 3.0) * cosine], axis=-1)


def build_bones(scene: Scene, frame: Frame, broken: dict[tuple[str, int], float]) -> None:
    """Add the skeleton.

    Args:
        scene: receives the shapes.
        frame: of the patient.
        broken: (side, rib) -> position of a fracture along the rib, 0 to 1; these ribs are left to `lesions`.
    """
    bone = MU_BONE * frame.build.bone
    for side in SIDES:
        whole = [rib for rib in range(RIBS) if (side, rib) not in broken]
        add_ribs(scene, rib_paths(frame, side)[whole], bone)
    _spine(scene, frame, bone)
    for sign in SIDES.values():
        _clavicle(scene, frame, sign, bone)
        _scapula(scene, frame, sign, bone)
    y = np.array([-140.0, -118.0, -90.0, -40.0, 10.0, 40.0]) * frame.sy
    _, deep, centre = frame.cage_at(y)
    path = np.stack([np.zeros(6), y, centre + deep + 7.0], 1)
    scene.tubes(path, np.array([27.0, 22.0, 16.0, 17.0, 15.0, 8.0]), 0.55 * bone, thickness=5.0, hollow=0.55)


def add_ribs(scene: Scene, paths: Array, bone: float, *, cartilage: bool = True) -> None:
    """Add ribs along `paths` (ribs, points, 3): flat, hollow, fading into cartilage at the front."""
    along = np.linspace(0.0, 1.0, paths.shape[1])
    thickness = (4.2 - 0.5 * along) * (np.clip(5.0 * (1.0 - along), 0.05, 1.0) if cartilage else 1.0)
    scene.tubes(paths, 6.6 - 0.9 * along, bone * 1.25, thickness=thickness, hollow=0.70)


def _spine(scene: Scene, frame: Frame, bone: float) -> None:
    """Vertebral bodies as boxy slices with gaps at the discs, pedicles, spinous and transverse processes."""
    pitch = 23.6 * frame.sy
    phase = ((Y_GRID + 168.0 * frame.sy) / pitch) % 1.0
    body = np.clip(6.0 * (np.abs(phase - 0.5) - 0.34), 0.0, 1.0)  # 1 in a disc, 0 in a vertebral body
    waist = 1.0 + 0.07 * np.cos(2.0 * np.pi * phase)
    wide = np.interp(Y_GRID, [-320.0, -160.0, 200.0], [11.0, 15.0, 22.0]) * frame.sx * waist
    back = -68.0 * frame.sz - frame.build.kyphosis * np.cos(Y_GRID / 105.0) * 0.5
    scene.spine = Slices(wide, np.full_like(wide, 14.0 * frame.sz), frame.bend(Y_GRID), back, boxy=True)
    scene.spine_weight = bone * 0.30 * (1.0 - 0.85 * body)
    y = -168.0 * frame.sy + (np.arange(-3, 17) + 0.38) * pitch
    x, z, half = (np.interp(y, Y_GRID, values) for values in (frame.bend(Y_GRID), back, wide))
    stretch = np.array([0.0, 0.5, 1.0])[:, None]
    for sign in (-1.0, 1.0):
        for pedicle in np.stack([x + sign * half * 0.62, y, z - 20.0], 1):
            scene.ellipsoid(pedicle, (3.4, 4.6, 8.0), 0.5 * bone)
        root = np.stack([x + sign * half * 0.7, y, z - 24.0], 1)[:, None]
        tip = np.stack([x + sign * (half + 17.0), y - 3.0, z - 30.0], 1)[:, None]
        scene.tubes(root + (tip - root) * stretch, 4.2, 0.35 * bone)
    root = np.stack([x, y + 2.0, z - 28.0], 1)[:, None]
    scene.tubes(root + np.array([0.0, 15.0, -18.0]) * stretch, 3.0, 0.5 * bone, thickness=5.0)


def _clavicle(scene: Scene, frame: Frame, sign: float, bone: float) -> None:
    sx, sy, sz = frame.sx, frame.sy, frame.sz
    raised = 0.0 if frame.pose.upright else -9.0
    knots = np.array(
        [(13, -132, 70), (42, -140, 74), (80, -150, 60), (118, -156, 34), (152, -162, 2), (164, -160, -10)], float
    )
    path = knots * (sign * sx, sy, sz) + (0.0, raised, 0.0)
    fine = np.stack([np.interp(np.linspace(0, 5, 16), np.arange(6), path[:, i]) for i in range(3)], 1)
    scene.tubes(fine, np.interp(np.linspace(0, 1, 16), [0, 0.2, 0.7, 1], [9.0, 6.2, 5.6, 7.5]), 1.1 * bone, hollow=0.66)


def _scapula(scene: Scene, frame: Frame, sign: float, bone: float) -> None:
    """Blade, lateral border, spine and humeral head; `pose.scapula` brings the blade over the lung."""
    sx, sy = frame.sx, frame.sy
    inward = 26.0 * frame.pose.scapula
    x, wall = sign * sx, sign * 0.4 * frame.build.wall
    z = -88.0 * frame.sz
    blade = (x * (141.0 - inward) + wall, -92.0 * sy, z)
    scene.ellipsoid(blade, (30.0, 66.0, 4.5), 0.5 * bone, turn=0.22 * sign)
    glenoid = np.array([x * 152.0 + wall, -138.0 * sy, -30.0])
    tip = np.array([x * (126.0 - inward) + wall, -28.0 * sy, z])
    scene.tubes(np.linspace(glenoid, tip, 7), np.linspace(6.5, 4.0, 7), 0.9 * bone, hollow=0.5)
    inner = np.array([x * (108.0 - inward) + wall, -134.0 * sy, z])
    scene.tubes(np.linspace(inner, (x * 163.0 + wall, -158.0 * sy, -40.0), 5), 4.4, 0.8 * bone, hollow=0.5)
    scene.tubes(np.linspace(inner, tip, 5), 2.6, 0.7 * bone)
    head = (x * 166.0 + wall * 1.4, -143.0 * sy, -14.0)
    scene.ellipsoid(head, (22.0, 23.0, 22.0), 0.24 * bone)
    scene.ellipsoid((head[0] - x * 18.0, head[1] + 2.0, -28.0), (7.0, 18.0, 12.0), 0.4 * bone)
