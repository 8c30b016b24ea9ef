"""Support devices: pacemaker, central line, tracheal tube, feeding tube, chest drain, sternal wires."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hilum.datasets.phantom.anatomy import SIDES, Frame
from hilum.datasets.phantom.findings import Finding
from hilum.datasets.phantom.patient import Study
from hilum.datasets.phantom.scene import MU_METAL, MU_PLASTIC, Array, Scene

BEDSIDE = ("tracheal tube", "central line", "feeding tube", "pacemaker", "sternal wires")
UPRIGHT = ("pacemaker", "central line", "sternal wires", "port")


def devices_of(finding: Finding, study: Study, rng: np.random.Generator) -> tuple[str, ...]:
    """Which devices a patient carries in a study: one to three, of the kinds its films are made with."""
    bedside = study.views == ("AP",)
    kinds, weights = (BEDSIDE, (0.3, 0.3, 0.2, 0.1, 0.1)) if bedside else (UPRIGHT, (0.35, 0.2, 0.25, 0.2))
    count = 1 + int(finding.severity > 0.45) + int(finding.severity > 0.75)
    chosen = [kinds[i] for i in sorted(rng.choice(len(kinds), size=count, replace=False, p=weights))]
    if any(study.finding(name) for name in ("Pneumothorax", "Effusion")) and rng.random() < 0.35:
        chosen.append("chest drain")
    return tuple(chosen)


def add_devices(scene: Scene, frame: Frame, study: Study, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """Add the study's devices, each its own part of the finding."""
    for part, name in enumerate(devices_of(finding, study, rng)):
        if name == "pacemaker":
            _pacemaker(scene, frame, rng, tag + part)
        elif name in ("central line", "port"):
            _line(scene, frame, rng, tag + part, port=name == "port")
        elif name == "tracheal tube":
            end = rng.uniform(-98.0, -70.0)
            path = _curve([(0, -320, 30), (1, -200, 8), (0, end, -8)], frame)
            scene.tubes(path, 4.6, 0.7 * MU_PLASTIC, hollow=0.75, tag=tag + part)
            scene.tubes(path + np.array([3.8, 0.0, 0.0]), 0.8, 4.5 * MU_PLASTIC, tag=tag + part)
        elif name == "feeding tube":
            path = _curve(
                [(2, -320, 0), (4, -150, -30), (2, -40, -34), (10, 60, -26), (34, 120, 0), (62, 150, 22)], frame
            )
            scene.tubes(path, 2.3, 1.8 * MU_PLASTIC, hollow=0.5, tag=tag + part)
        elif name == "sternal wires":
            _wires(scene, frame, rng, tag + part)
        else:
            _drain(scene, frame, study, tag + part)


def _curve(knots: Sequence[tuple[float, float, float]], frame: Frame, points: int = 26) -> Array:
    """A smooth path through knots given for the average chest: Catmull-Rom, (points, 3) mm."""
    p = np.asarray(knots, np.float64) * (frame.sx, frame.sy, frame.sz)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0.0, len(knots) - 1 - 1e-9, points)
    i, f = t.astype(int), (t % 1.0)[:, None]
    a, b, c, d = (p[i + k] for k in range(4))
    path: Array = 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)
    return path


def _pacemaker(scene: Scene, frame: Frame, rng: np.random.Generator, tag: int) -> None:
    x, y = rng.uniform(92.0, 116.0), rng.uniform(-122.0, -92.0)
    centre = np.array([x * frame.sx, y * frame.sy, 98.0 * frame.sz])
    scene.ellipsoid(centre, (25.0, 19.0, 4.0), 0.45 * MU_METAL, turn=0.5, tag=tag)
    scene.ellipsoid(centre + np.array([3.0, -15.0, 0.0]), (12.0, 8.0, 3.5), 0.30 * MU_METAL, turn=0.5, tag=tag)
    lead = [
        (x - 6, y - 10, 96),
        (66, -142, 70),
        (20, -128, 30),
        (-20, -95, 12),
        (-26, -20, 12),
        (-8, 55, 26),
        (44, 76, 44),
    ]
    scene.tubes(_curve(lead, frame, 40), 1.2, 0.7 * MU_METAL, tag=tag)
    if rng.random() < 0.6:
        lead = [*lead[:4], (-30, -10, 16), (-34, 18, 26), (-24, 6, 40)]
        scene.tubes(_curve(lead, frame, 36), 1.1, 0.6 * MU_METAL, tag=tag)


def _line(scene: Scene, frame: Frame, rng: np.random.Generator, tag: int, *, port: bool) -> None:
    end = rng.uniform(-55.0, -10.0)
    neck = [(-36, -320, 20), (-34, -210, 24), (-26, -150, 24), (-21, -90, 12), (-23, end, 8)]
    arm = [(-150, -120, 10), (-112, -152, 30), (-60, -148, 34), (-24, -126, 22), (-20, -80, 12), (-23, end, 8)]
    if port:
        place = (-96.0 * frame.sx, -84.0 * frame.sy, 104.0 * frame.sz)
        scene.ellipsoid(place, (11.0, 12.0, 6.0), 0.16 * MU_METAL, tag=tag)
        arm = [(-96, -90, 102), (-84, -140, 86), (-50, -158, 50), (-24, -126, 22), (-20, -80, 12), (-23, end, 8)]
    path = _curve(arm if port or rng.random() < 0.5 else neck, frame, 32)
    scene.tubes(path, 1.6, 3.4 * MU_PLASTIC, tag=tag)


def _wires(scene: Scene, frame: Frame, rng: np.random.Generator, tag: int) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 12)
    for y in np.linspace(-112.0, 22.0, int(rng.integers(5, 8))):
        _, deep, centre = frame.cage_at(np.array([y * frame.sy]))
        wide, tall = rng.uniform(8.0, 12.0), rng.uniform(3.5, 7.0)
        ring = np.stack([wide * np.cos(turn), y * frame.sy + tall * np.sin(turn), np.zeros_like(turn)], 1)
        ring[:, 2] = float((centre + deep)[0]) + 6.0
        ring[:, 0] += rng.normal(0.0, 2.0)
        scene.tubes(ring, 0.8, 1.3 * MU_METAL, tag=tag)


def _drain(scene: Scene, frame: Frame, study: Study, tag: int) -> None:
    finding = study.finding("Pneumothorax") or study.finding("Effusion")
    sign = SIDES.get(finding.side, 1.0) if finding else 1.0
    top = -130.0 if study.finding("Pneumothorax") else 20.0
    knots = [(sign * 190, 60, 0), (sign * 138, 38, 10), (sign * 112, (38 + top) / 2, 0), (sign * 88, top, -20)]
    path = _curve(knots, frame, 24)
    scene.tubes(path, 4.0, 0.8 * MU_PLASTIC, hollow=0.7, tag=tag)
    scene.tubes(path + np.array([sign * 2.6, 0.0, 0.0]), 0.8, 4.5 * MU_PLASTIC, tag=tag)
