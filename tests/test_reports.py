from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError, ManifestError
from hilum.manifest import Manifest
from hilum.reports import Reports, groups_of, normalised, reports_of

FULL = "FINDINGS: Clear lungs.\nIMPRESSION: No acute process."


def manifest(*rows: Mapping[str, str], **common: str) -> Manifest:
    """A manifest of one film a row, each of its own patient and study unless said."""
    defaults = [{"image": f"{i}.png", "patient_id": f"p{i}", "study_id": f"s{i}", **common} for i in range(len(rows))]
    table = pd.DataFrame([{**default, **row} for default, row in zip(defaults, rows, strict=True)])
    return Manifest.from_table(table, ".")


def test_whole_reports_and_what_stands_in_for_them() -> None:
    films = manifest(
        {"report": f" {FULL}\n"},
        {"findings": "Clear.", "impression": "Normal."},
        {"impression": "Normal."},
        {"report": "Whole.", "findings": "Not used."},
        {},
    )
    reports = reports_of(films)
    assert reports.texts == (FULL, "Clear.\nNormal.", "Normal.", "Whole.", "")
    assert reports.present.tolist() == [True] * 4 + [False]
    assert len(reports) == 5


def test_chosen_sections_come_in_the_order_given_columns_first() -> None:
    films = manifest(
        {"report": FULL},
        {"report": FULL, "findings": "From the column."},
        {"report": "No headings here.", "impression": "Normal."},
        {"report": "No headings here."},
        {"report": "FINDINGS AND IMPRESSION: Both at once."},
        {"report": "INDICATION: Cough."},
        {},
    )
    reports = reports_of(films, ("impression", "findings"))
    assert reports.texts == (
        "No acute process.\nClear lungs.",
        "No acute process.\nFrom the column.",
        "Normal.",
        "No headings here.",
        "Both at once.",
        "",
        "",
    )
    assert reports.lacking == {"impression": 1, "findings": 2}
    assert reports.undivided == 1


def test_reports_that_say_nothing_are_no_reports() -> None:
    reports = reports_of(manifest({"report": "N/A"}, {"report": "None."}, {"report": " "}, {"report": "Clear."}))
    assert reports.texts == ("", "", "", "Clear.")
    assert reports.empty == 2


def test_the_counts_are_one_line() -> None:
    films = manifest(
        {"report": FULL}, {"report": FULL.upper()}, {"report": "N/A"}, {"report": "Dr. ___ was notified."}, {}
    )
    assert reports_of(films, ("findings", "impression")).line() == (
        "reports: 3 of 5 films have text, 1 say nothing, 1 have none; "
        "2 distinct texts, 1 of them boiler-plate only; 4 groups of films that share a study or a text; "
        "section 'findings' missing in 0; section 'impression' missing in 0; 2 reports without headings taken whole"
    )


def test_films_of_a_study_or_with_the_same_text_are_one_group_however_far() -> None:
    films = manifest(
        {"patient_id": "a", "study_id": "1", "report": "Clear  lungs."},
        {"patient_id": "A", "study_id": "1", "report": "Mass."},
        {"patient_id": "b", "study_id": "1", "report": "clear\nLUNGS."},
        {"patient_id": "c", "study_id": "1", "report": ""},
        {"patient_id": "d", "study_id": "1", "report": ""},
        {"patient_id": "e", "study_id": "1", "report": "mass."},
    )
    assert reports_of(films).groups.tolist() == [0, 0, 0, 1, 2, 0]
    assert reports_of(films).groups.dtype == np.int64


def test_groups_follow_the_chosen_text() -> None:
    films = manifest({"report": "FINDINGS: A b.\nIMPRESSION: Same."}, {"report": "FINDINGS: C d.\nIMPRESSION: Same."})
    assert len(set(reports_of(films).groups)) == 2
    assert len(set(reports_of(films, ("impression",)).groups)) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("123456"), st.sampled_from(["", "x", "y", "X "])), max_size=12
    )
)
def test_groups_are_connected_components(rows: list[tuple[str, str, str]]) -> None:
    patients, studies, texts = [list(column) for column in zip(*rows, strict=True)] if rows else ([], [], [])
    groups = groups_of(patients, studies, texts)
    plain = [{i} for i in range(len(rows))]
    for i, (patient, study, text) in enumerate(rows):  # the slow way: merge sets until nothing changes
        for j, (other_patient, other_study, other_text) in enumerate(rows[:i]):
            same_text = bool(normalised(text)) and normalised(text) == normalised(other_text)
            if (patient, study) == (other_patient, other_study) or same_text:
                merged = plain[i] | plain[j]
                for member in merged:
                    plain[member] = merged
    assert [{int(k) for k in np.flatnonzero(groups == group)} for group in groups] == plain
    assert sorted(set(groups.tolist())) == list(range(len({frozenset(s) for s in plain})))


def test_a_manifest_without_reports_is_refused_with_the_columns_named() -> None:
    with pytest.raises(ManifestError, match=r"the columns report, findings, impression are missing.*Fill 'report'"):
        reports_of(manifest({}, {}))
    with pytest.raises(ManifestError, match="has no report text: the columns findings, impression are missing"):
        reports_of(manifest({"report": ""}, {"report": "  "}))
    with pytest.raises(ManifestError, match="has no report text: all of report, findings, impression are blank"):
        reports_of(manifest({"report": "N/A", "findings": "", "impression": "none"}))
    with pytest.raises(ManifestError, match=r"has no report with 'history' or 'addendum'. Choose other sections"):
        reports_of(manifest({"report": FULL}), ("history", "addendum"))


def test_an_unknown_section_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown section 'finding'. Did you mean 'findings'.*impression"):
        reports_of(manifest({"report": FULL}), ("finding",))


def test_reports_can_be_made_by_hand() -> None:
    reports = Reports(("a", ""), np.array([0, 1], dtype=np.int64))
    assert reports.line().startswith("reports: 1 of 2 films have text, 0 say nothing, 1 have none")
