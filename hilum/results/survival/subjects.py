"""The table of followed subjects, checked once at the door: one row a person, with a score, a time and an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import UserError

Floats = NDArray[np.float64]

COLUMNS: Final = ("image_id", "patient_id", "score", "time", "event")
CODES: Final = (0.0, 1.0, 2.0)  # censored, event, competing cause


@dataclass(frozen=True)
class Subjects:
    """A checked table as arrays; NaN in both time and event where nobody knows what became of a subject."""

    table: pd.DataFrame  # N rows, as given
    patients: NDArray[np.str_]  # (N,) all different
    score: Floats  # (N,) larger means an earlier event
    time: Floats  # (N,) days from the film
    event: Floats  # (N,) 0, 1 or 2
    films: NDArray[np.int64]  # (N,) how many films a score comes from

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whose follow-up is known."""
        return ~np.isnan(self.time)

    @property
    def competing(self) -> bool:
        """Whether a competing cause was seen."""
        return bool((self.event == 2).any())

    def high(self, threshold: float) -> NDArray[np.bool_]:
        """Who is at high risk: a score of at least the threshold."""
        return self.score >= threshold


def check_subjects(table: pd.DataFrame) -> Subjects:
    """Check a table of followed subjects.

    Args:
        table: columns `image_id`, `patient_id`, `score`, `time` (days), `event` (0, 1, 2), and optionally `films`.

    Raises:
        UserError: there is no row, a column is missing, an id is blank, a person has several rows, a value is not a
            number, a score is missing, a time is negative, an event is none of 0, 1, 2, or only one of time and event
            is known; the message names the column and the row.
    """
    for column in COLUMNS:
        if column not in table.columns:
            raise _fault(f"the column {column!r} is missing", column, f"It needs {', '.join(COLUMNS)}")
    if table.empty:
        raise _fault("there is no row", None, "Evaluate on at least one film with a follow-up")
    for column in ("image_id", "patient_id"):
        blank = table[column].isna() | (table[column].astype(str).str.strip() == "")
        if blank.any():
            raise _fault(f"row {_first(blank)} is blank", column, "Give every row an image id and a patient id")
    twice = table["patient_id"].astype(str).duplicated()
    if twice.any():
        who = table["patient_id"].iloc[_first(twice)]
        fix = "Reduce the films of a person to one row by a named rule (first, last, mean): curves count subjects"
        raise _fault(f"{who!r} has more than one row", "patient_id", fix)
    score, time, event = (_numbers(table, column) for column in ("score", "time", "event"))
    _refuse(~np.isfinite(score), score, "score", "not a finite number", "Every subject needs a score")
    _refuse(~(np.isnan(time) | (np.isfinite(time) & (time >= 0))), time, "time", "not days >= 0", "Count from the film")
    _refuse(~(np.isnan(event) | np.isin(event, CODES)), event, "event", "not 0, 1, 2 or blank", "Code the cause")
    half = np.isnan(time) != np.isnan(event)
    if half.any():
        raise _fault(f"row {_first(half)} has a time or an event, not both", "time", "Know both or leave both blank")
    films = _numbers(table, "films") if "films" in table.columns else np.ones(len(table))
    _refuse(~(films >= 1), films, "films", "not a number of films", "Leave the column out, or count from 1")
    return Subjects(table, table["patient_id"].to_numpy(dtype=str), score, time, event, films.astype(np.int64))


def _numbers(table: pd.DataFrame, column: str) -> Floats:
    given = table[column]
    values = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    text = np.isnan(values) & given.notna().to_numpy()
    if text.any():
        raise _fault(f"row {_first(text)} is {given.iloc[_first(text)]!r}, not a number", column, "Write numbers")
    return values


def _refuse(wrong: NDArray[np.bool_], values: Floats, column: str, what: str, fix: str) -> None:
    if wrong.any():
        raise _fault(f"row {_first(wrong)} is {values[wrong][0]:g}, {what}", column, fix)


def _first(rows: NDArray[np.bool_] | pd.Series) -> int:
    return int(np.flatnonzero(np.asarray(rows))[0])


def _fault(what: str, column: str | None, fix: str) -> UserError:
    return UserError(what, where="subjects" if column is None else f"subjects, column {column}", fix=fix)
