"""From a patient and a study to its scene: anatomy, then findings, each from its own random stream."""

from __future__ import annotations

from functools import lru_cache

from hilum.datasets.phantom.anatomy import Frame, build_all, pose_of
from hilum.datasets.phantom.bones import build_bones
from hilum.datasets.phantom.devices import add_devices
from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.lesions import (
    PARTS,
    add_findings,
    broken_ribs,
    collapsed_lungs,
    geometry,
    raised_domes,
)
from hilum.datasets.phantom.patient import Patient, Study, View
from hilum.datasets.phantom.scene import Scene
from hilum.datasets.phantom.vessels import build_vessels


def scene_of(patient: Patient, study: Study, view: View) -> Scene:
    """The shapes of a film. PA and lateral of one study share one scene; a bedside AP film has its own pose."""
    return _scene(patient, study.index, "AP" if view == "AP" else "PA")


@lru_cache(maxsize=4)  # the two films of a study, the pixels and the truth of a film
def _scene(patient: Patient, study_index: int, pose_view: View) -> Scene:
    study = patient.studies[study_index]
    emphysema, edema = study.finding("Emphysema"), study.finding("Edema")
    inflation = 0.30 + 0.70 * emphysema.severity if emphysema else 0.0
    frame = Frame(patient, pose_of(patient, study, pose_view), inflation=inflation)
    scene = Scene()
    build_all(scene, patient, frame, raised=raised_domes(study))
    build_bones(scene, frame, broken_ribs(patient, study))
    build_vessels(
        scene,
        frame,
        stream("vessels", patient.seed, patient.index),
        calibre=1.0 + (0.55 * edema.severity if edema else 0.0),
        sparse=inflation,
        collapse=collapsed_lungs(study),
    )
    add_findings(scene, frame, patient, study)
    device = study.finding("SupportDevice")
    if device is not None:
        add_devices(scene, frame, study, device, geometry(patient, device), PARTS * study.findings.index(device))
    return scene
