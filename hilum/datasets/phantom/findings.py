"""What a patient has: a long-tailed, correlated distribution of fifteen findings, each with severity and side.

Five hidden factors (failing heart, infection, smoking, injury, acuity) and age load on the findings; a finding
is present where its latent Gaussian passes the quantile of its prevalence (a Gaussian copula). Chronic findings
keep their own noise over all studies of a patient, acute ones draw half of it again. The numbers are frozen:
they were set once, before any model was trained on the phantom, and changing them changes every result that was
published with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from hilum.datasets.phantom.draws import CHRONIC, stream

Side = Literal["right", "left", "both", "none"]
Zone = Literal["upper", "mid", "lower", "none"]

FACTORS = ("failure", "infection", "smoking", "injury", "acuity")
ACUITY = FACTORS.index("acuity")


@dataclass(frozen=True)
class Prior:
    """The distribution of one finding."""

    prevalence: float  # of studies, before the sites and ages shift it
    chronic: bool  # present in every study of a patient once drawn
    loadings: tuple[float, float, float, float, float]  # on FACTORS
    age: float  # loading on (age - 58) / 17
    sides: tuple[float, float, float]  # probability of right, left, both; all 0 where the finding has no side
    zones: tuple[float, float, float]  # probability of upper, mid, lower; all 0 where it has none


PRIORS: dict[str, Prior] = {
    "SupportDevice": Prior(0.250, False, (0.25, 0.05, 0.05, 0.20, 0.65), 0.10, (0, 0, 0), (0, 0, 0)),
    "Effusion": Prior(0.190, False, (0.50, 0.35, 0.05, 0.15, 0.25), 0.15, (0.34, 0.31, 0.35), (0, 0, 0)),
    "Cardiomegaly": Prior(0.160, True, (0.75, 0.00, 0.00, 0.00, 0.10), 0.30, (0, 0, 0), (0, 0, 0)),
    "Atelectasis": Prior(0.140, False, (0.10, 0.35, 0.10, 0.20, 0.35), 0.10, (0.36, 0.40, 0.24), (0, 0, 1)),
    "Edema": Prior(0.100, False, (0.75, 0.00, 0.00, 0.00, 0.35), 0.10, (0, 0, 1), (0, 0, 0)),
    "Consolidation": Prior(0.095, False, (0.00, 0.75, 0.05, 0.05, 0.25), 0.00, (0.48, 0.38, 0.14), (0.25, 0.25, 0.5)),
    "Nodule": Prior(0.065, True, (0.00, 0.00, 0.55, 0.00, 0.00), 0.20, (0.52, 0.40, 0.08), (0.45, 0.3, 0.25)),
    "Pneumonia": Prior(0.060, False, (0.00, 0.80, 0.00, 0.00, 0.30), -0.10, (0.40, 0.30, 0.30), (0.2, 0.3, 0.5)),
    "Emphysema": Prior(0.055, True, (0.00, 0.00, 0.80, 0.00, 0.05), 0.20, (0, 0, 1), (0, 0, 0)),
    "Fracture": Prior(0.045, True, (0.00, 0.00, 0.10, 0.75, 0.05), 0.20, (0.50, 0.45, 0.05), (0.15, 0.5, 0.35)),
    "Pneumothorax": Prior(0.040, False, (0.00, 0.00, 0.30, 0.55, 0.25), -0.20, (0.54, 0.46, 0.0), (0, 0, 0)),
    "Fibrosis": Prior(0.035, True, (0.05, 0.05, 0.45, 0.00, 0.00), 0.30, (0.1, 0.1, 0.8), (0, 0, 1)),
    "PleuralThickening": Prior(0.030, True, (0.00, 0.15, 0.35, 0.10, 0.00), 0.25, (0.45, 0.40, 0.15), (0.3, 0.4, 0.3)),
    "Mass": Prior(0.025, True, (0.00, 0.00, 0.60, 0.00, 0.05), 0.25, (0.53, 0.47, 0.0), (0.5, 0.3, 0.2)),
    "Hernia": Prior(0.012, True, (0.00, 0.00, 0.05, 0.00, 0.00), 0.45, (0, 0, 0), (0, 0, 0)),
}
PHANTOM_FINDINGS: tuple[str, ...] = tuple(sorted([*PRIORS, "NoFinding"]))  # the label columns, in this order


@dataclass(frozen=True)
class Finding:
    """One finding of one study, as drawn: the truth."""

    name: str
    severity: float  # 0 just visible .. 1 gross
    side: Side  # of the patient; "none" where the finding has no side
    zone: Zone
    geometry: int  # study index that keys the shape's own draws; CHRONIC where it is the same in every study
    hedged: bool  # the reader says "possible": the label is uncertain although the truth is present


def draw_findings(seed: int, patient: int, studies: int, *, age: float, acuity: float) -> list[tuple[Finding, ...]]:
    """The findings of each study, most prevalent first.

    Args:
        seed: of the phantom.
        patient: index.
        studies: how many.
        age: years at the first study.
        acuity: shift of the acuity factor at the patient's site, standard deviations.
    """
    lasting = stream("factors", seed, patient).standard_normal(len(FACTORS))
    old = float(np.clip((age - 58.0) / 17.0, -2.5, 2.0))
    out = []
    for study in range(studies):
        rng = stream("findings", seed, patient, study)
        factors = np.sqrt(0.6) * lasting + np.sqrt(0.4) * rng.standard_normal(len(FACTORS))
        factors[ACUITY] += acuity
        drawn = (_draw_one(name, prior, seed, patient, study, factors, old) for name, prior in PRIORS.items())
        out.append(tuple(finding for finding in drawn if finding is not None))
    return out


def acuity_of(seed: int, patient: int, study: int) -> float:
    """The study's acuity (standard normal): sicker patients are filmed in bed more often."""
    lasting = stream("factors", seed, patient).standard_normal(len(FACTORS))
    fresh = stream("findings", seed, patient, study).standard_normal(len(FACTORS))
    return float(np.sqrt(0.6) * lasting[ACUITY] + np.sqrt(0.4) * fresh[ACUITY])


