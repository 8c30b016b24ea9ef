"""Synthetic chest radiographs with known truth. They prove software, not medicine.

Procedural patients (3-D anatomy, correlated findings, several studies) are projected by Beer-Lambert into PA,
AP and lateral films. `write_phantom` makes a data set of them; see docs/phantom.md for how and how far to trust
it.

Source: https://en.wikipedia.org/wiki/Beer-Lambert_law for the physics; the anatomy and the distribution are our
own. Departures: rays are parallel for each shape after magnifying it for its own depth; one energy; no real
patient.
"""

from __future__ import annotations

from hilum.datasets.phantom.findings import PHANTOM_FINDINGS, Finding
from hilum.datasets.phantom.patient import Build, Patient, Study, View, phantom_patient
from hilum.datasets.phantom.render import render
from hilum.datasets.phantom.reports import Report, report_of
from hilum.datasets.phantom.survival import ENDPOINTS, Outcome, outcomes, true_risk
from hilum.datasets.phantom.truth import Box, Truth, cardiothoracic_ratio, truth_of
from hilum.datasets.phantom.write import write_phantom

__all__ = [
    "ENDPOINTS",
    "PHANTOM_FINDINGS",
    "Box",
    "Build",
    "Finding",
    "Outcome",
    "Patient",
    "Report",
    "Study",
    "Truth",
    "View",
    "cardiothoracic_ratio",
    "outcomes",
    "phantom_patient",
    "render",
    "report_of",
    "true_risk",
    "truth_of",
    "write_phantom",
]
