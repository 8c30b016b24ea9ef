"""Manifest columns beside the image: age, sex, or any other column, coded by the training films.

Part of a person's risk is not on the film. A column of numbers gives its value, with the training mean where it is
blank; any other column gives an indicator of each value seen in training. Either gives one more indicator of "blank
or never seen" where training films had such, and a later film with an unseen value has all indicators 0. The head
standardises what it reads, image and covariates alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import ConfigError
from hilum.lookup import unknown_name

MAX_VALUES = 50  # of a column of words; more are ids or free text
NOT_COVARIATES = ("image", "image_id", "patient_id", "study_id", "split", "report", "findings", "impression", "sha256")


@dataclass(frozen=True)
class Column:
    """How one column is coded."""

    name: str
    mean: float | None  # of the training films; None for a column of words
    values: tuple[str, ...]  # of a column of words
    has_blanks: bool  # training films had blanks, so there is an indicator of them

    @property
    def width(self) -> int:
        """Numbers a film."""
        return (1 if self.mean is not None else len(self.values)) + self.has_blanks

    def encode(self, cells: pd.Series) -> NDArray[np.float32]:
        """The column (N,) as numbers (N, width)."""
        if self.mean is not None:
            numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
            blank = ~np.isfinite(numbers)
            parts = [np.where(blank, self.mean, numbers)]
        else:
            words = _words(cells)
            parts = [words == value for value in self.values]
            blank = ~np.isin(words, self.values)
        return np.stack([*parts, *([blank] if self.has_blanks else [])], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Covariates:
    """The columns that are joined to the image features, in order."""

    columns: tuple[Column, ...] = ()

    @property
    def width(self) -> int:
        """Numbers a film; 0 without covariates."""
        return sum(column.width for column in self.columns)

    @classmethod
    def fit(cls, table: pd.DataFrame, names: Sequence[str]) -> Covariates:
        """Code columns by the training films.

        Raises:
            ConfigError: no such column, one that must not be learned from, blank throughout, or of too many values.
        """
        if len(set(names)) < len(names):
            raise ConfigError(f"a column is named twice in {','.join(names)}", where="covariates", fix="Name it once")
        return cls(tuple(_fitted(table, name) for name in names))

    def encode(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """Rows of a table as (N, width).

        Raises:
            ConfigError: the table lacks a column.
        """
        for column in self.columns:
            if column.name not in table:
                raise unknown_name(column.name, list(table.columns), kind="column", where="covariates")
        parts = [column.encode(table[column.name]) for column in self.columns]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(table), 0), np.float32)

    def to_json(self) -> list[dict[str, Any]]:
        """The coding as plain JSON values."""
        return [{**vars(column), "values": list(column.values)} for column in self.columns]

    @classmethod
    def from_json(cls, columns: Sequence[dict[str, Any]]) -> Covariates:
        """Read what `to_json` wrote."""
        return cls(tuple(Column(**{**column, "values": tuple(column["values"])}) for column in columns))


def _fitted(table: pd.DataFrame, name: str) -> Column:
    allowed = [
        str(column)
        for column in table.columns
        if column not in NOT_COVARIATES and not str(column).startswith(("time.", "event."))
    ]
    if name not in allowed:
        raise unknown_name(name, allowed, kind="column", where="covariates")
    words = _words(table[name])
    blank = words == ""
    if blank.all():
        raise ConfigError(f"the column {name!r} is blank in all training films", where="covariates", fix="Leave it out")
    numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    if np.isfinite(numbers[~blank]).all():
        return Column(name, float(numbers[~blank].mean()), (), bool(blank.any()))
    values = tuple(sorted(set(words[~blank])))
    if len(values) > MAX_VALUES:
        raise ConfigError(
            f"the column {name!r} has {len(values)} different values",
            where="covariates",
            fix=f"Use columns of numbers, or of at most {MAX_VALUES} values",
        )
    return Column(name, None, values, bool(blank.any()))


def _words(cells: pd.Series) -> NDArray[Any]:
    """Cells as stripped text, blank for missing."""
    return np.array(["" if pd.isna(cell) else str(cell).strip() for cell in cells], dtype=str)
