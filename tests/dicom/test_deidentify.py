"""Ids as keyed hashes: same id, same hash; another key, another hash; the key kept for its owner."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from hilum.dicom.deidentify import deidentified, load_key, pseudonym
from hilum.dicom.facts import header_facts
from hilum.errors import UserError
from tests.dicom.films import chest

KEY = bytes(range(32))


def test_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "hilum.key"
    key = load_key(path)
    assert load_key(path) == key
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(tmp_path / "other.key") != key


def test_bad_keys_are_refused(tmp_path: Path) -> None:
    for text in ("not hex", "00ff"):
        (tmp_path / "k").write_text(text)
        with pytest.raises(UserError, match="not a key file"):
            load_key(tmp_path / "k")
    with pytest.raises(UserError, match="cannot be made"):
        load_key(tmp_path / "none" / "k")


def test_pseudonyms() -> None:
    assert pseudonym(KEY, "patient", "P1 ") == pseudonym(KEY, "patient", "p1")
    assert pseudonym(KEY, "patient", "P1") != pseudonym(KEY, "study", "P1")
    assert pseudonym(KEY, "patient", "P1") != pseudonym(KEY[::-1], "patient", "P1")
    assert pseudonym(KEY, "patient", "  ") == ""


def test_no_text_of_the_header_survives() -> None:
    canaries = {
        name: f"CANARY{number}"
        for number, name in enumerate(
            ("PatientID", "PatientName", "AccessionNumber", "InstitutionName", "Manufacturer", "ManufacturerModelName",
             "ViewPosition", "SeriesDescription", "StudyDescription", "StationName", "PatientSex")
        )
    }  # fmt: skip
    ds = chest(np.zeros((4, 4), np.uint8), **canaries)
    ds.StudyInstanceUID, ds.SOPInstanceUID = "1.99999.1", "1.99999.2"
    facts = deidentified(header_facts(ds), KEY)
    text = json.dumps(facts).upper()
    assert "CANARY" not in text
    assert "99999" not in text
    assert facts["view_position"] == "OTHER"


def test_films_without_ids() -> None:
    ds = chest(np.zeros((4, 4), np.uint8), PatientID="")
    facts = deidentified(header_facts(ds), KEY)
    assert facts["patient_id"] == pseudonym(KEY, "patient", "1.2.3.4")  # the study stands for its patient
    del ds.StudyInstanceUID
    assert deidentified(header_facts(ds), KEY)["patient_id"] == pseudonym(KEY, "patient", "1.2.3.4.5")
