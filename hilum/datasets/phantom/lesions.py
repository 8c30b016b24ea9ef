"""How each finding changes the scene: shapes in the lung, fluid and air around it, broken ribs.

Every shape that belongs to a finding carries a tag, so that its mask and box are projections of the very shapes
that made the picture. A tag is `16 * (place of the finding in the study) + part`; parts are the sides or the
single lesions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hilum.datasets.phantom.anatomy import SIDES, Frame
from hilum.datasets.phantom.bones import RIB_POINTS, add_ribs, rib_paths
from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.findings import Finding
from hilum.datasets.phantom.patient import Patient, Study
from hilum.datasets.phantom.scene import MU_BONE, MU_LUNG, MU_SOFT, Y_GRID, Array, Kind, Scene, Slices
from hilum.datasets.phantom.vessels import hilum_of

PARTS = 16
ZONES = {"upper": (-138.0, -85.0), "mid": (-75.0, -10.0), "lower": (0.0, 55.0), "none": (-75.0, 40.0)}
Lesion = Callable[[Scene, Frame, Finding, np.random.Generator, int], None]


def sides_of(finding: Finding) -> tuple[str, ...]:
    """The sides a finding lies on; both for one that has no side."""
    return (finding.side,) if finding.side in SIDES else ("right", "left")


def geometry(patient: Patient, finding: Finding) -> np.random.Generator:
    """The stream of a finding's shape: the same in every study for a chronic one."""
    return stream("geometry " + finding.name, patient.seed, patient.index, finding.geometry)


def raised_domes(study: Study) -> dict[str, float]:
    """By how many mm atelectasis and fibrosis pull up each dome."""
    raised = {"right": 0.0, "left": 0.0}
    for name, pull in (("Atelectasis", 26.0), ("Fibrosis", 14.0)):
        finding = study.finding(name)
        for side in sides_of(finding) if finding else ():
            raised[side] += 4.0 + pull * finding.severity if finding else 0.0
    return raised


def collapsed_lungs(study: Study) -> dict[str, float]:
    """Share by which a pneumothorax lets each lung shrink."""
    finding = study.finding("Pneumothorax")
    return dict.fromkeys(sides_of(finding), 0.13 + 0.45 * finding.severity) if finding else {}


def broken_ribs(patient: Patient, study: Study) -> dict[tuple[str, int], float]:
    """(side, rib) -> place of the fracture along the rib, 0 to 1."""
    finding = study.finding("Fracture")
    if finding is None:
        return {}
    rng = geometry(patient, finding)
    first = {"upper": 2, "mid": 4, "lower": 6}.get(finding.zone, 4)
    count = 1 + int(finding.severity > 0.45) + int(finding.severity > 0.75)
    at = float(rng.uniform(0.30, 0.58))
    return {(side, first + i): at + float(rng.normal(0.0, 0.02)) for side in sides_of(finding) for i in range(count)}


def add_findings(scene: Scene, frame: Frame, patient: Patient, study: Study) -> None:
    """Add every finding of a study that is made of shapes of its own."""
    for place, finding in enumerate(study.findings):
        if finding.name in LESIONS:
            LESIONS[finding.name](scene, frame, finding, geometry(patient, finding), PARTS * place)
    fracture = study.finding("Fracture")
    if fracture is not None:
        tag = PARTS * study.findings.index(fracture)
        _fractures(scene, frame, fracture, broken_ribs(patient, study), tag)


def _spot(frame: Frame, finding: Finding, side: str, rng: np.random.Generator, *, wide: float = 0.75) -> Array:
    """A place (3,) inside the lung, in the finding's zone and clear of the dome."""
    low, high = ZONES[finding.zone]
    y = np.array([rng.uniform(low, high) * frame.sy])
    y = np.minimum(y, (frame.dome_right if side == "right" else frame.dome_left) - 14.0)
    spot: Array = frame.inside(side, y, rng.uniform(0.42, 0.42 + 0.55 * wide, 1), rng.uniform(-0.6, 0.6, 1))[0]
    return spot


