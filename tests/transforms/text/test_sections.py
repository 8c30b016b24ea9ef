from __future__ import annotations

import re
import tarfile
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.transforms.text import sections
from hilum.transforms.text.sections import HEADINGS, SECTIONS, choose_sections, find_sections, split_sections

MIMIC_STYLE = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PORTABLE AP)

 INDICATION:  ___F with dyspnea  // eval for pneumonia

 COMPARISON:  None.

 FINDINGS:

 The lungs are clear.  No effusion: none seen.

 IMPRESSION:

 No acute process.
"""


def test_a_report_with_a_heading_a_section() -> None:
    assert split_sections(MIMIC_STYLE) == {
        "preamble": "FINAL REPORT",
        "examination": "CHEST (PORTABLE AP)",
        "indication": "___F with dyspnea  // eval for pneumonia",
        "comparison": "None.",
        "findings": "The lungs are clear.  No effusion: none seen.",
        "impression": "No acute process.",
    }


def test_the_same_report_on_one_line() -> None:
    one_line = " ".join(MIMIC_STYLE.split())
    assert split_sections(one_line) == {k: " ".join(v.split()) for k, v in split_sections(MIMIC_STYLE).items()}


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("FINDINGS:", "findings"),
        ("Findings :", "findings"),
        ("findings:", "findings"),
        ("**Findings:**", "findings"),
        ("2. FINDINGS:", "findings"),
        ("RADIOGRAPHIC FINDINGS:", "findings"),
        ("FINDINGS (PA AND LATERAL):", "findings"),
        ("IMPRESSION -", "impression"),
        ("Conclusion:", "impression"),
        ("FINAL DIAGNOSIS:", "impression"),
        ("OPINION:", "impression"),
        ("REASON FOR THIS EXAMINATION:", "indication"),
        ("Clinical Information:", "indication"),
        ("CLINICAL INDICATION:", "indication"),
        ("CLINICAL HISTORY:", "history"),
        ("UNDERLYING MEDICAL CONDITION:", "history"),
        ("MEDICAL CONDITION:", "history"),
        ("COMPARISON STUDY:", "comparison"),
        ("Comparisons:", "comparison"),
        ("PRIOR  EXAMS:", "comparison"),
        ("TECHNIQUE:", "technique"),
        ("EXAM:", "examination"),
        ("DATE OF EXAM:", "date"),
        ("RECOMMENDATION(S):", "recommendation"),
        ("WET READ:", "wet_read"),
        ("PRELIMINARY REPORT:", "wet_read"),
        ("NOTIFICATION:", "notification"),
        ("ADDENDUM:", "addendum"),
        ("FINDINGS AND IMPRESSION:", "findings_impression"),
        ("Findings/Impression:", "findings_impression"),
        ("IMPRESSION AND FINDINGS:", "findings_impression"),
        ("PA AND LATERAL CHEST:", "findings"),
        ("CHEST, TWO VIEWS:", "findings"),
        ("FINDINGS\n", "findings"),
        ("Impression\r\n", "impression"),
    ],
)
def test_spellings(heading: str, name: str) -> None:
    assert split_sections(f"Chest film\n{heading} Clear lungs.") == {"preamble": "Chest film", name: "Clear lungs."}


@pytest.mark.parametrize("name", HEADINGS)
def test_every_spelling_begins_as_the_quick_check_expects(name: str) -> None:
    for spelling in HEADINGS[name]:
        for word in re.findall(r"(?<![a-z?])[a-z]{4,}", spelling):  # more words than can begin a heading
            known = re.match(sections._BEGINS, word) is not None
            assert known or word in ("this", "with", "question"), word


@pytest.mark.parametrize(
    "text",
    [
        "The findings: clear lungs.",  # lower case within a sentence
        "These are the main\nfindings of the study",
        "LUNGS: Clear. HEART: Normal.",  # sub-headings of findings
        "No FINDINGS of note, no IMPRESSION given",
        "Seen in history - none",
        "12:30 pm",
    ],
)
def test_no_heading_leaves_the_text_whole(text: str) -> None:
    assert split_sections(text) == {"report": text}


def test_a_heading_behind_a_word_that_could_belong_to_it() -> None:
    text = "INDICATION: pain in the chest FINDINGS: Clear, clinical INDICATION: cough"
    assert split_sections(text) == {"indication": "pain in the chest\ncough", "findings": "Clear, clinical"}


def test_lower_case_needs_the_end_of_a_sentence_before_it() -> None:
    assert split_sections("findings: clear lungs. impression: normal.") == {
        "findings": "clear lungs.",
        "impression": "normal.",
    }


def test_film_name_is_the_examination_where_findings_have_their_own_heading() -> None:
    parts = split_sections("PORTABLE AP CHEST: 5 pm\nFINDINGS: Clear.")
    assert parts == {"examination": "5 pm", "findings": "Clear."}


def test_two_sections_of_one_name_are_joined_and_empty_ones_are_kept() -> None:
    parts = split_sections("FINDINGS: Clear.\nIMPRESSION:\nFINDINGS: Again clear.")
    assert parts == {"findings": "Clear.\nAgain clear.", "impression": ""}


def test_empty_texts() -> None:
    assert find_sections("") == []
    assert split_sections("") == {}
    assert split_sections(" \n") == {}


def test_choosing() -> None:
    parts = split_sections("FINDINGS: Clear.\nIMPRESSION: Normal.\nTECHNIQUE: AP")
    assert choose_sections(parts, ("impression", "findings")) == "Normal.\nClear."
    assert choose_sections(parts, ("history",)) == ""
    both = split_sections("FINDINGS AND IMPRESSION: Clear.")
    assert choose_sections(both, ("impression", "findings")) == "Clear."  # once
    assert choose_sections(split_sections("Clear lungs."), ("impression",)) == "Clear lungs."


def test_names_are_plain_words() -> None:
    assert set(SECTIONS) == set(HEADINGS) - {"findings_impression"}
    assert all(name.isidentifier() for name in HEADINGS)


SNIPPETS = st.sampled_from(
    [
        "FINDINGS:",
        "Impression:",
        "\n",
        "\r\n",
        " ",
        "clear lungs",
        ". ",
        "CHEST, TWO VIEWS:",
        "HISTORY",
        "**",
        "no",
        ":",
        "🙂",
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(SNIPPETS, max_size=20).map("".join)))
def test_no_character_is_lost(text: str) -> None:
    sections = find_sections(text)
    assert "".join(text[s.start : s.end] for s in sections) == text
    for section in sections:
        assert section.start <= section.body <= section.end
    assert all(a.end == b.start for a, b in pairwise(sections))


def test_ten_thousand_words_take_no_time() -> None:
    text = "FINDINGS: " + "the chest and lungs are clear, upright, portable " * 2000
    assert list(split_sections(text)) == ["findings"]


@pytest.fixture(scope="module")
def openi(shared: Path) -> list[list[tuple[str, str]]]:
    """(label, text) of the sections of each Open-i report."""
    archive = shared / "data/openi_reports/ecgen-radiology.tar.gz"
    if not archive.is_file():
        pytest.skip("needs the Open-i reports")
    reports = []
    with tarfile.open(archive) as files:
        for member in sorted(files.getmembers(), key=lambda member: member.name):
            if member.name.endswith(".xml"):
                file = files.extractfile(member)
                assert file is not None
                parts = ElementTree.parse(file).getroot().iter("AbstractText")
                reports.append([(p.get("Label", ""), (p.text or "").strip()) for p in parts])
    return reports


@pytest.mark.parametrize(
    ("between", "case"), [("\n", str.upper), (" ", str.upper), ("\n\n", str.title), (" ", str.title)]
)
def test_all_open_i_reports_come_apart_as_they_were(
    openi: list[list[tuple[str, str]]], between: str, case: object
) -> None:
    """The rest are reports whose own text holds headings, or repeats the whole report within one section."""
    assert len(openi) == 2950
    assert callable(case)
    right = total = 0
    for report in openi:
        parts = split_sections(between.join(f"{case(label)}: {text}" for label, text in report))
        right += sum(parts.get(label.lower(), "") == text for label, text in report)
        total += len(report)
    assert total == 11_800
    assert right / total > 0.9975
