"""The healthy chest but for bones and lung vessels: skin, lungs, diaphragm, heart, great vessels, stomach.

Sizes are those of an average adult in mm, scaled by the patient's `Build`; they follow common anatomy and were
then adjusted by eye until projections looked like chest films. See `findings` for what disease changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.patient import Patient, Study, View
from hilum.datasets.phantom.scene import (
    ARM,
    MU_BONE,
    MU_FAT,
    MU_SOFT,
    Array,
    Kind,
    PleuralSpace,
    Scene,
    Slices,
)

# y, lateral edge of the lung from the midline, half-depth, depth centre (all mm): the inside of the rib cage
CAGE = (
    (-176.0, 50.0, 4.0, -30.0),
    (-168.0, 66.0, 26.0, -29.0),
    (-152.0, 80.0, 44.0, -26.0),
    (-125.0, 97.0, 62.0, -20.0),
    (-90.0, 111.0, 78.0, -13.0),
    (-50.0, 122.0, 89.0, -8.0),
    (0.0, 131.0, 96.0, -5.0),
    (50.0, 137.0, 99.0, -6.0),
    (90.0, 138.0, 92.0, -16.0),
    (125.0, 136.0, 58.0, -46.0),
    (145.0, 131.0, 34.0, -62.0),
    (164.0, 122.0, 10.0, -76.0),
)
# y, half-width, half-depth, depth centre of the trunk's skin
BODY = (
    (-320.0, 60.0, 60.0, -14.0),
    (-225.0, 62.0, 66.0, -16.0),
    (-208.0, 80.0, 74.0, -18.0),
    (-192.0, 118.0, 84.0, -18.0),
    (-176.0, 156.0, 93.0, -16.0),
    (-158.0, 178.0, 101.0, -12.0),
    (-136.0, 183.0, 107.0, -8.0),
    (-105.0, 172.0, 112.0, -4.0),
    (-60.0, 163.0, 114.0, -2.0),
    (0.0, 163.0, 117.0, 0.0),
    (80.0, 161.0, 117.0, 0.0),
    (150.0, 156.0, 114.0, 2.0),
    (320.0, 152.0, 112.0, 4.0),
)
SIDES = {"right": -1.0, "left": 1.0}  # sign of x


@dataclass(frozen=True)
class Pose:
    """How the patient stood or lay for the films of one study and form (upright or at the bedside)."""

    upright: bool
    breath: float  # mm by which the diaphragm stands higher than at full breath
    scapula: float  # 0 rolled off the lungs .. 1 over them
    arm: float  # angle of the upper arms from the trunk, radians
    breadth: float  # of the heart, relative to upright full breath


def pose_of(patient: Patient, study: Study, view: View) -> Pose:
    """The pose of a film. PA and lateral of one study share it; an AP film is made lying or sitting in bed."""
    upright = view != "AP"
    rng = stream("pose", patient.seed, patient.index, study.index, int(upright))
    shallow = rng.gamma(1.6, 4.0)
    if upright:
        return Pose(True, min(shallow, 22.0), float(rng.beta(1.5, 6.0)), float(rng.uniform(0.30, 0.75)), 1.0)
    return Pose(False, min(12.0 + 1.3 * shallow, 42.0), float(rng.beta(5.0, 3.0)), float(rng.uniform(0.12, 0.40)), 1.04)


class Frame:
    """Scales the average chest to one patient; shared by anatomy and findings.

    Attributes:
        cage: columns (y, lateral edge, half-depth, depth centre) of the patient's rib cage, mm.
    """

    def __init__(self, patient: Patient, pose: Pose, *, inflation: float = 0.0) -> None:
        """`inflation` (0 to 1) lengthens and deepens the chest, as emphysema does."""
        build = patient.build
        self.build, self.pose, self.inflation = build, pose, inflation
        self.sx, self.sy = build.width, build.height
        self.sz = build.depth * (1.0 + 0.10 * inflation)
        self.cage = np.asarray(CAGE) * (self.sy, self.sx, self.sz, self.sz)
        self.dome_right = 84.0 * self.sy + 20.0 * inflation - pose.breath
        self.dome_left = self.dome_right + 11.0
        self.bulge = 1.0 - 0.45 * inflation  # of the domes

    def cage_at(self, y: Array) -> tuple[Array, Array, Array]:
        """Lateral edge, half-depth and depth centre of the cage at heights `y`."""
        edge, deep, centre = (np.interp(y, self.cage[:, 0], self.cage[:, i]) for i in (1, 2, 3))
        return edge, deep, centre

    def bend(self, y: Array) -> Array:
        """Sideways course of the spine at heights `y`, mm."""
        return self.build.scoliosis * np.sin(y / 95.0 + 0.6)

    def inside(self, side: str, y: Array, across: Array, front: Array) -> Array:
        """Points (n, 3) inside a lung: `across` from 0 medial to 1 lateral, `front` from -1 back to 1 front."""
        edge, deep, centre = self.cage_at(y)
        e = 2.0 * across - 1.0
        x = SIDES[side] * edge * across
        return np.stack([x, y, centre + front * deep * np.sqrt(np.maximum(0.0, 1.0 - e * e))], axis=-1)


def build_body(scene: Scene, frame: Frame) -> None:
    """Skin, fat, arms, breasts, pectoral muscles."""
    build, pose = frame.build, frame.pose
    knots = np.asarray(BODY) * (frame.sy, frame.sx, frame.sz, frame.sz)
    knots[5:, 1] += build.wall
    knots[5:, 2] += 0.6 * build.wall
    knots[:2, 1] *= 0.9
    scene.body = Slices.through([(y, a, b, 0.0, z) for y, a, b, z in knots], boxy=True)
    for sign in SIDES.values():
        shoulder = np.array([sign * (170.0 * frame.sx + 0.6 * build.wall), -142.0 * frame.sy, -12.0])
        reach = np.array([sign * np.sin(pose.arm), np.cos(pose.arm), -0.05])
        path = shoulder + np.linspace(0.0, 300.0, 7)[:, None] * reach
        radius = 36.0 + 0.4 * build.wall
        scene.tubes(path, radius, 0.8 * MU_SOFT, tag=ARM)
        scene.tubes(path[:], np.linspace(14.0, 10.5, 7), MU_BONE * build.bone, hollow=0.62, tag=ARM)
        if build.breast > 0:
            size = build.breast
            centre = (sign * 78.0 * frame.sx, (38.0 + 26.0 * size) * frame.sy, 112.0 * frame.sz + 0.6 * build.wall)
            scene.ellipsoid(centre, (54.0 * size, 48.0 * size, 27.0 * size), 0.62 * MU_SOFT, turn=-0.25 * sign)
        centre = (sign * 104.0 * frame.sx, -80.0 * frame.sy, 88.0 * frame.sz)
        muscle = (48.0, 62.0, 11.0 if build.breast else 15.0)
        scene.ellipsoid(centre, muscle, 0.5 * MU_SOFT, turn=0.6 * sign)
        flank = (sign * (150.0 * frame.sx + 0.7 * build.wall), 60.0 * frame.sy, 0.0)
        scene.ellipsoid(flank, (10.0 + max(build.wall, 0.0), 190.0, 90.0), MU_FAT)


def build_lungs(scene: Scene, frame: Frame) -> None:
    """The two pleural spaces, the diaphragm and the stomach."""
    for side, sign in SIDES.items():
        cage = frame.cage
        shrink = 1.0 if side == "right" else 0.985
        medial = -6.0
        lateral = cage[:, 1] * shrink
        medial_edge = np.where(cage[:, 0] < -160.0 * frame.sy, 26.0, medial)
        half, middle = (lateral - medial_edge) / 2.0, (lateral + medial_edge) / 2.0
        knots = np.stack([cage[:, 0], half, cage[:, 2], sign * middle, cage[:, 3]], axis=1)
        scene.spaces[side] = PleuralSpace(Slices.through([tuple(row) for row in knots]))


def build_diaphragm(scene: Scene, frame: Frame, *, raised: dict[str, float]) -> None:
    """Domes that displace lung; `raised` mm of each side come on top of the breath."""
    for side, sign in SIDES.items():
        top = (frame.dome_right if side == "right" else frame.dome_left) - raised.get(side, 0.0)
        tall = 92.0 * frame.bulge
        centre = (sign * 66.0 * frame.sx, top + tall, 8.0)
        scene.ellipsoid(centre, (84.0 * frame.sx, tall, 122.0 * frame.sz), 1.0, Kind.ORGAN)
        scene.ellipsoid((centre[0], top + 140.0, 8.0), (130.0 * frame.sx, 85.0, 150.0), 1.0, Kind.ORGAN)


def build_stomach(scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """The gastric bubble under the left dome, and some gas in the bowel."""
    top = frame.dome_left + 9.0
    if rng.random() < 0.8:
        wide, tall = rng.uniform(16.0, 40.0), rng.uniform(8.0, 20.0)
        centre = (rng.uniform(48.0, 84.0) * frame.sx, top + tall + rng.uniform(0.0, 6.0), 20.0)
        scene.ellipsoid(centre, (wide, tall, rng.uniform(14.0, 32.0)), -MU_SOFT, turn=rng.uniform(-0.25, 0.25))
    for _ in range(int(rng.integers(0, 5))):
        centre = (rng.uniform(-120.0, 120.0), frame.dome_left + rng.uniform(55.0, 130.0), rng.uniform(0.0, 70.0))
        radius = rng.uniform(7.0, 17.0)
        scene.ellipsoid(centre, (radius * rng.uniform(1.0, 2.0), radius, radius), -0.8 * MU_SOFT, turn=rng.normal())


def build_heart(scene: Scene, frame: Frame) -> None:
    """Heart, aorta, great vessels; the heart's width on an upright PA film obeys the cardiothoracic ratio."""
    build = frame.build
    ratio = build.heart * frame.pose.breadth * (1.0 + 0.0022 * frame.pose.breath * (not frame.pose.upright))
    lift = -0.45 * frame.pose.breath + 12.0 * frame.inflation
    thorax = 2.0 * float(frame.cage[:, 1].max()) * MAGNIFIED_CAGE / MAGNIFIED_HEART
    width = ratio * thorax
    tall = 52.0 * frame.sy * (width / 122.0) ** 0.6
    deep = 66.0 * frame.sz * (width / 122.0) ** 0.5
    left, right = 0.655 * width, 0.345 * width  # of the midline, from the borders of an average film
    turn = 0.62
    c2, s2 = np.cos(turn) ** 2, np.sin(turn) ** 2
    # The ventricles: a tilted ellipsoid whose shadow ends exactly at the left border; the atrium ends at the right one.
    reach = 0.455 * width
    long = np.sqrt(max((reach**2 - (0.80 * tall) ** 2 * s2) / c2, (0.85 * tall) ** 2))
    reach = float(np.sqrt(long**2 * c2 + (0.80 * tall) ** 2 * s2))
    centre_y = 50.0 * frame.sy + lift
    scene.ellipsoid((left - reach, centre_y, 22.0 * frame.sz), (long, 0.80 * tall, deep), 1.0, Kind.HEART, turn=turn)
    atrium = 0.30 * width
    centre = (atrium - right, centre_y - 4.0, 14.0 * frame.sz)
    scene.ellipsoid(centre, (atrium, 0.98 * tall, 0.9 * deep), 1.0, Kind.HEART, turn=0.1)
    centre = (0.085 * width, centre_y - 0.70 * tall, 12.0 * frame.sz)
    scene.ellipsoid(centre, (0.26 * width, 0.90 * tall, 0.9 * deep), 1.0, Kind.ORGAN, turn=-0.28)
    centre = (0.30 * width, centre_y + 0.62 * tall, 30.0 * frame.sz)  # fat at the apex
    scene.ellipsoid(centre, (0.26 * width, 0.42 * tall, 0.8 * deep), 0.8, Kind.ORGAN, turn=0.5)
    _build_great_vessels(scene, frame, lift)


