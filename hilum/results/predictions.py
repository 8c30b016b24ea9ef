"""The table of predictions, checked once at the door: one row an image, `label.<Finding>` and `score.<Finding>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import UserError
from hilum.schema import LABEL_PREFIX

SCORE_PREFIX: Final = "score."  # score.<Finding>: probability in [0, 1]


@dataclass(frozen=True)
class Predictions:
    """A checked table as arrays."""

    table: pd.DataFrame  # N rows, as given
    findings: tuple[str, ...]  # K names: every finding that has a score
    unscored: tuple[str, ...]  # findings with a label column but no score: named, not judged
    patients: NDArray[np.str_]  # (N,)
    labels: NDArray[np.float64]  # (N, K) 1, 0, or NaN (blank)
    scores: NDArray[np.float64]  # (N, K) in [0, 1]


def check_predictions(table: pd.DataFrame) -> Predictions:
    """Check a table of predictions.

    A scored finding without a label column counts as blank everywhere, so that it is listed as undefined.

    Args:
        table: columns `image_id`, `patient_id`, `score.<Finding>`, `label.<Finding>`, and optional cohort
            columns.

    Raises:
        UserError: a column is missing, an id is blank or repeated, a label is not 1, 0 or blank, a score is
            missing or outside [0, 1], or rows of several splits are mixed; the message names the column and
            the row.
    """
    for column in ("image_id", "patient_id"):
        if column not in table.columns:
            raise _fault(f"the column {column!r} is missing", column, "Name the image and the patient of each row")
        blank = table[column].isna() | (table[column].astype(str).str.strip() == "")
        if blank.any():
            raise _fault(f"row {_first(blank)} is blank", column, "Give every image an image id and a patient id")
    twice = table["image_id"].duplicated()
    if twice.any():
        again = table["image_id"].iloc[_first(twice)]
        raise _fault(f"{again!r} appears more than once", "image_id", "Keep one row an image")
    if "split" in table.columns and table["split"].nunique(dropna=False) > 1:
        kinds = ", ".join(sorted(str(kind) for kind in table["split"].unique()))
        raise _fault(f"rows of several splits are mixed: {kinds}", "split", "Judge one split at a time")
    findings = tuple(name.removeprefix(SCORE_PREFIX) for name in table.columns if name.startswith(SCORE_PREFIX))
    labelled = [name.removeprefix(LABEL_PREFIX) for name in table.columns if name.startswith(LABEL_PREFIX)]
    if not findings or table.empty:
        missing = "there is no column score.<Finding>" if not findings else "there is no row"
        raise _fault(missing, None, "Evaluate a head on at least one labelled image")
    return Predictions(
        table=table,
        findings=findings,
        unscored=tuple(name for name in labelled if name not in findings),
        patients=table["patient_id"].to_numpy(dtype=str),
        labels=np.column_stack([_labels(table, finding) for finding in findings]),
        scores=np.column_stack([_scores(table, finding) for finding in findings]),
    )


def _labels(table: pd.DataFrame, finding: str) -> NDArray[np.float64]:
    column = LABEL_PREFIX + finding
    if column not in table.columns:
        return np.full(len(table), np.nan)
    values = _numbers(table, column)
    wrong = ~(np.isnan(values) | np.isin(values, (0.0, 1.0)))
    if wrong.any():
        raise _fault(
            f"row {_first(wrong)} is {values[wrong][0]:g}, not 1, 0 or blank",
            column,
            "Settle uncertain labels by a policy before judging",
        )
    return values


def _scores(table: pd.DataFrame, finding: str) -> NDArray[np.float64]:
    column = SCORE_PREFIX + finding
    values = _numbers(table, column)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise _fault(
            f"row {_first(wrong)} is {values[wrong][0]:g}, not a probability in [0, 1]",
            column,
            "Every image needs a score; apply the sigmoid to logits first",
        )
    return values


def _numbers(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    given = table[column]
    values = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    text = np.isnan(values) & given.notna().to_numpy()
    if text.any():
        raise _fault(f"row {_first(text)} is {given.iloc[_first(text)]!r}, not a number", column, "Write numbers")
    return values


def _first(rows: NDArray[np.bool_] | pd.Series) -> int:
    return int(np.flatnonzero(np.asarray(rows))[0])


def _fault(what: str, column: str | None, fix: str) -> UserError:
    return UserError(what, where="predictions" if column is None else f"predictions, column {column}", fix=fix)
