"""The rules of the manifest's schema, each a small function that names the row and the column it objects to.

They run once, at the door (`Manifest.read`, `.from_table`, `.write`); nothing behind it checks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import NoReturn

import numpy as np
import pandas as pd

from hilum.errors import ManifestError
from hilum.manifest.file import line_of
from hilum.schema import (
    EVENT_PREFIX,
    FINDINGS,
    LABEL_PREFIX,
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    SPLITS,
    STORED_COLUMNS,
    TIME_PREFIX,
    VIEWS,
)

PREFIXES = (LABEL_PREFIX, TIME_PREFIX, EVENT_PREFIX)
MUST_BE_WRITTEN = ("image", "patient_id")  # the other required columns have defaults
NUMBERS = ("width", "height", "orig_width", "orig_height", "age")
MAX_AGE = 130.0  # years; ChestX-ray14 ships ages above 400, which are months or slips of the pen
# What other tables call our columns; an unknown column of such a name is a renamed one, not an extra.
ALSO_CALLED = {
    "image": ("path", "file", "filename", "image_path", "image_file", "image_index"),
    "patient_id": ("patient", "subject_id", "subject", "pid"),
    "study_id": ("study", "study_instance_uid"),
    "view_position": ("view", "views", "projection"),
    "split": ("fold", "subset", "partition"),
}
SPLIT_HINTS = {"valid": "val", "validation": "val", "dev": "val", "training": "train", "testing": "test"}


def checked(table: pd.DataFrame, path: Path | None, *, patients: bool = True) -> pd.DataFrame:
    """A checked copy with defaults filled in and the dtypes that `hilum.manifest.table` promises.

    Args:
        table: as read, rows indexed 0..N-1; any dtypes.
        path: the file it came from, for messages; None for a table made in memory.
        patients: refuse a patient who is in two splits; `hilum audit` lists them all instead.

    Raises:
        ManifestError: a rule is broken; the message names row and column.
    """
    check = _Check(path)
    table = table.copy()
    _check_columns(table, check)
    table = _with_text(table)
    _check_images(table, check)
    table = _with_defaults(table)
    _check_ids(table, check)
    _check_names(table, check)
    if patients:
        _check_patients(table, check)
    for name in table.columns:
        if _is_number(name):
            table[name] = _numbers(table[name], name, check)
    _check_endpoints(table, check)
    extras = [name for name in table.columns if name not in REQUIRED_COLUMNS]
    return table[[*REQUIRED_COLUMNS, *extras]]


def same_patient(patient_id: str) -> str:
    """The spelling under which two ids are certainly one patient: no outer spaces, no case."""
    return str(patient_id).strip().casefold()


class _Check:
    """Says where a fault is: `file line 7, column 'split'`."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def fail(self, what: str, *, column: str, fix: str, row: int | None = None) -> NoReturn:
        is_csv = self.path is not None and self.path.suffix.lower() != ".parquet"
        place = "" if row is None else f" {'line' if is_csv else 'row'} {line_of(self.path, row)}"
        raise ManifestError(what, where=f"{self.path or 'table'}{place}, column {column!r}", fix=fix)

    def each(self, bad: np.ndarray, values: Sequence[object], what: str, *, column: str, fix: str) -> None:
        """Fail on the first row where `bad` (N,) is true: "<value> <what>", with the number of such rows."""
        if bad.any():
            row, count = int(bad.argmax()), int(bad.sum())
            more = f" ({count} rows have this fault)" if count > 1 else ""
            self.fail(f"{values[row]!r} {what}{more}", column=column, fix=fix, row=row)


def _is_number(name: str) -> bool:
    return name in NUMBERS or name.startswith(PREFIXES)


