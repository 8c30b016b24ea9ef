"""Header facts: closed lists, numbers, and nothing of a hospital's free text."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from hilum.dicom.facts import age_years, header_facts, vendor_of, view_of
from tests.dicom.films import chest


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("PA", "PA"),
        (" pa ", "PA"),
        ("AP Supine", "AP"),
        ("AP_ERECT", "AP"),
        ("LL", "LATERAL"),
        ("L", "LATERAL"),
        ("lateral", "LATERAL"),
        ("Postero-anterior", "PA"),
        ("antero-posterior", "AP"),
        ("RAO", "OTHER"),
        ("", ""),
    ],
)
def test_view_field(text: str, view: str) -> None:
    assert view_of(text, exact=True) == view


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("Chest PA", "PA"),
        ("view: PA", "PA"),
        ("W Chest Lat.", "LATERAL"),
        ("PA and LAT", ""),
        ("Thorax L", ""),
        ("chest", ""),
    ],
)
def test_view_in_a_description(text: str, view: str) -> None:
    assert view_of(text, exact=False) == view


@pytest.mark.parametrize(
    ("age", "born", "studied", "years"),
    [
        ("062Y", "", "", 62),
        ("62", "", "", 62),
        ("018M", "", "", 1.5),
        ("010W", "", "", 0.19),
        ("365D", "", "", 1.0),
        ("", "19400305", "20040826", 64.48),
        ("", "20040826", "19400305", None),
        ("411Y", "", "", None),
        ("095Y", "", "", 90),
        ("X", "1940", "", None),
    ],
)
def test_age(age: str, born: str, studied: str, years: float | None) -> None:
    assert age_years(age, born, studied) == years


def test_vendor_is_from_a_list() -> None:
    assert vendor_of("Philips Medical Systems") == "philips"
    assert vendor_of("GE Healthcare") == "ge"
    assert vendor_of("St. George Hospital") == ""
    assert vendor_of("FUJIFILM Corporation") == "fuji"


def test_a_broken_optional_field_spoils_nothing() -> None:
    ds = chest(np.zeros((4, 4), np.uint8), PatientSex="X", SeriesDescription="Chest AP")
    facts = header_facts(ds)
    assert facts["view_position"] == "AP"
    assert facts["sex"] == ""
    assert facts["age"] is None
    assert header_facts(Dataset())["patient_id"] == ""


def test_view_code_sequence() -> None:
    ds = Dataset()
    code = Dataset()
    code.CodeValue, code.CodeMeaning = "R-10214", "postero-anterior"
    ds.ViewCodeSequence = [code]
    assert header_facts(ds)["view_position"] == "PA"
