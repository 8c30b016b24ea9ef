"""Survival: the risk orders the times, several studies agree on the day, and the competing cause is coded."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.datasets.phantom import ENDPOINTS, outcomes, phantom_patient, true_risk


def concordance(days: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    """Harrell's C, all pairs: of those where one is known to fail first, the share whose risk is higher."""
    first = (days[:, None] < days[None]) & (event[:, None] == 1)
    right = (risk[:, None] > risk[None]) + 0.5 * (risk[:, None] == risk[None])
    return float(right[first].mean())


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_risk_orders_the_times(endpoint: str) -> None:
    patients = [phantom_patient(21, index) for index in range(700)]
    ends = [outcomes(p, p.studies[0])[endpoint] for p in patients]
    days, event, risk = (np.array([getattr(end, name) for end in ends]) for name in ("days", "event", "risk"))
    assert 0.60 < concordance(days, event, risk) < 0.95
    assert np.all(days >= 1)
    codes = {"Death": {0, 1}, "HeartFailure": {0, 1, 2}}[endpoint]
    assert set(event) == codes
    assert min(np.mean(event == code) for code in codes) > 0.1


def test_several_studies_agree_on_the_day_of_the_event() -> None:
    several = [p for p in (phantom_patient(22, i) for i in range(120)) if len(p.studies) > 1]
    for patient in several:
        for endpoint in ENDPOINTS:
            ends = [outcomes(patient, study)[endpoint] for study in patient.studies]
            dates = {study.day + end.days for study, end in zip(patient.studies, ends, strict=True)}
            assert len(dates) == 1
            assert len({end.event for end in ends}) == 1


def test_death_before_admission_is_the_competing_cause() -> None:
    for index in range(200):
        patient = phantom_patient(23, index)
        ends = outcomes(patient, patient.studies[0])
        if ends["HeartFailure"].event == 2:
            assert ends["Death"].event == 1
            assert ends["Death"].days == ends["HeartFailure"].days
        if ends["HeartFailure"].event == 1 and ends["Death"].event == 1:
            assert ends["HeartFailure"].days <= ends["Death"].days


def test_findings_age_and_sex_raise_the_risk() -> None:
    patient = phantom_patient(24, 0)
    import dataclasses

    from hilum.datasets.phantom import Finding

    study = dataclasses.replace(patient.studies[0], findings=())
    base = true_risk(patient, study, "Death")
    mass = Finding("Mass", 1.0, "right", "mid", 0, hedged=False)
    assert true_risk(patient, dataclasses.replace(study, findings=(mass,)), "Death") == pytest.approx(base + 1.6)
    assert true_risk(patient, dataclasses.replace(study, age=study.age + 10), "Death") == pytest.approx(base + 0.55)
    man, woman = (dataclasses.replace(patient, sex=sex) for sex in ("M", "F"))
    assert true_risk(man, study, "Death") == pytest.approx(true_risk(woman, study, "Death") + 0.25)