def _check_columns(table: pd.DataFrame, check: _Check) -> None:
    table.columns = pd.Index([str(name) for name in table.columns])
    known = (*REQUIRED_COLUMNS, *STORED_COLUMNS, *OPTIONAL_COLUMNS, *NUMBERS)
    extras = [name for name in table.columns if name not in known and not name.startswith(PREFIXES)]
    for wanted in REQUIRED_COLUMNS:
        if wanted in table.columns:
            continue
        found = _renamed(wanted, extras)
        if found is not None:
            what = f"the column {wanted!r} is missing and {found!r} looks like it"
            check.fail(what, column=found, fix=f"Rename it to {wanted!r}")
        if wanted in MUST_BE_WRITTEN:
            fix = f"Add it; the columns are: {', '.join(table.columns)}"
            check.fail("this required column is missing", column=wanted, fix=fix)
    prefixes = {prefix[:-1]: prefix for prefix in PREFIXES} | {"labels": LABEL_PREFIX}
    for name in extras:
        stem, _, rest = name.replace("_", ".").replace(":", ".").partition(".")
        if stem.lower() in prefixes and rest:
            renamed = prefixes[stem.lower()] + name[len(stem) + 1 :]
            check.fail("not a column of the schema", column=name, fix=f"Rename it to {renamed!r}")
        if name in FINDINGS:
            fix = f"Rename it to {LABEL_PREFIX + name!r}"
            check.fail("a finding's column needs its prefix", column=name, fix=fix)
    if table.empty:
        check.fail("the table has no rows", column=REQUIRED_COLUMNS[0], fix="List at least one film")


def _renamed(wanted: str, extras: list[str]) -> str | None:
    """The unknown column that is most likely `wanted` under another name."""
    plain = {_plain(name): name for name in reversed(extras)}
    for name in (wanted, *ALSO_CALLED.get(wanted, ())):
        if _plain(name) in plain:
            return plain[_plain(name)]
    near = get_close_matches(_plain(wanted), list(plain), n=1, cutoff=0.85)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _with_text(table: pd.DataFrame) -> pd.DataFrame:
    """Every column that holds no numbers of ours as text, blank as ""."""
    for name in table.columns:
        if not _is_number(name):
            cells = table[name].astype(object)
            table[name] = cells.where(cells.notna(), "").astype(str)
    return table


def _check_images(table: pd.DataFrame, check: _Check) -> None:
    images = list(table["image"])
    rules = (
        ([not i.strip() for i in images], "is no path", "Write the film's path, or delete the row"),
        (
            [i.startswith(("/", "~", "\\")) or i[1:2] == ":" for i in images],
            "is an absolute path",
            "Write it relative to the manifest's folder",
        ),
        (["\\" in i or "\0" in i for i in images], "is not a POSIX path", "Use / between folders"),
        (
            [".." in PurePosixPath(i).parts for i in images],
            "leaves the manifest's folder",
            "Keep the manifest above its images and write paths without '..'",
        ),
        (list(table["image"].duplicated()), "is listed twice", "Keep one row an image"),
    )
    for bad, what, fix in rules:
        check.each(np.array(bad), images, what, column="image", fix=fix)


def _with_defaults(table: pd.DataFrame) -> pd.DataFrame:
    text = table["image"].dtype
    if "image_id" not in table:
        paths = [PurePosixPath(image) for image in table["image"]]
        ids: list[str] = []
        for ids in (
            [p.stem for p in paths],
            [str(p.with_suffix("")) for p in paths],
            [str(p) for p in paths],
        ):
            if len(set(ids)) == len(ids):
                break
        table["image_id"] = pd.Series(ids, dtype=text)
    if "study_id" not in table:
        table["study_id"] = table["patient_id"]
    for name in ("view_position", "split"):
        if name not in table:
            table[name] = pd.Series([""] * len(table), dtype=text)
    return table


def _check_ids(table: pd.DataFrame, check: _Check) -> None:
    for name in ("patient_id", "study_id", "image_id"):  # the patient first: the others may have been filled from it
        values = list(table[name])
        empty = np.array([not value.strip() for value in values])
        check.each(empty, values, "is no id", column=name, fix="Give every row an id")
        odd = np.array([not value.isprintable() for value in values])
        check.each(odd, values, "holds a control character", column=name, fix="Remove it")
    twice = table["image_id"].duplicated().to_numpy(dtype=bool)
    fix = "Give every image its own id"
    check.each(twice, list(table["image_id"]), "is used twice", column="image_id", fix=fix)


