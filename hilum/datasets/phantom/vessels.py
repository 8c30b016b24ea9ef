"""The vessels of the lungs: they leave the hila, fork twice and stay inside their lung."""

from __future__ import annotations

import numpy as np

from hilum.datasets.phantom.anatomy import SIDES, Frame
from hilum.datasets.phantom.scene import Array, Kind, Scene

STEPS = 6  # points a branch
TRUNKS = 26  # first branches a lung


def hilum_of(frame: Frame, side: str) -> Array:
    """The point (3,) where vessels enter a lung; the left one stands higher, as it should."""
    right = side == "right"
    return np.array(
        [SIDES[side] * (36.0 if right else 38.0) * frame.sx, (-26.0 if right else -38.0) * frame.sy, -8.0 * frame.sz]
    )


def build_vessels(
    scene: Scene,
    frame: Frame,
    rng: np.random.Generator,
    *,
    calibre: float = 1.0,
    sparse: float = 0.0,
    collapse: dict[str, float],
) -> None:
    """Add both hila and their branches.

    Args:
        scene: receives the shapes.
        frame: of the patient.
        rng: the patient's own stream, so that the tree is the same in every study.
        calibre: of all vessels (edema widens them).
        sparse: 0 to 1, share of the outer branches that emphysema has destroyed.
        collapse: side -> share by which the lung has shrunk towards its hilum.
    """
    for side, sign in SIDES.items():
        hilum = hilum_of(frame, side)
        stems, branches, twigs = _tree(frame, side, hilum, rng)
        shrink = 1.0 - collapse.get(side, 0.0)
        for level, radius, end in ((stems, 3.3, 1.1), (branches, 1.9, 0.8), (twigs, 1.2, 0.6)):
            kept = int(len(level) * (1.0 - (0.0 if radius > 2 else 0.7 * sparse)))
            paths = hilum + (level[:kept] - hilum) * shrink
            scene.tubes(paths, np.linspace(radius, end, STEPS) * calibre * (1.0 - 0.25 * sparse), 2.2, Kind.VESSEL)
        down = hilum + np.linspace([0.0, -4.0, 0.0], [sign * 20.0, 62.0, -12.0], STEPS)
        scene.tubes(down, np.linspace(8.0, 3.2, STEPS) * calibre, 1.5, Kind.VESSEL)
        up = hilum + np.linspace([0.0, 0.0, 4.0], [sign * 20.0, -48.0, -6.0], STEPS)
        scene.tubes(up, np.linspace(6.5, 2.4, STEPS) * calibre, 1.4, Kind.VESSEL)
        for shift, radii in (((2.0, 2.0, 0.0), (13.0, 17.0, 14.0)), ((10.0, 14.0, -6.0), (9.0, 13.0, 9.0))):
            centre = hilum + np.asarray(shift) * (sign, 1.0, 1.0)
            scene.ellipsoid(centre, np.asarray(radii) * (0.75 + 0.25 * calibre), 0.9, Kind.VESSEL)


def _tree(frame: Frame, side: str, hilum: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Stems, branches and twigs, each (n, STEPS, 3)."""
    low = (frame.dome_right if side == "right" else frame.dome_left) + 45.0
    y = np.linspace(-150.0 * frame.sy, low, TRUNKS) + rng.normal(0.0, 7.0, TRUNKS)
    ends = frame.inside(side, y, rng.uniform(0.30, 0.97, TRUNKS), rng.uniform(-0.9, 0.9, TRUNKS))
    stems = _course(np.broadcast_to(hilum, ends.shape), ends, rng, 7.0)
    branches = _fork(stems, 3, rng, 0.36)
    return stems, branches, _fork(branches, 2, rng, 0.42)


def _fork(parents: Array, children: int, rng: np.random.Generator, spread: float) -> Array:
    """`children` branches a parent, each from it to near its end, `spread` of the way left aside."""
    n = len(parents) * children
    parent = np.repeat(parents, children, axis=0)
    at = rng.uniform(0.25, 0.8, n) * (STEPS - 1)
    low = at.astype(int)
    rows, part = np.arange(n), (at - low)[:, None]
    start = parent[rows, low] * (1.0 - part) + parent[rows, low + 1] * part
    left = parent[:, -1] - start
    aside = rng.normal(size=(n, 3)) * (np.linalg.norm(left, axis=1, keepdims=True) * spread + 5.0)
    return _course(start, start + 0.85 * left + aside * np.array([1.0, 1.0, 0.6]), rng, 3.0)


def _course(start: Array, end: Array, rng: np.random.Generator, sway: float) -> Array:
    """Gently curved paths from `start` to `end`, (n, STEPS, 3)."""
    t = np.linspace(0.0, 1.0, STEPS)[None, :, None]
    bow = rng.normal(0.0, sway, size=(len(start), 1, 3)) + np.array([0.0, 5.0, 0.0])
    path: Array = start[:, None] + (end - start)[:, None] * t + bow * np.sin(np.pi * t)
    return path
