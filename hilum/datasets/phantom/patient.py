"""A phantom patient: who it is, how it is built, and which studies were made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hilum.datasets.phantom.draws import stream
from hilum.datasets.phantom.findings import PHANTOM_FINDINGS, Finding, acuity_of, draw_findings
from hilum.datasets.phantom.sites import SITES, Site

View = Literal["PA", "AP", "LATERAL"]


@dataclass(frozen=True)
class Build:
    """The body, relative to an average adult (1.0) or in mm."""

    width: float  # chest, side to side
    height: float  # chest, top to bottom
    depth: float  # chest, front to back
    wall: float  # extra soft tissue of the chest wall, mm
    breast: float  # breast size; 0 in men
    heart: float  # cardiothoracic ratio on an upright PA film at full breath
    aorta: float  # size of the aortic knob and unfolding with age
    scoliosis: float  # sideways bend of the spine, mm
    kyphosis: float  # forward bend, mm
    bone: float  # bone mineral


@dataclass(frozen=True)
class Study:
    """One visit: one or two films made minutes apart."""

    index: int
    study_id: str
    day: int  # days after the patient's first study
    age: float  # years
    views: tuple[View, ...]
    findings: tuple[Finding, ...]  # the truth

    def finding(self, name: str) -> Finding | None:
        """The finding called `name`, or None where it is absent."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def labels(self) -> dict[str, float]:
        """`Finding` -> 1 present, 0 absent, -1 where the reader hedges; NoFinding ignores support devices."""
        states = {finding.name: -1.0 if finding.hedged else 1.0 for finding in self.findings}
        nothing = not any(name != "SupportDevice" for name in states)
        return {name: float(nothing) if name == "NoFinding" else states.get(name, 0.0) for name in PHANTOM_FINDINGS}


@dataclass(frozen=True)
class Patient:
    """A patient and everything that is true of it."""

    seed: int
    index: int
    patient_id: str
    sex: Literal["F", "M"]
    site: Site
    build: Build
    studies: tuple[Study, ...] = field(repr=False)


def phantom_patient(seed: int, index: int) -> Patient:
    """The patient number `index` of the phantom population `seed`; the same on every call and machine.

    Args:
        seed: non-negative, names the population.
        index: non-negative, names the patient.
    """
    rng = stream("patient", seed, index)
    sex: Literal["F", "M"] = "F" if rng.random() < 0.48 else "M"
    age = float(np.clip(rng.normal(58.0, 17.0), 19.0, 95.0))
    shares = np.cumsum([site.share for site in SITES])
    site = SITES[min(int(np.searchsorted(shares, rng.random(), side="right")), len(SITES) - 1)]
    count = 1 + min(int(rng.geometric(0.55)) - 1, 4)
    days = np.concatenate([[0], np.cumsum(np.ceil(rng.exponential(160.0, size=count - 1)))]).astype(int)
    found = draw_findings(seed, index, count, age=age, acuity=site.acuity)
    patient_id = f"PH{seed:02d}-{index:06d}"
    studies = tuple(
        Study(
            index=study,
            study_id=f"{patient_id}-S{study + 1:02d}",
            day=int(days[study]),
            age=round(age + float(days[study]) / 365.25, 2),
            views=_views(seed, index, study, site),
            findings=found[study],
        )
        for study in range(count)
    )
    enlarged = next((f for f in found[0] if f.name == "Cardiomegaly"), None)
    return Patient(seed, index, patient_id, sex, site, _build(rng, sex, age, enlarged), studies)


def _views(seed: int, patient: int, study: int, site: Site) -> tuple[View, ...]:
    rng = stream("views", seed, patient, study)
    odds = np.log(site.bedside / (1.0 - site.bedside)) + 1.1 * acuity_of(seed, patient, study)
    if rng.random() < 1.0 / (1.0 + np.exp(-odds)):
        return ("AP",)
    return ("PA", "LATERAL") if rng.random() < 0.45 else ("PA",)


def _build(rng: np.random.Generator, sex: str, age: float, enlarged: Finding | None) -> Build:
    """Draw the body. The heart obeys the rule of the label: enlarged if and only if the ratio passes 0.5."""
    small = 0.93 if sex == "F" else 1.02
    stout = float(rng.normal())
    normal = float(np.clip(rng.normal(0.435 + 0.0004 * (age - 58.0), 0.030), 0.36, 0.492))
    return Build(
        width=small * float(rng.normal(1.0, 0.045)),
        height=small * float(rng.normal(1.0, 0.055)),
        depth=small * float(rng.normal(1.0, 0.07)) * (1.0 + 0.03 * stout),
        wall=float(np.clip(6.0 + 9.0 * stout, -6.0, 34.0)),
        breast=float(np.clip(rng.normal(1.0, 0.22) + 0.16 * stout, 0.45, 1.7)) if sex == "F" else 0.0,
        heart=normal if enlarged is None else 0.515 + 0.15 * enlarged.severity,
        aorta=float(np.clip(1.0 + 0.012 * (age - 58.0) + rng.normal(0.0, 0.15), 0.6, 1.9)),
        scoliosis=float(rng.normal(0.0, 3.5)) * (3.0 if rng.random() < 0.06 else 1.0),
        kyphosis=float(np.clip(rng.normal(14.0, 6.0) + 0.25 * (age - 58.0), 0.0, 45.0)),
        bone=float(np.clip(rng.normal(1.0, 0.12) - 0.005 * (age - 58.0) * (1.4 if sex == "F" else 0.7), 0.55, 1.4)),
    )
