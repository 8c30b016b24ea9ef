"""The population: the same on every draw, long-tailed, correlated, chronic where it should be."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.datasets.phantom import PHANTOM_FINDINGS, Patient, phantom_patient
from hilum.datasets.phantom.findings import PRIORS
from hilum.schema import FINDINGS


@pytest.fixture(scope="module")
def population() -> list[Patient]:
    return [phantom_patient(1, index) for index in range(1500)]


def test_patient_depends_on_seed_and_index_alone() -> None:
    again = [phantom_patient(4, index) for index in (7, 3, 7)]
    assert again[0] == again[2] == phantom_patient(4, 7)
    assert again[0] != again[1]
    assert phantom_patient(5, 7).build != again[0].build


def test_finding_names_are_the_fields() -> None:
    assert set(PHANTOM_FINDINGS) <= set(FINDINGS)
    assert len(PRIORS) >= 12


def test_prevalence_follows_the_frozen_priors_from_a_quarter_to_a_hundredth(population: list[Patient]) -> None:
    studies = [study for patient in population for study in patient.studies]
    share = {name: float(np.mean([s.finding(name) is not None for s in studies])) for name in PRIORS}
    for name, prior in PRIORS.items():
        assert 0.6 * prior.prevalence < share[name] < 1.45 * prior.prevalence, (name, share[name])
    assert max(share, key=share.__getitem__) == "SupportDevice"
    assert min(share, key=share.__getitem__) == "Hernia"
    assert max(share.values()) < 0.32
    assert 0.004 < min(share.values()) < 0.02


@pytest.mark.parametrize(
    ("one", "other"),
    [("Cardiomegaly", "Edema"), ("Edema", "Effusion"), ("Consolidation", "Pneumonia"), ("Emphysema", "Nodule"),
     ("Fracture", "Pneumothorax"), ("SupportDevice", "Edema")],
)  # fmt: skip
def test_findings_of_one_cause_come_together(population: list[Patient], one: str, other: str) -> None:
    studies = [study for patient in population for study in patient.studies]
    table = np.array([[s.finding(one) is not None, s.finding(other) is not None] for s in studies])
    with_one, without = table[table[:, 0], 1].mean(), table[~table[:, 0], 1].mean()
    assert with_one > 1.25 * without


def test_chronic_findings_stay_and_acute_ones_come_and_go(population: list[Patient]) -> None:
    several = [patient for patient in population if len(patient.studies) > 1]
    assert len(several) > 300
    for patient in several:
        chronic = [{f for f in s.findings if PRIORS[f.name].chronic} for s in patient.studies]
        assert all({f.name for f in c} == {f.name for f in chronic[0]} for c in chronic)
    assert any(
        (patient.studies[0].finding("Effusion") is None) != (patient.studies[1].finding("Effusion") is None)
        for patient in several
    )


def test_labels_say_present_absent_or_hedged(population: list[Patient]) -> None:
    hedged = 0
    for patient in population[:600]:
        for study in patient.studies:
            labels = study.labels()
            assert tuple(labels) == PHANTOM_FINDINGS
            for name in PRIORS:
                finding = study.finding(name)
                want = 0.0 if finding is None else -1.0 if finding.hedged else 1.0
                assert labels[name] == want
                hedged += want == -1.0
            assert labels["NoFinding"] == float({f.name for f in study.findings} <= {"SupportDevice"})
    assert hedged > 10


def test_heart_obeys_the_rule_of_its_label(population: list[Patient]) -> None:
    for patient in population:
        enlarged = patient.studies[0].finding("Cardiomegaly") is not None
        assert (patient.build.heart > 0.5) == enlarged
        assert not 0.495 < patient.build.heart < 0.51


def test_sicker_patients_are_filmed_in_bed(population: list[Patient]) -> None:
    studies = [study for patient in population for study in patient.studies]
    bedside = np.array([s.views == ("AP",) for s in studies])
    device = np.array([s.finding("SupportDevice") is not None for s in studies])
    assert 0.2 < bedside.mean() < 0.45
    assert device[bedside].mean() > 1.5 * device[~bedside].mean()
    assert {s.views for s in studies} == {("AP",), ("PA",), ("PA", "LATERAL")}