MAGNIFIED_CAGE = 1800.0 / (1800.0 - 145.0)  # of a PA film at the middle of the chest and at the heart: see `project`
MAGNIFIED_HEART = 1800.0 / (1800.0 - 118.0)


def _build_great_vessels(scene: Scene, frame: Frame, lift: float) -> None:
    aorta, sx, sy, sz = frame.build.aorta, frame.sx, frame.sy, frame.sz
    organ = Kind.ORGAN
    scene.ellipsoid((frame.build.scoliosis * 0.3, 0.0, -25.0), (15.0 * sx, 340.0, 150.0), 1.0, organ)
    scene.ellipsoid((-13.0 * sx, -82.0 * sy, 8.0), (19.0 * sx, 78.0 * sy, 64.0 * sz), 1.0, organ)
    scene.ellipsoid((13.0 * sx, -128.0 * sy, -4.0), (15.0 * sx, 46.0 * sy, 60.0 * sz), 1.0, organ)
    knob = (14.0 * sx + 9.0 * aorta, -76.0 * sy + 0.3 * lift, -14.0)
    scene.ellipsoid(knob, (14.0 * sx * aorta, 24.0 * aorta, 50.0), 1.0, organ)
    scene.ellipsoid((17.0 * sx, -44.0 * sy + 0.5 * lift, 8.0), (21.0 * sx, 34.0 * sy, 50.0), 1.0, organ)
    y = np.linspace(-70.0, 175.0, 9) * sy
    x = (22.0 + 5.0 * (aorta - 1.0)) * sx + 9.0 * (aorta - 0.8) * np.sin((y + 70.0) / 85.0) - 0.06 * (y + 70.0)
    scene.tubes(np.stack([x, y, np.full_like(y, -48.0 * sz)], 1), 11.5 + 3.0 * aorta, 1.0, Kind.VESSEL)


