"""The upper bound on the phantom: a head that is given the true findings orders subjects as well as the true risk."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.datasets.phantom import PHANTOM_FINDINGS, outcomes, phantom_patient
from hilum.evaluation.survival.covariates import Covariates
from hilum.evaluation.survival.endpoints import endpoint_targets
from hilum.evaluation.survival.model import RiskRecord
from hilum.evaluation.survival.plan import Options
from hilum.evaluation.survival.subjects import one_row_a_subject
from hilum.heads.grid import train_grid
from hilum.heads.survival import Form
from hilum.heads.survival_losses import interval_edges
from hilum.metrics.survival import harrell_c

pytestmark = pytest.mark.slow

NOISE = 40  # features that say nothing, beside the findings
HORIZON = 1825.0


@cache
def cohort(first: int, patients: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A row a study, and features that hold its findings: what a perfect encoder would give."""
    rows, features = [], []
    rng = np.random.default_rng(first)
    for patient in (phantom_patient(3, index) for index in range(first, first + patients)):
        for study in patient.studies:
            row = {"image_id": study.study_id, "patient_id": patient.patient_id, "age": study.age, "sex": patient.sex}
            row |= {"site": patient.site.name}
            for name, end in outcomes(patient, study).items():
                row |= {f"time.{name}": end.days, f"event.{name}": end.event, f"risk.{name}": end.risk}
            rows.append(row)
            found = {finding.name: 0.5 + 0.5 * finding.severity for finding in study.findings}
            signs = [found.get(name, 0.0) for name in PHANTOM_FINDINGS]
            features.append([*signs, *rng.normal(size=NOISE)])
    return pd.DataFrame(rows), np.array(features, np.float32)


@pytest.mark.parametrize(
    ("endpoint", "form", "head"),
    [
        ("Death", "cox", "linear"),
        ("Death", "discrete", "linear"),
        ("Death", "binary", "linear"),
        ("Death", "cox", "mlp"),
        ("HeartFailure", "cox", "linear"),
    ],
)
def test_the_c_index_is_within_three_hundredths_of_the_true_risk(endpoint: str, form: Form, head: str) -> None:
    train, val, test = cohort(0, 1500), cohort(2000, 500), cohort(3000, 700)
    covariates = Covariates.fit(train[0], ("age", "sex", "site"))
    x = [torch.from_numpy(np.hstack([part[1], covariates.encode(part[0])])) for part in (train, val, test)]
    y = [torch.from_numpy(endpoint_targets(part[0], (endpoint,))) for part in (train, val)]
    edges = {endpoint: interval_edges(y[0][y[0][:, 1] == 1, 0], HORIZON, 10).tolist()}
    goal = RiskRecord((endpoint,), form, HORIZON, edges if form == "discrete" else {}).objective()
    options = Options("", "", (endpoint,), HORIZON, form, head=head).resolved(len(x[0]))
    settings = replace(options.training(), epochs=60 if form == "cox" else 15)
    result = train_grid(head, (x[0], y[0]), (x[1], y[1]), settings, objective=goal)
    with torch.no_grad():
        score = goal.scores(result.head(x[2]).double())[:, 0].numpy()
    films = test[0].assign(score=score, time=test[0][f"time.{endpoint}"], event=test[0][f"event.{endpoint}"])
    subjects = one_row_a_subject(films, "last").table  # the phantom draws the dates from the last study's findings
    time, event = subjects["time"], subjects["event"]
    true, got = (harrell_c(time, event, subjects[name]) for name in (f"risk.{endpoint}", "score"))
    assert true is not None
    assert got is not None
    assert got > true - 0.03
