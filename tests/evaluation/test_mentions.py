"""Which sentences affirm a finding, and the places they name."""

from __future__ import annotations

import pytest

from hilum.datasets.phantom.patient import phantom_patient
from hilum.datasets.phantom.reports import report_of
from hilum.evaluation.mentions import Place, affirming_sentences, places_of, sides_of
from hilum.heads.prompt_file import read_prompts


@pytest.mark.parametrize(
    ("report", "found"),
    [
        ("There is a small left pleural effusion.", ["There is a small left pleural effusion."]),
        ("No pleural effusion.", []),
        ("There is no pneumothorax or pleural effusion.", []),
        ("Negative for pneumothorax and effusion.", []),
        ("No pneumothorax, but a left effusion.", ["No pneumothorax, but a left effusion."]),
        ("Effusion cannot be excluded.", ["Effusion cannot be excluded."]),
        ("FINDINGS: Effusion is seen. IMPRESSION: 1. EFFUSION. 2. Mass.", ["Effusion is seen.", "EFFUSION."]),
        ("No pneumothorax, effusion or mass.", []),
        ("Effusional change.", []),
        ("", []),
    ],
)
def test_sentences_that_affirm(report: str, found: list[str]) -> None:
    assert affirming_sentences(report, ("effusion", "pleural effusion")) == found


def test_phantom_reports_affirm_what_is_there_and_nothing_else() -> None:
    prompts = read_prompts("findings")
    for index in range(60):
        patient = phantom_patient(0, index)
        for study in patient.studies:
            text, present = report_of(patient, study).text, {finding.name for finding in study.findings}
            for finding in prompts.findings.keys() - {"NoFinding", "LungOpacity", "LungLesion"}:
                said = affirming_sentences(text, prompts[finding].terms)
                assert bool(said) == (finding in present), (finding, said, text)


def test_places() -> None:
    assert places_of("secondary PTB in the right upper field") == [Place("right", "upper")]
    assert places_of("Bilateral PTB") == [Place("left", None), Place("right", None)]
    assert places_of("bilateral PTB, with cavity formation in right upper field")[-1] == Place("right", "upper")
    assert places_of("left upper PTB, left pleurisy") == [Place("left", "upper"), Place("left", None)]
    assert places_of("bibasilar opacity") == [Place("left", "lower"), Place("right", "lower")]
    assert places_of("normal") == []
    assert str(Place("left", "upper")) == "left upper"
    assert (sides_of("Bilateral PTB"), sides_of("the right lung"), sides_of("normal")) == (
        {"left", "right"}, {"right"}, set(),
    )  # fmt: skip