def _consolidation(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """One dense area with a ragged, soft border."""
    for part, side in enumerate(sides_of(finding)):
        centre = _spot(frame, finding, side, rng, wide=0.5)
        size = 27.0 + 27.0 * finding.severity
        scene.ellipsoid(centre, size * rng.uniform(0.85, 1.2, 3), 1.5, Kind.CLOUD, turn=rng.normal(), tag=tag + part)
        for _ in range(7):
            beside = centre + rng.normal(0.0, 0.45 * size, 3)
            scene.ellipsoid(beside, 0.5 * size * rng.uniform(0.6, 1.2, 3), 0.9, Kind.CLOUD, tag=tag + part)


def _pneumonia(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """Many small patches around a few bronchi."""
    for part, side in enumerate(sides_of(finding)):
        centre = _spot(frame, finding, side, rng, wide=0.5)
        for _ in range(8 + int(10 * finding.severity)):
            beside = centre + rng.normal(0.0, 1.0, 3) * (21.0, 27.0, 22.0) * (0.8 + 0.5 * finding.severity)
            radii = rng.uniform(8.0, 19.0) * rng.uniform(0.8, 1.25, 3)
            scene.ellipsoid(beside, radii, rng.uniform(0.9, 1.7), Kind.CLOUD, tag=tag + part)


def _atelectasis(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """Plate-like bands above a raised dome; a hazy base where it is severe."""
    for part, side in enumerate(sides_of(finding)):
        dome = (frame.dome_right if side == "right" else frame.dome_left) - 4.0 - 26.0 * finding.severity
        for i in range(1 + int(finding.severity > 0.3) + int(finding.severity > 0.65)):
            y = np.array([dome - 10.0 - 13.0 * i - rng.uniform(0.0, 8.0)])
            centre = frame.inside(side, y, rng.uniform(0.5, 0.72, 1), rng.uniform(-0.3, 0.3, 1))[0]
            radii = (rng.uniform(24.0, 38.0), rng.uniform(1.8, 3.4), rng.uniform(24.0, 40.0))
            turn = SIDES[side] * rng.normal(0.15, 0.22)
            scene.ellipsoid(centre, radii, 0.9, Kind.VESSEL, turn=turn, tag=tag + part)
        base = frame.inside(side, np.array([dome + 6.0]), np.array([0.5]), np.array([-0.2]))[0]
        radii = (46.0, 20.0 + 14.0 * finding.severity, 50.0)
        scene.ellipsoid(base, radii, 0.15 + 0.9 * max(0.0, finding.severity - 0.25), Kind.CLOUD, tag=tag + part)


def _edema(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """Haze around both hila, like wings, and septal lines at the bases; vessels widen too (see `build`)."""
    for part, side in enumerate(SIDES):
        hilum, sign = hilum_of(frame, side), SIDES[side]
        for _ in range(9):
            shift = np.array([sign * rng.uniform(0.0, 50.0), rng.normal(14.0, 36.0), rng.normal(0.0, 26.0)])
            radii = rng.uniform(28.0, 48.0) * rng.uniform(0.85, 1.15, 3)
            weight = (0.14 + 0.34 * finding.severity) * rng.uniform(0.6, 1.4)
            scene.ellipsoid(hilum + shift, radii, weight, Kind.CLOUD, tag=tag + part)
        y = rng.uniform(20.0, 75.0, 14) * frame.sy
        start = frame.inside(side, y, np.full(14, 0.985), rng.uniform(-0.3, 0.3, 14))
        end = start - np.stack([sign * rng.uniform(9.0, 17.0, 14), rng.normal(0.0, 1.5, 14), np.zeros(14)], 1)
        scene.tubes(np.stack([start, end], 1), 0.8, 1.5 * finding.severity, Kind.VESSEL, thickness=3.0)


def _effusion(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    for i, side in enumerate(sides_of(finding)):
        scene.spaces[side].fluid_mm = (22.0 + 105.0 * finding.severity) * (1.0 if i == 0 else rng.uniform(0.6, 1.0))


def _emphysema(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """Thin lung and a few bullae; the chest also inflates and loses vessels (see `build`)."""
    for side in SIDES:
        scene.spaces[side].density = 1.0 - 0.42 * finding.severity
        for _ in range(int(rng.integers(1, 3 + int(5 * finding.severity)))):
            y = np.array([rng.uniform(-140.0, -40.0) * frame.sy])
            centre = frame.inside(side, y, rng.uniform(0.4, 0.85, 1), rng.uniform(-0.6, 0.6, 1))[0]
            scene.ellipsoid(centre, rng.uniform(9.0, 24.0) * rng.uniform(0.8, 1.2, 3), -0.8 * MU_LUNG)


def _fibrosis(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """A net of fine lines at the edges of the bases."""
    for part, side in enumerate(sides_of(finding)):
        n = 110 + int(170 * finding.severity)
        y = np.minimum(rng.normal(52.0, 30.0, n) * frame.sy, frame.dome_right + 30.0)
        start = frame.inside(side, y, 1.0 - rng.beta(1.3, 3.0, n) * 0.75, rng.uniform(-1.0, 1.0, n) * 0.9)
        end = start + rng.normal(0.0, 7.0, (n, 3))
        scene.tubes(np.stack([start, end], 1), 0.9, 1.2 + 0.8 * finding.severity, Kind.VESSEL, thickness=2.2)
        haze = frame.inside(side, np.array([58.0 * frame.sy]), np.array([0.74]), np.array([-0.2]))[0]
        scene.ellipsoid(haze, (46.0, 58.0, 70.0), 0.10 + 0.22 * finding.severity, Kind.CLOUD, tag=tag + part)


def _nodule(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """One to three round spots of 8 to 28 mm."""
    sides = sides_of(finding)
    for part in range(max(len(sides), 1 + int(rng.random() < 0.25) + int(finding.severity > 0.8))):
        centre = _spot(frame, finding, sides[part % len(sides)], rng)
        radius = 4.5 + 9.0 * finding.severity * rng.uniform(0.75, 1.0)
        scene.ellipsoid(
            centre, radius * rng.uniform(0.88, 1.12, 3), 1.0, Kind.VESSEL, turn=rng.normal(), tag=tag + part
        )


def _mass(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """One lobulated lump of more than 30 mm."""
    centre = _spot(frame, finding, sides_of(finding)[0], rng, wide=0.55)
    radius = 17.0 + 17.0 * finding.severity
    scene.ellipsoid(centre, radius * rng.uniform(0.9, 1.1, 3), 0.95, Kind.VESSEL, turn=rng.normal(), tag=tag)
    for _ in range(4):
        aside = rng.normal(size=3)
        beside = centre + 0.55 * radius * aside / np.linalg.norm(aside)
        scene.ellipsoid(beside, 0.58 * radius * rng.uniform(0.85, 1.15, 3), 0.5, Kind.VESSEL, tag=tag)


def _hernia(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """Stomach behind the heart, with gas in it."""
    radius = 25.0 + 20.0 * finding.severity
    centre = np.array([rng.uniform(0.0, 16.0), frame.dome_right - 0.55 * radius, -42.0 * frame.sz])
    scene.ellipsoid(centre, (1.2 * radius, radius, 0.9 * radius), 1.0, Kind.ORGAN, tag=tag)
    scene.ellipsoid(centre, (1.2 * radius, radius, 0.9 * radius), 0.25 * MU_SOFT)
    gas = centre + np.array([0.0, -0.28 * radius, 0.0])
    scene.ellipsoid(gas, (0.72 * radius, 0.42 * radius, 0.6 * radius), -0.9 * MU_SOFT)


def _pleural_thickening(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """The lateral wall of the pleural space moves in over part of its height; plaques may calcify."""
    low, high = ZONES[finding.zone]
    middle, reach = rng.uniform(low, high) * frame.sy, rng.uniform(36.0, 62.0)
    for side in sides_of(finding):
        space, sign = scene.spaces[side], SIDES[side]
        inset = (4.0 + 13.0 * finding.severity) * np.clip(1.4 - np.abs(Y_GRID - middle) / reach, 0.0, 1.0)
        inset = np.minimum(inset * (1.0 + 0.15 * np.sin(Y_GRID / 6.0)), np.maximum(space.slices.half_x - 2.0, 0.0))
        space.full = space.slices
        space.slices = replace(
            space.slices,
            half_x=space.slices.half_x - inset / 2.0,
            centre_x=space.slices.centre_x - sign * inset / 2.0,
        )
        if rng.random() < 0.5:
            y = np.linspace(middle - 0.4 * reach, middle + 0.3 * reach, 5)
            path = frame.inside(side, y, np.full(5, 0.965), np.zeros(5))
            scene.tubes(path, 2.4, 0.7 * MU_BONE, thickness=9.0)


def _pneumothorax(scene: Scene, frame: Frame, finding: Finding, rng: np.random.Generator, tag: int) -> None:
    """The lung shrinks towards its hilum inside the pleural space; the rest holds air alone."""
    share = 0.13 + 0.45 * finding.severity
    for side in sides_of(finding):
        space = scene.spaces[side]
        space.collapse, space.inner = share, shrunk(space.slices, share, float(hilum_of(frame, side)[1]), SIDES[side])


def shrunk(lung: Slices, share: float, hilum_y: float, sign: float) -> Slices:
    """A lung whose sides and apex have drawn `share` of the way towards the hilum."""
    source = hilum_y + (Y_GRID - hilum_y) / np.where(hilum_y > Y_GRID, 1.0 - 0.8 * share, 1.0 - 0.25 * share)
    half_x, half_z, centre_x, centre_z = (
        np.interp(source, Y_GRID, values) for values in (lung.half_x, lung.half_z, lung.centre_x, lung.centre_z)
    )
    narrow = half_x * (1.0 - share)
    return Slices(narrow, half_z * (1.0 - 0.5 * share), centre_x - sign * (half_x - narrow), centre_z)


def _fractures(scene: Scene, frame: Frame, finding: Finding, broken: dict[tuple[str, int], float], tag: int) -> None:
    """Ribs in two pieces with a step between them and a little callus."""
    bone = MU_BONE * frame.build.bone
    for part, ((side, rib), at) in enumerate(broken.items()):
        path = rib_paths(frame, side)[rib]
        cut = round(at * (RIB_POINTS - 1))
        step = np.array([0.0, 3.0 + 7.0 * finding.severity, 0.0])
        fade = np.linspace(1.0, 0.1, RIB_POINTS - cut)[:, None]
        add_ribs(scene, path[None, : cut + 1], bone, cartilage=False)
        far = path[cut:] + (step + 0.25 * (path[cut] - path[cut - 1])) * fade
        add_ribs(scene, far[None], bone)
        middle = path[cut] + step / 2.0
        scene.ellipsoid(middle, (9.0, 9.0, 9.0), 0.22 * bone, tag=tag + min(part, PARTS - 1))


LESIONS: dict[str, Lesion] = {
    "Atelectasis": _atelectasis,
    "Consolidation": _consolidation,
    "Edema": _edema,
    "Effusion": _effusion,
    "Emphysema": _emphysema,
    "Fibrosis": _fibrosis,
    "Hernia": _hernia,
    "Mass": _mass,
    "Nodule": _nodule,
    "PleuralThickening": _pleural_thickening,
    "Pneumonia": _pneumonia,
    "Pneumothorax": _pneumothorax,
}
