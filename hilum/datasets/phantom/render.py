"""One film of one study: `render` is all that training data need."""

from __future__ import annotations

from hilum.datasets.phantom.build import scene_of
from hilum.datasets.phantom.film import Exposure, develop, texture_of
from hilum.datasets.phantom.patient import Patient, Study, View
from hilum.datasets.phantom.project import Camera, project
from hilum.datasets.phantom.shapes import Floats


def render(patient: Patient, study: Study, view: View, size: int = 256) -> Floats:
    """Draw one film.

    Args:
        patient: from `phantom_patient`.
        study: one of its studies.
        view: any view, whether or not the study lists it.
        size: pixels a side, at least 32.

    Returns:
        (size, size) float32 in [0, 1]; bone and soft tissue are bright; the patient's right is on the left of a
        frontal film.
    """
    if size < 32:
        raise ValueError(f"size must be at least 32 pixels, got {size}")
    projection = project(
        scene_of(patient, study, view), Camera.of(patient, study, view, size), texture_of(patient, study, view, size)
    )
    return develop(projection.attenuation, Exposure.of(patient, study, view))