def _draw_one(
    name: str, prior: Prior, seed: int, patient: int, study: int, factors: np.ndarray, old: float
) -> Finding | None:
    """The finding, or None where its latent Gaussian stays below the quantile of its prevalence."""
    word = "finding " + name
    lasting = stream(word, seed, patient, CHRONIC)
    fresh = stream(word, seed, patient, study)
    own = lasting.standard_normal()
    if not prior.chronic:
        own = np.sqrt(0.5) * own + np.sqrt(0.5) * fresh.standard_normal()
    shared = np.asarray(prior.loadings)
    explained = min(float(shared @ shared) + prior.age**2, 0.9)
    # A chronic finding hangs on the lasting half of the factors alone, so that it does not come and go.
    if prior.chronic:
        factors = stream("factors", seed, patient).standard_normal(len(FACTORS))
    latent = float(shared @ factors) + prior.age * old + np.sqrt(1.0 - explained) * own
    above = latent - float(ndtri(1.0 - prior.prevalence))
    if above <= 0:
        return None
    rng = lasting if prior.chronic else fresh
    severity = float(np.clip(0.15 + 0.75 * above / (above + 0.55) + 0.18 * rng.standard_normal(), 0.05, 1.0))
    side: Side = "none"
    if sum(prior.sides):
        side = _choose(rng, ("right", "left", "both"), prior.sides)
    zone: Zone = "none"
    if sum(prior.zones):
        zone = _choose(rng, ("upper", "mid", "lower"), prior.zones)
    hedged = severity < 0.35 and name != "SupportDevice" and fresh.random() < 0.3
    return Finding(name, severity, side, zone, CHRONIC if prior.chronic else study, hedged)


def _choose(rng: np.random.Generator, options: tuple, weights: tuple[float, float, float]):  # type: ignore[no-untyped-def, type-arg]
    return options[int(np.searchsorted(np.cumsum(weights), rng.random() * sum(weights), side="right"))]
