"""From decoded films and the user's table to the rows of the manifest: ids, joins, splits."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from hilum.dicom.deidentify import IdKind, pseudonym
from hilum.ingest.table import FilmTable
from hilum.manifest import assign_splits, same_patient

IMAGES = "images"
_SIZES = ("width", "height", "orig_width", "orig_height")
_FACTS = ("view_position", "age", "sex", "site", "device")
_KEY_FACTS: dict[str, tuple[IdKind, str]] = {  # table key -> kind of hash, fact of the film that it must equal
    "sop_instance_uid": ("image", "image_id"),
    "study_instance_uid": ("study", "study_id"),
    "accession_number": ("accession", "accession"),
    "patient_id": ("patient", "patient_id"),
}


@dataclass(frozen=True)
class Row:
    """One decoded film: its path in the folder, its name in the journal, what the worker reported."""

    file: str
    name: str
    is_dicom: bool
    facts: dict[str, Any]


def without_doubles(rows: Sequence[Row]) -> tuple[list[Row], dict[str, str]]:
    """Rows, and per refused file the reason: of two DICOM files of one SOP instance the first path is kept."""
    seen: set[str] = set()
    kept, refused = [], {}
    for row in rows:
        uid = row.facts.get("image_id", "") if row.is_dicom else ""
        if uid and uid in seen:
            refused[row.file] = f"another file has the same SOP Instance UID (image_id {uid})"
            continue
        seen.add(uid)
        kept.append(row)
    return kept, refused


def table_of(rows: Sequence[Row], table: FilmTable | None, key: bytes) -> tuple[pd.DataFrame, list[str]]:
    """The manifest's table without splits drawn, one row a film in the order given, and remarks in words."""
    notes: list[str] = []
    frame = pd.DataFrame([_film_columns(row) for row in rows])
    frame["image_id"] = _image_ids(rows)
    frame["patient_id"] = [row.facts.get("patient_id") or "" for row in rows]
    frame["study_id"] = [row.facts.get("study_id") or "" for row in rows]
    if table is not None:
        found = _matches(rows, table, key)
        notes += _match_notes(found, table)
        frame = _joined(frame, [row.is_dicom for row in rows], table, found, key)
    alone = (frame["patient_id"] == "").to_numpy(dtype=bool)
    if alone.any():
        notes.append(
            f"{int(alone.sum())} films have no patient id and count as one patient each. If patients have several "
            "films, give a --table with a patient_id column; otherwise a patient may be on both sides of a split."
        )
        frame["patient_id"] = frame["patient_id"].mask(alone, frame["image_id"])
    frame["study_id"] = frame["study_id"].mask(frame["study_id"] == "", frame["patient_id"])
    frame["image"] = [f"{IMAGES}/{file_name(image_id)}.png" for image_id in frame["image_id"]]
    blank = [name for name in ("age", "sex", "site", "device", "spacing_mm") if not _any(frame[name])]
    return frame.drop(columns=blank), notes


def split_column(frame: pd.DataFrame, *, seed: int, fractions: tuple[float, float, float]) -> list[str]:
    """Splits of the table where it gives one to the film or its patient, drawn by patient elsewhere."""
    drawn = assign_splits(frame["patient_id"], seed=seed, fractions=fractions)
    if "split" not in frame:
        return [str(name) for name in drawn]
    given = {same_patient(p): s for p, s in zip(frame["patient_id"], frame["split"], strict=True) if s}
    patients = [same_patient(patient) for patient in frame["patient_id"]]
    return [own or given.get(p, str(new)) for own, p, new in zip(frame["split"], patients, drawn, strict=True)]


def _film_columns(row: Row) -> dict[str, Any]:
    values = {name: row.facts.get(name) for name in (*_SIZES, "spacing_mm", "sha256", *_FACTS)}
    return {name: "" if value is None and name not in (*_SIZES, "age") else value for name, value in values.items()}


def _image_ids(rows: Sequence[Row]) -> list[str]:
    """Hashes for DICOM; for other files the stem, the path without suffix, or the path, whichever tells them apart."""
    paths = [PurePosixPath(row.file) for row in rows if not row.is_dicom]
    for name in (lambda p: p.stem, lambda p: "-".join(p.with_suffix("").parts), lambda p: "-".join(p.parts)):
        names = Counter(name(path) for path in paths)
        if not names or names.most_common(1)[0][1] == 1:
            break
    else:
        name = str
    return [
        row.facts.get("image_id") or hashlib.sha256(row.file.encode()).hexdigest()[:20]
        if row.is_dicom
        else name(PurePosixPath(row.file))
        for row in rows
    ]


def file_name(image_id: str) -> str:
    """The id itself where it is a safe file name, else a hash of it (ids of a table may hold anything)."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}", image_id):
        return image_id
    return hashlib.sha256(image_id.encode()).hexdigest()[:32]


def _matches(rows: Sequence[Row], table: FilmTable, key: bytes) -> list[int]:
    """Per film the table's row, -1 for none."""
    if table.by_path:
        return [table.rows.get(row.file, -1) for row in rows]
    kind, fact = _KEY_FACTS[table.key]
    hashed = {pseudonym(key, kind, value): number for value, number in table.rows.items()}
    return [hashed.get(row.facts.get(fact, ""), -1) if row.is_dicom else -1 for row in rows]


def _match_notes(found: list[int], table: FilmTable) -> list[str]:
    notes = []
    if without := sum(row < 0 for row in found):
        notes.append(f"{without} of {len(found)} films have no row in the table: their labels are blank.")
    if idle := len(table.rows) - len({row for row in found if row >= 0}):
        notes.append(f"{idle} of {len(table.rows)} rows of the table belong to no film that was kept.")
    return notes


def _joined(frame: pd.DataFrame, is_dicom: list[bool], table: FilmTable, found: list[int], key: bytes) -> pd.DataFrame:
    """The frame with the table's cells; a blank cell of the table leaves what the film says."""
    matched = pd.Series(found, index=frame.index)
    joined = table.frame.reindex(matched).set_index(frame.index)  # -1 is in no table: a row of NaN
    for name in joined.columns:
        cells = joined[name]
        numeric = pd.api.types.is_numeric_dtype(cells.dtype)
        if not numeric:
            cells = cells.astype(object).where(cells.notna(), "")
        if name in ("patient_id", "study_id"):
            if table.key == "patient_id" and name == "patient_id":
                continue  # it was the key: the film's own hash already
            kind: IdKind = "patient" if name == "patient_id" else "study"
            cells = pd.Series(
                [pseudonym(key, kind, c) if hide else c for c, hide in zip(cells, is_dicom, strict=True)],
                index=frame.index,
            )
        if name in frame.columns:
            empty = cells.isna() if numeric else cells == ""
            cells = cells.mask(empty, frame[name])
        frame[name] = cells
    return frame


def _any(column: pd.Series) -> bool:
    return bool((column.notna() & (column.astype(object) != "")).any())
