"""The truth of a film: masks of lungs, heart and every finding, boxes, and the cardiothoracic ratio.

A mask is the projection of the very shapes that made the picture, not a reader's outline. It may lie where a
reader would see nothing (a nodule behind the heart): that is the point of a phantom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.datasets.phantom import shapes
from hilum.datasets.phantom.anatomy import SIDES
from hilum.datasets.phantom.build import scene_of
from hilum.datasets.phantom.findings import Finding
from hilum.datasets.phantom.lesions import PARTS, sides_of
from hilum.datasets.phantom.patient import Patient, Study, View
from hilum.datasets.phantom.project import Camera, Ellipsoids, Pleura, draw_tubes, project_pleura
from hilum.datasets.phantom.scene import Kind, Scene

Mask = NDArray[np.bool_]

LUNG_MM = 8.0  # a ray is in the lung mask where it crosses more lung than this
PLEURA_MM = {
    "Effusion": 4.0,
    "Pneumothorax": 4.0,
    "PleuralThickening": 1.5,
}  # the same for what fills the pleural space
CLOUD_SHARE = 0.25  # soft-edged disease is outlined where its chord passes this share of its largest


@dataclass(frozen=True)
class Box:
    """One lesion, or one side of a finding: half-open pixel ranges [x, x + width), [y, y + height)."""

    finding: str
    severity: float
    side: str  # of the patient: right, left, both, none
    x: int
    y: int
    width: int
    height: int
    area: int  # pixels of its mask


@dataclass(frozen=True)
class Truth:
    """Masks (H, W) bool by name, and boxes."""

    masks: dict[str, Mask]  # "Lungs", "Heart", and each finding with at least one pixel in this view
    boxes: tuple[Box, ...]


def truth_of(patient: Patient, study: Study, view: View, size: int = 256) -> Truth:
    """Masks and boxes of one film, at the pixels of `render(patient, study, view, size)`."""
    scene, camera = scene_of(patient, study, view), Camera.of(patient, study, view, size)
    drawn = Ellipsoids(scene, camera)
    pleura = project_pleura(scene, camera, drawn)
    heart = np.zeros((size, size), np.float32)
    shapes.add_ellipsoids(drawn.table(drawn.kind == Kind.HEART, 1.0), heart)
    masks: dict[str, Mask] = {"Lungs": pleura.space.sum(0) > LUNG_MM, "Heart": heart > 0}
    boxes: list[Box] = []
    for place, finding in enumerate(study.findings):
        union = np.zeros((size, size), bool)
        for side, mask in _parts(scene, camera, drawn, pleura, finding, PARTS * place, masks):
            if mask.any():
                union |= mask
                boxes.append(_box(finding, side, mask))
        if union.any():
            masks[finding.name] = union
    return Truth(masks, tuple(boxes))


def cardiothoracic_ratio(patient: Patient, study: Study, view: View) -> float:
    """Width of the heart over the inner width of the chest, as projected on a frontal film.

    Cardiomegaly is the label of patients whose `build.heart`, this ratio on an ideal upright PA film, exceeds
    0.5.
    """
    scene, camera = scene_of(patient, study, view), Camera.of(patient, study, view, 1024)
    drawn = Ellipsoids(scene, camera)
    heart = drawn.table(drawn.kind == Kind.HEART, 1.0).astype(np.float64)
    a, b, c = heart[:, 2], heart[:, 3], heart[:, 4]
    reach = np.sqrt(c / (a * c - b * b))
    lungs = [camera.rows(scene.spaces[side].full or scene.spaces[side].slices) for side in SIDES]
    left = min(float((rows[:, 2] - rows[:, 0])[rows[:, 0] > 0].min()) for rows in lungs)
    right = max(float((rows[:, 2] + rows[:, 0])[rows[:, 0] > 0].max()) for rows in lungs)
    return float((heart[:, 0] + reach).max() - (heart[:, 0] - reach).min()) / (right - left)


def _parts(
    scene: Scene,
    camera: Camera,
    drawn: Ellipsoids,
    pleura: Pleura,
    finding: Finding,
    tag: int,
    masks: dict[str, Mask],
) -> list[tuple[str, Mask]]:
    """The masks of a finding's parts: (side, mask)."""
    if finding.name == "Cardiomegaly":
        return [("none", masks["Heart"])]
    if finding.name == "Emphysema":
        return [(side, pleura.space[i] > LUNG_MM) for i, side in enumerate(SIDES)]
    if finding.name in PLEURA_MM:
        held = {"Effusion": pleura.fluid, "Pneumothorax": pleura.gas, "PleuralThickening": pleura.thick}
        crossed = held[finding.name] > PLEURA_MM[finding.name]
        return [(side, crossed[list(SIDES).index(side)]) for side in sides_of(finding)]
    inside = pleura.space.sum(0) > 0
    tags = sorted({int(t) for t in drawn.tag} | {data[3] for data in scene.bundle_data})
    return [
        (_side_of(scene, finding, t), _shadow(scene, camera, drawn, t, inside)) for t in tags if tag <= t < tag + PARTS
    ]


def _side_of(scene: Scene, finding: Finding, tag: int) -> str:
    """The side the shapes of `tag` lie on, for findings that have one."""
    if finding.side == "none":
        return "none"
    centres = [c[0] for c, data in zip(scene.centres, scene.ellipsoid_data, strict=True) if data[2] == tag]
    return "right" if float(np.mean(centres)) < 0 else "left"


def _shadow(scene: Scene, camera: Camera, drawn: Ellipsoids, tag: int, inside: Mask) -> Mask:
    """Where the shapes of `tag` are crossed; clouds in the lung and above a share of their peak."""
    crossed, cloud = shapes.scratch(camera.size, 2)
    mine, soft = drawn.tag == tag, drawn.kind == Kind.CLOUD
    shapes.add_ellipsoids(drawn.table(mine & ~soft, 1.0), crossed)
    shapes.add_clouds(drawn.table(mine & soft, drawn.weight), cloud)
    draw_tubes(scene, camera, [d[3] == tag for d in scene.bundle_data], crossed)
    mask: Mask = crossed > 0
    if cloud.any():
        mask |= (cloud > CLOUD_SHARE * cloud.max()) & inside
    return mask


def _box(finding: Finding, side: str, mask: Mask) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    width, height = int(columns[-1]) - x + 1, int(rows[-1]) - y + 1
    return Box(finding.name, finding.severity, side, x, y, width, height, int(mask.sum()))