def build_airways(scene: Scene, frame: Frame) -> None:
    """Trachea and main bronchi: air in the mediastinum."""
    sx, sy = frame.sx, frame.sy
    y = np.linspace(-300.0, -58.0, 7) * sy
    x = frame.bend(y) * 0.4 + np.array([0, 0, 0, 0.5, 1.0, -1.0, -2.0])
    z = np.linspace(20.0, -12.0, 7)
    scene.tubes(np.stack([x, y, z], 1), np.linspace(9.5, 8.0, 7) * sx, -0.95 * MU_SOFT)
    for sign, drop in ((-1.0, 26.0), (1.0, 22.0)):
        end = np.array([sign * (34.0 if sign < 0 else 44.0) * sx, -58.0 * sy + drop, -16.0])
        path = np.linspace([-2.0, -58.0 * sy, -12.0], end, 4)
        scene.tubes(path, np.linspace(6.5, 5.0, 4) * sx, -0.7 * MU_SOFT)


def build_all(scene: Scene, patient: Patient, frame: Frame, *, raised: dict[str, float]) -> None:
    """Everything but bones, lung vessels and findings, which have files of their own."""
    rng = stream("stomach", patient.seed, patient.index, 0 if frame.pose.upright else 1)
    build_body(scene, frame)
    build_lungs(scene, frame)
    build_diaphragm(scene, frame, raised=raised)
    build_stomach(scene, frame, rng)
    build_heart(scene, frame)
    build_airways(scene, frame)
