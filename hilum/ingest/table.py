"""The user's table of labels, reports and patients, read in any of the spellings it may come in.

The key says which films a row belongs to: a `file` (or `image`) column with paths, else a DICOM id. Rows are checked
by the manifest's own rules before any film is decoded, so a fault costs seconds, not a night.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from hilum.dicom.facts import view_of
from hilum.errors import ConfigError, UserError
from hilum.lookup import unknown_name
from hilum.manifest.file import line_of, read_csv, read_parquet
from hilum.manifest.rules import NUMBERS, checked
from hilum.schema import (
    EVENT_PREFIX,
    FINDINGS,
    LABEL_PREFIX,
    OPTIONAL_COLUMNS,
    STORED_COLUMNS,
    TIME_PREFIX,
    label_column,
)

PATH_KEYS = ("file", "image")
ID_KEYS = ("sop_instance_uid", "study_instance_uid", "accession_number", "patient_id")
_TAKEN = ("image_id", "study_id", "patient_id", "view_position", "split", "source", *OPTIONAL_COLUMNS)
_PREFIXES = (LABEL_PREFIX, TIME_PREFIX, EVENT_PREFIX)
_SEXES = {"m": "M", "male": "M", "f": "F", "female": "F"}


@dataclass(frozen=True)
class FilmTable:
    """The checked rows of a user's table.

    Args:
        key: the column that says which films a row belongs to.
        rows: key value -> index into `frame`.
        frame: the manifest columns that the table fills.
        notes: what was left out, in words.
    """

    key: str
    rows: dict[str, int]
    frame: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def by_path(self) -> bool:
        """True if rows name files; then only those files are films of the set."""
        return self.key in PATH_KEYS


def read_table(path: Path, labels: Sequence[str] = ()) -> FilmTable:
    """Read and check a table.

    Args:
        path: CSV or Parquet.
        labels: which columns are findings: "column=Finding", or "Finding" if the column has that name.

    Raises:
        UserError: absent, no key column, a key twice, an unknown column in `labels`, or a manifest rule is broken.
    """
    if not path.is_file():
        raise UserError("no such table", where=path, fix="Give a CSV or Parquet file with --table")
    table = read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    columns = [str(name) for name in table.columns]
    table = table.rename(columns=_spellings(columns))
    columns = [str(name) for name in table.columns]
    key = next((name for name in (*PATH_KEYS, *ID_KEYS) if name in columns), None)
    if key is None:
        raise UserError(
            "no column says which films the rows belong to",
            where=path,
            fix=f"Add one of: {', '.join((*PATH_KEYS, *ID_KEYS))}; it has: {', '.join(columns)}",
        )
    taken = {name: table[name] for name in columns if name in _TAKEN or name.startswith(_PREFIXES)}
    named = _label_columns(labels, columns, path)
    taken |= {label_column(finding): table[column] for column, finding in named.items()}
    if "view_position" in taken:
        taken["view_position"] = taken["view_position"].map(lambda text: view_of(_text(text), exact=True))
    if "sex" in taken:
        taken["sex"] = taken["sex"].map(lambda text: _SEXES.get(_text(text).lower(), _text(text)))
    frame = _checked(pd.DataFrame(taken, index=table.index), path)
    ignored = [name for name in columns if name not in taken and name not in named]
    return FilmTable(key, _rows(table[key], key, path), frame, tuple(_notes(ignored, key)))


def normal_path(text: str) -> str:
    """A path as `hilum.dicom.scan` writes it."""
    return str(PurePosixPath(text.replace("\\", "/")))


def _text(value: object) -> str:
    return "" if value is None or value != value else str(value).strip()  # NaN is not itself


def _spellings(columns: list[str]) -> dict[str, str]:
    """Renamings of columns that are ours but for case and separators (`SOPInstanceUID`, `Patient ID`, `view`)."""
    known = {_plain(name): name for name in (*PATH_KEYS, *ID_KEYS, *_TAKEN)} | {"view": "view_position"}
    found: dict[str, str] = {}
    for column in columns:
        name = known.get(_plain(column))
        if name and name != column and name not in columns and name not in found.values():
            found[column] = name
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _label_columns(labels: Sequence[str], columns: list[str], path: Path) -> dict[str, str]:
    named: dict[str, str] = {}
    for label in labels:
        column, _, finding = (part.strip() for part in label.partition("="))
        if column not in columns:
            raise unknown_name(column, columns, kind="column", where=f"--labels, {path}")
        finding = (finding or column).removeprefix(LABEL_PREFIX)
        if finding in named.values():
            raise ConfigError(
                f"two columns for the finding {finding!r}", where="--labels", fix="Name each finding once"
            )
        named[column] = finding
    return named


def _checked(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The frame through the manifest's rules, with stand-ins for what only the films will tell."""
    given = list(frame.columns)
    stand_in = pd.Series([f"row-{row}" for row in range(len(frame))], index=frame.index, dtype=object)
    frame = frame.assign(image=stand_in)
    if "patient_id" not in frame:
        frame = frame.assign(patient_id=stand_in)
    return checked(frame, path)[given]


def _rows(keys: pd.Series, key: str, path: Path) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, value in enumerate(keys):
        name = normal_path(_text(value)) if key in PATH_KEYS and _text(value) else _text(value)
        if not name or name in rows:
            raise UserError(
                f"the key {name!r} is there twice" if name else "the key is blank",
                where=f"{path} line {line_of(path, row)}, column {key!r}",
                fix="Keep one row a key",
            )
        rows[name] = row
    return rows


def _notes(ignored: list[str], key: str) -> list[str]:
    ignored = [name for name in ignored if name not in (key, "image", *NUMBERS, *STORED_COLUMNS)]
    notes = [f"The table's rows are joined to films by the column {key!r}."]
    plain = {_plain(finding) for finding in FINDINGS}
    findings = [name for name in ignored if _plain(name) in plain]
    if findings:
        notes.append(f"Columns that look like findings and were not taken (use --labels): {', '.join(findings)}.")
    others = [name for name in ignored if name not in findings]
    if others:
        notes.append(f"Columns of the table that were not taken: {', '.join(others)}.")
    return notes
