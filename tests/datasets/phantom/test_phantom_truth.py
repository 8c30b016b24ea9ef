"""Masks and boxes: inside the film, each box around its mask, and the disease visible where they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hilum.datasets.phantom import Finding, Patient, phantom_patient, render, truth_of
from hilum.datasets.phantom.draws import CHRONIC
from hilum.datasets.phantom.findings import PRIORS

SIZE = 128


def with_findings(patient: Patient, *findings: Finding) -> Patient:
    """The same patient whose first study has just these findings."""
    study = dataclasses.replace(patient.studies[0], findings=findings)
    return dataclasses.replace(patient, studies=(study,))


def finding(name: str, severity: float = 0.7, side: str = "right") -> Finding:
    prior = PRIORS[name]
    lies = "none" if not sum(prior.sides) else "both" if prior.sides[:2] == (0, 0) else side
    zone = "mid" if sum(prior.zones) > 0 and prior.zones[1] > 0 else "lower" if sum(prior.zones) else "none"
    return Finding(name, severity, lies, zone, CHRONIC, hedged=False)  # type: ignore[arg-type]


def test_boxes_hold_their_masks_and_lie_inside_the_film() -> None:
    names = set()
    for index in range(60):
        patient = phantom_patient(3, index)
        for study in patient.studies:
            for view in study.views:
                truth = truth_of(patient, study, view, SIZE)
                covered = {name: np.zeros((SIZE, SIZE), bool) for name in truth.masks}
                for box in truth.boxes:
                    assert 0 <= box.x < box.x + box.width <= SIZE
                    assert 0 <= box.y < box.y + box.height <= SIZE
                    assert 0 < box.area <= box.width * box.height
                    covered[box.finding][box.y : box.y + box.height, box.x : box.x + box.width] = True
                for name, mask in truth.masks.items():
                    assert mask.shape == (SIZE, SIZE)
                    assert mask.dtype == bool
                    if name not in ("Lungs", "Heart"):
                        assert mask.any()
                        assert not (mask & ~covered[name]).any()
                        assert study.finding(name) is not None
                        names.add(name)
    assert len(names) >= 12


@pytest.mark.parametrize("name", sorted(PRIORS))
@pytest.mark.parametrize("view", ["PA", "AP"])
def test_a_gross_finding_is_outlined_and_changes_the_film_there(name: str, view: str) -> None:
    healthy = with_findings(phantom_patient(12, 5))
    sick = with_findings(healthy, finding(name))
    truth = truth_of(sick, sick.studies[0], view, SIZE)  # type: ignore[arg-type]
    assert {box.finding for box in truth.boxes} == {name}
    mask = truth.masks[name]
    if name == "Cardiomegaly":
        return  # its shape is the patient's build: see the cardiothoracic ratio
    before, after = (render(p, p.studies[0], view, SIZE) for p in (healthy, sick))  # type: ignore[arg-type]
    change = np.abs(after - before)
    assert change[mask].mean() > 0.008
    if name not in ("Emphysema", "Edema", "Atelectasis", "Pneumothorax", "Fibrosis"):  # these move more than they fill
        assert change[mask].mean() > 1.5 * change[~mask].mean()


@pytest.mark.parametrize("side", ["right", "left"])
def test_severity_grows_the_mask_and_side_places_it(side: str) -> None:
    healthy = with_findings(phantom_patient(12, 6))
    for name in ("Effusion", "Pneumothorax", "PleuralThickening"):
        sizes = []
        for severity in (0.25, 0.6, 0.95):
            sick = with_findings(healthy, finding(name, severity, side))
            mask = truth_of(sick, sick.studies[0], "PA", SIZE).masks[name]
            columns = np.flatnonzero(mask.any(0))
            assert (columns.mean() < SIZE / 2) == (side == "right")
            sizes.append(int(mask.sum()))
        assert sizes[0] < sizes[1] < sizes[2]


def test_findings_in_the_lung_stay_in_the_lung() -> None:
    healthy = with_findings(phantom_patient(12, 7))
    for name in ("Consolidation", "Pneumonia", "Edema"):
        sick = with_findings(healthy, finding(name))
        truth = truth_of(sick, sick.studies[0], "PA", SIZE)
        assert (truth.masks[name] & truth.masks["Lungs"]).sum() > 0.9 * truth.masks[name].sum()
