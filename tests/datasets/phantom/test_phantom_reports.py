"""Reports: every present finding is told, with its side; only absent ones are denied; the wording varies."""

from __future__ import annotations

import re

import pytest

from hilum.datasets.phantom import Patient, Study, phantom_patient, report_of
from hilum.datasets.phantom.findings import PRIORS

# Written from how radiologists name these, not from the generator's own list.
WORDS = {
    "Atelectasis": r"atelecta",
    "Cardiomegaly": r"cardiomegaly|cardiac silhouette|enlarged heart|heart size|heart is normal",
    "Consolidation": r"consolidation|focal opacity",
    "Edema": r"edema",
    "Effusion": r"effusion|pleural fluid",
    "Emphysema": r"emphysem",
    "Fibrosis": r"fibro",
    "Fracture": r"fracture|bony thorax|osseous",
    "Hernia": r"hernia",
    "Mass": r"\bmass\b",
    "Nodule": r"nodul",
    "PleuralThickening": r"pleural thickening|thickening of the pleura|pleural scarring",
    "Pneumonia": r"pneumonia",
    "Pneumothorax": r"pneumothorax",
    "SupportDevice": r"support device",
}
DENIALS = r"^(no|there is no|negative for)\b|normal|intact|unremarkable|free of"


@pytest.fixture(scope="module")
def studies() -> list[tuple[Patient, Study]]:
    patients = [phantom_patient(31, index) for index in range(500)]
    return [(patient, study) for patient in patients for study in patient.studies]


def sentences(text: str) -> list[str]:
    return [s.strip().lower() for s in re.split(r"(?<=\.)\s+(?:\d+\.\s)?", re.sub(r"^\d+\.\s", "", text)) if s.strip()]


def test_present_findings_are_told_and_only_absent_ones_denied(studies: list[tuple[Patient, Study]]) -> None:
    assert set(WORDS) == set(PRIORS)
    denied_somewhere = set()
    for patient, study in studies:
        for line in sentences(report_of(patient, study).findings):
            denied = re.search(DENIALS, line) is not None
            for name, words in WORDS.items():
                if re.search(words, line):
                    present = study.finding(name) is not None
                    assert present != denied, (name, line)
                    denied_somewhere |= {name} if denied else set()
        told = report_of(patient, study).findings.lower()
        for finding in study.findings:
            assert re.search(WORDS[finding.name], told), (finding, told)
    assert denied_somewhere == set(PRIORS)


def test_sides_are_right(studies: list[tuple[Patient, Study]]) -> None:
    checked = 0
    for patient, study in studies:
        report = report_of(patient, study)
        for line in sentences(report.findings) + sentences(report.impression):
            if re.search(DENIALS, line):
                continue
            for finding in study.findings:
                if finding.side != "none" and re.search(WORDS[finding.name], line):
                    word = {"both": "bilateral"}.get(finding.side, finding.side)
                    assert re.search(rf"\b{word}\b", line), (finding, line)
                    others = {"right", "left", "bilateral"} - {word}
                    assert not others & set(re.findall(r"\w+", line)), (finding, line)
                    checked += 1
    assert checked > 300


def test_hedges_are_worded_as_hedges(studies: list[tuple[Patient, Study]]) -> None:
    hedge = r"possible|cannot be excluded|may represent|questionable"
    seen = 0
    for patient, study in studies:
        for line in sentences(report_of(patient, study).findings):
            about = [f for f in study.findings if re.search(WORDS[f.name], line)]
            if about and not re.search(DENIALS, line):
                assert (re.search(hedge, line) is not None) == about[0].hedged, line
                seen += about[0].hedged
    assert seen > 5


def test_first_studies_have_no_prior_and_later_ones_do(studies: list[tuple[Patient, Study]]) -> None:
    no_prior = r"no prior stud|comparison: none|no prior film|no previous examination"
    first = [report_of(p, s).text.lower() for p, s in studies if s.index == 0]
    later = [report_of(p, s).text.lower() for p, s in studies if s.index > 0]
    assert 0.5 < sum(bool(re.search(no_prior, text)) for text in first) / len(first) < 0.9
    assert not any(re.search(no_prior, text) for text in later)
    assert all("prior study" in text for text in later)


def test_wording_varies_and_is_well_formed(studies: list[tuple[Patient, Study]]) -> None:
    healthy = {report_of(p, s).text for p, s in studies if not s.findings}
    assert len(healthy) > 50
    for patient, study in studies:
        report = report_of(patient, study)
        assert report.text == f"FINDINGS: {report.findings} IMPRESSION: {report.impression}"
        assert "{" not in report.text
        assert "  " not in report.text
        assert report.impression
        assert all(re.match(r"(\d\. )?[A-Z]", part) for part in (report.findings, report.impression))
        assert not re.search(
            r"\ba an\b|\ba [aeiou]|\ban [^aeiou\W]|\ba mild|\ba severe (edema|fibro|emphy)", report.text
        )
