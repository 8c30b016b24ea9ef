"""From films to persons: one score and one observation each, so that curves and tests count subjects.

`first` and `last` take the score and the time of a person's first or last film. `mean` is the mean score of all of
them, known only when the last one was taken, so its time counts from the last film: counted from the first, everyone
would be alive up to the last by construction (immortal time).

The order of films is that of a column `study_date` or `day` where one is filled throughout. Otherwise it follows from
the times themselves: all of a person's times run to the same date, so the film with the longest one is the earliest.
Films of one moment are taken in the order of their ids, and the first of them counts.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from hilum.manifest import same_patient

Reduce = Literal["first", "last", "mean"]
DATES: Final = ("study_date", "day")  # columns that order the films of a person, in this preference


class Subjects(NamedTuple):
    """One row a person, and what a reader must know of how it was made."""

    table: pd.DataFrame  # the row of the film that counts, with the person's score and `films`, how many there were
    notes: tuple[str, ...]


def one_row_a_subject(table: pd.DataFrame, rule: Reduce, *, dates: pd.Series | None = None) -> Subjects:
    """Reduce films to persons.

    Args:
        table: a row a film, with image_id, patient_id, score, time (days > 0) and event; more columns are kept.
        rule: first, last or mean.
        dates: an order of the films, as `film_dates` gives it; None orders by time.

    Returns:
        Rows in the order of patients' first appearance.
    """
    person = pd.Series([same_patient(patient) for patient in table["patient_id"]], index=table.index)
    moment = -table["time"] if dates is None else dates
    ordered = table.assign(_person=person, _moment=moment).sort_values(
        ["_moment", "image_id"], ascending=[rule == "first", True], kind="stable"
    )
    chosen = ordered.drop_duplicates("_person").set_index("_person")
    by_person = table.groupby(person, sort=False)
    if rule == "mean":
        chosen["score"] = by_person["score"].mean()
    chosen["films"] = by_person.size()
    chosen = chosen.loc[list(by_person.groups)].drop(columns="_moment").reset_index(drop=True)
    notes = [f"{len(table)} films of {len(chosen)} subjects: {_RULES[rule]}"] if len(chosen) < len(table) else []
    torn = int((by_person["event"].nunique() > 1).sum())
    if torn:
        notes.append(f"The films of {torn} subjects end in different events; that of the film that counts was taken.")
    return Subjects(chosen, tuple(notes))


def film_dates(table: pd.DataFrame) -> pd.Series | None:
    """Ranks of the films by date; None where no column of dates is filled throughout.

    Numbers are ordered as numbers, other cells as text, which is right for YYYYMMDD and YYYY-MM-DD.
    """
    for name in DATES:
        if name in table and (table[name].notna() & (table[name].astype(str).str.strip() != "")).all():
            numbers = pd.to_numeric(table[name], errors="coerce")
            return (numbers if numbers.notna().all() else table[name].astype(str)).rank(method="dense").astype(np.int64)
    return None


_RULES: Final[dict[Reduce, str]] = {
    "first": "the score of the first film, followed from it.",
    "last": "the score of the last film, followed from it.",
    "mean": "the mean score of a person's films, followed from the last one.",
}
