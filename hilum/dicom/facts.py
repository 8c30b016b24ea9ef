"""Header facts that a manifest needs, in our words: view, age, sex, device, spacing, and the raw ids.

Header text is free text from a hospital, so nothing of it passes through: views, sexes and vendors come out as members
of closed lists, ages as numbers. Only the four ids and the institution keep their text, for
`hilum.dicom.deidentify` to hash.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

from pydicom.dataset import Dataset

MAX_AGE = 130.0
OLDEST = 90.0  # ages above 89 identify people (HIPAA safe harbour, 45 CFR 164.514(b)(2)(i)(C)): kept as 90
_VIEWS = {
    "PA": ("PA", "POSTEROANTERIOR", "POSTERO ANTERIOR", "POSTERIOR ANTERIOR"),
    "AP": ("AP", "ANTEROPOSTERIOR", "ANTERO POSTERIOR", "ANTERIOR POSTERIOR"),
    "LATERAL": ("L", "R", "LL", "RL", "LLAT", "RLAT", "LAT", "LATERAL"),
}
_VENDORS = (
    "agfa", "canon", "carestream", "del medical", "drgem", "fuji", "ge", "hologic", "kodak",
    "konica", "lodox", "mindray", "philips", "rayence", "samsung", "sedecal", "shimadzu",
    "siemens", "swissray", "toshiba", "varian", "vieworks",
)  # fmt: skip


def view_of(text: str, *, exact: bool) -> str:
    """A view position of `hilum.schema.VIEWS`, or "" if the text names none.

    Args:
        text: "PA", "ap supine", "Chest LAT", "postero-anterior" ...
        exact: the text is a view field, so words that name no known view mean OTHER; else it is a description, whose
            single letters mean nothing and which may name two views (then "").
    """
    words = " ".join(re.sub(r"[^A-Z]+", " ", text.upper()).split())
    if not words:
        return ""
    found = {
        view
        for view, names in _VIEWS.items()
        if any(f" {name} " in f" {words} " for name in names if exact or len(name) > 1)
    }
    if len(found) == 1:
        return found.pop()
    return "OTHER" if exact else ""


def header_facts(ds: Dataset) -> dict[str, Any]:
    """The facts of one data set; absent ones are "" (text) or None (numbers)."""
    view = view_of(_text(ds, "ViewPosition"), exact=True)
    codes = ds.get("ViewCodeSequence")
    if not view and codes:
        view = view_of(_text(codes[0], "CodeMeaning"), exact=False)
    if not view:
        view = view_of(_text(ds, "SeriesDescription"), exact=False)
    sex = _text(ds, "PatientSex").upper()
    return {
        "patient_id": _text(ds, "PatientID"),
        "study_uid": _text(ds, "StudyInstanceUID"),
        "sop_uid": _text(ds, "SOPInstanceUID"),
        "accession_number": _text(ds, "AccessionNumber"),
        "institution": _text(ds, "InstitutionName"),
        "view_position": view,
        "sex": sex if sex in ("M", "F", "O") else "",
        "age": age_years(_text(ds, "PatientAge"), _text(ds, "PatientBirthDate"), _text(ds, "StudyDate")),
        "vendor": vendor_of(_text(ds, "Manufacturer")),
        "model": f"{_text(ds, 'Manufacturer')}|{_text(ds, 'ManufacturerModelName')}",
    }


def age_years(age: str, born: str, studied: str) -> float | None:
    """Age at the study in years (PS3.5 6.2 AS: nnnD, nnnW, nnnM, nnnY; a bare number counts as years).

    Falls back on the dates; an age beyond 130 is no age; above 89 it is 90.
    """
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", age.upper())
    years: float | None = None
    if match:
        years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0, "": 1.0}[match[2]]
    else:
        try:
            days = (_day(studied) - _day(born)).days
            years = days / 365.25 if days >= 0 else None
        except ValueError:
            years = None
    if years is None or years > MAX_AGE:
        return None
    return min(round(years, 2), OLDEST)


def vendor_of(manufacturer: str) -> str:
    """The maker from a closed list, or ""."""
    words = f" {re.sub(r'[^a-z]+', ' ', manufacturer.lower())} "
    return next((name for name in _VENDORS if (f" {name} " if len(name) < 3 else f" {name}") in words), "")


def spacing_of(ds: Dataset) -> tuple[float, float] | None:
    """Pixel Spacing, else Imager Pixel Spacing (PS3.3 10.7.1.1: at the detector, so magnified), (row, column) in mm."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(value) for value in ds.get(keyword) or ())
        except Exception:  # absent, one number, text: pydicom raises many types
            continue
        if math.isfinite(row) and math.isfinite(column) and row > 0 and column > 0:
            return row, column
    return None


def _text(ds: Dataset, keyword: str) -> str:
    try:
        value = ds.get(keyword)
    except Exception:  # pydicom parses on access and raises many types; a broken optional field spoils no film
        return ""
    if value is None:
        return ""
    if not isinstance(value, str):
        value = "\\".join(str(part) for part in value) if hasattr(value, "__iter__") else str(value)
    return value.strip().strip("\0").strip()


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