def _check_names(table: pd.DataFrame, check: _Check) -> None:
    for name, allowed in (("split", SPLITS), ("view_position", VIEWS)):
        values = list(table[name])
        bad = np.array([value != "" and value not in allowed for value in values])
        wrong = values[int(bad.argmax())].strip().casefold()
        hints = {option.casefold(): option for option in allowed} | SPLIT_HINTS
        near = hints.get(wrong)
        fix = f"Write {near!r}" if near in allowed else f"Use one of {', '.join(allowed)}, or leave it blank"
        check.each(bad, values, f"is not a {name.replace('_', ' ')}", column=name, fix=fix)


def _check_patients(table: pd.DataFrame, check: _Check) -> None:
    first: dict[str, tuple[str, str]] = {}
    for row, (patient, split) in enumerate(zip(table["patient_id"], table["split"], strict=True)):
        if not split:
            continue
        seen, other = first.setdefault(same_patient(patient), (patient, split))
        if split != other:
            spelled = "" if seen == patient else f", there spelled {seen!r}"
            check.fail(
                f"patient {patient!r} is in the split {split!r} here and in {other!r} above{spelled}",
                column="split",
                fix="Put all films of a patient into one split",
                row=row,
            )
    ids = list(table["patient_id"])
    padded = np.array([value != value.strip() for value in ids])
    check.each(padded, ids, "has outer spaces", column="patient_id", fix="Remove them")


def _numbers(column: pd.Series, name: str, check: _Check) -> pd.Series:
    """The column as float64, NaN for blank, after checking the values that its name allows."""
    cells = column.astype(object)
    shown = list(cells.where(cells.notna(), ""))
    blank = np.array([str(cell).strip().lower() in ("", "nan") for cell in shown])
    truth = np.array([isinstance(cell, bool | np.bool_) for cell in shown])
    kept = pd.Series(shown, dtype=object).mask(blank | truth)
    values = pd.to_numeric(kept, errors="coerce").to_numpy(dtype=np.float64)
    if name.startswith(LABEL_PREFIX):
        right = np.isin(values, (1.0, 0.0, -1.0))
    elif name.startswith(EVENT_PREFIX):
        right = np.isin(values, (0.0, 1.0, 2.0))
    else:
        right = np.isfinite(values) & (values >= 0) & (values <= (MAX_AGE if name == "age" else np.inf))
    check.each(~right & ~blank, shown, "is not allowed here", column=name, fix=_allowed(name))
    return pd.Series(values, index=column.index)


def _allowed(name: str) -> str:
    if name.startswith(LABEL_PREFIX):
        return "Write 1 (present), 0 (absent), -1 (uncertain), or leave it blank (unknown)"
    if name.startswith(EVENT_PREFIX):
        return "Write 0 (censored), 1 (event), 2 (competing cause), or leave it blank"
    if name == "age":
        return f"Write years from 0 to {MAX_AGE:.0f}, or leave it blank"
    return f"Write a number from 0 up{' (days)' if name.startswith(TIME_PREFIX) else ''}, or leave it blank"


def _check_endpoints(table: pd.DataFrame, check: _Check) -> None:
    for ours, theirs in ((TIME_PREFIX, EVENT_PREFIX), (EVENT_PREFIX, TIME_PREFIX)):
        for name in [name for name in table.columns if name.startswith(ours)]:
            partner = theirs + name.removeprefix(ours)
            if partner not in table:
                check.fail(f"the column {partner!r} that goes with it is missing", column=name, fix="Add it")
            alone = (table[name].notna() & table[partner].isna()).to_numpy(dtype=bool)
            what = f"stands alone, {partner!r} is blank in this row"
            check.each(alone, list(table[name]), what, column=name, fix="Fill both or neither")
