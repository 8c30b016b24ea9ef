"""Survival times that depend on the findings, age, sex and site: two endpoints with a known linear predictor.

Each cause has a Weibull hazard, `T = scale (-ln U / exp(risk))^(1/shape)`, so hazards are proportional and the
true risk orders patients as well as any model can. `Death` ends in 1 (died) or 0 (censored). `HeartFailure` is
the first admission for it: 1 admitted, 2 died before (a competing cause), 0 censored. Times are days from the
study's film. A patient's dates are drawn once, after the last study, so that several studies agree about the
day of the event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.patient import Patient, Study

ENDPOINTS = ("Death", "HeartFailure")
SHAPE = 1.2  # of the Weibull hazards: rises slowly
SCALE_DAYS = {"Death": 5200.0, "HeartFailure": 7500.0}
FOLLOW_UP_DAYS = (250.0, 3600.0)  # censoring is uniform in this range after the last study

# Log hazard ratio of a finding at severity 1; at severity 0 it counts half.
LOG_HAZARD: dict[str, dict[str, float]] = {
    "Death": {
        "Mass": 1.6, "Edema": 1.0, "Effusion": 0.8, "Emphysema": 0.8, "Fibrosis": 0.9, "Cardiomegaly": 0.6,
        "Pneumonia": 0.6, "Consolidation": 0.4, "SupportDevice": 0.4, "Nodule": 0.4, "Fracture": 0.2,
        "Atelectasis": 0.2,
    },
    "HeartFailure": {"Cardiomegaly": 1.6, "Edema": 1.5, "Effusion": 0.8, "SupportDevice": 0.4, "Emphysema": 0.2},
}  # fmt: skip
PER_DECADE = {"Death": 0.55, "HeartFailure": 0.45}  # of age, from 60 years
MALE = {"Death": 0.25, "HeartFailure": 0.15}
AT_SITE = {"north": 0.0, "harbour": 0.20, "valley": -0.10, "hill": 0.05}


@dataclass(frozen=True)
class Outcome:
    """One endpoint of one study."""

    days: float  # from the film
    event: int  # 0 censored, 1 event, 2 competing cause
    risk: float  # true linear predictor: log hazard ratio


def true_risk(patient: Patient, study: Study, endpoint: str) -> float:
    """The log hazard ratio of `endpoint` that the times are drawn from, on the study's findings."""
    weights = LOG_HAZARD[endpoint]
    findings = sum(weights.get(f.name, 0.0) * (0.5 + 0.5 * f.severity) for f in study.findings)
    male = MALE[endpoint] if patient.sex == "M" else 0.0
    return findings + PER_DECADE[endpoint] * (study.age - 60.0) / 10.0 + male + AT_SITE[patient.site.name]


def outcomes(patient: Patient, study: Study) -> dict[str, Outcome]:
    """Both endpoints, counted from the film of `study`."""
    last = patient.studies[-1]
    rng = stream("survival", patient.seed, patient.index)
    ages = {
        name: SCALE_DAYS[name] * (rng.exponential() / np.exp(true_risk(patient, last, name))) ** (1.0 / SHAPE)
        for name in ENDPOINTS
    }
    censored = rng.uniform(*FOLLOW_UP_DAYS)
    gap = float(last.day - study.day)
    death = _first(gap, 1.0 + ages["Death"], 1, censored)
    ends = (ages["HeartFailure"], 1) if ages["HeartFailure"] < ages["Death"] else (ages["Death"], 2)
    failure = _first(gap, 1.0 + ends[0], ends[1], censored)
    return {
        name: Outcome(days, event, true_risk(patient, study, name))
        for name, (days, event) in zip(ENDPOINTS, (death, failure), strict=True)
    }


def _first(gap: float, event_at: float, code: int, censored_at: float) -> tuple[float, int]:
    """Whole days to the event or to the end of follow-up, whichever comes first."""
    days, event = (event_at, code) if event_at <= censored_at else (censored_at, 0)
    return float(np.ceil(gap + days)), event
