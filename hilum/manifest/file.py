"""Reading a manifest's file, CSV or Parquet, without losing or guessing anything.

Pandas is told to keep every CSV cell as the text it is; what it would do silently (rename a repeated column, cut
a long row, fill a short one) is an error here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from hilum.errors import ManifestError


def read_csv(path: Path) -> pd.DataFrame:
    """All cells as text; UTF-8 with or without BOM, any line ends, quoted newlines allowed.

    Raises:
        ManifestError: absent, not UTF-8, empty, a repeated column, or a row of another length than the header.
    """
    try:
        header = _checked_header(path)
        # The header is ours (stripped), so pandas cannot rename a column; blank lines are skipped by both readers.
        table = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            header=0,
            names=header,
            index_col=False,
            encoding="utf-8-sig",
        )
    except UnicodeDecodeError as error:
        what = f"the file is not UTF-8 text ({error.reason} at byte {error.start})"
        raise ManifestError(what, where=path, fix="Save it as CSV UTF-8") from error
    except (pd.errors.ParserError, csv.Error) as error:
        raise ManifestError(f"not a readable CSV ({error})", where=path, fix="Check its quotes") from error
    except OSError as error:
        raise ManifestError(f"cannot be read ({error.strerror})", where=path, fix="Give a readable CSV") from error
    return table


def read_parquet(path: Path) -> pd.DataFrame:
    """The table as stored.

    Raises:
        ManifestError: damaged, or not Parquet.
    """
    try:
        return pd.read_parquet(path).reset_index(drop=True)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        what = f"not a readable Parquet file ({error})"
        raise ManifestError(what, where=path, fix="Make it again with `hilum prepare`") from error


def line_of(path: Path | None, row: int) -> int:
    """The line of a CSV on which data row `row` (from 0) starts; for other tables, the row counted from 1.

    Quoted cells may span lines, so the file is read again; this runs only when there is an error to report.
    """
    if path is None or path.suffix.lower() == ".parquet":
        return row + 1
    return next((line for number, (line, _) in enumerate(_rows(path)) if number == row + 1), row + 2)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of each row that is not blank, the header first."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        start = 1
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1


def _checked_header(path: Path) -> list[str]:
    rows = _rows(path)
    line, header = next(rows, (1, []))
    names = [name.strip() for name in header]
    if not any(names):
        fix = "The first line names the columns: image,patient_id,..."
        raise ManifestError("the file is empty", where=path, fix=fix)
    where = f"{path} line {line}"
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        what = "cells are separated by semicolons or tabs"
        raise ManifestError(what, where=where, fix="Save it as comma-separated CSV")
    for name in names:
        if not name:
            raise ManifestError("a column has no name", where=where, fix="Name it or delete it")
        if names.count(name) > 1:
            raise ManifestError(f"the column {name!r} is there twice", where=where, fix="Keep one of them")
    for line, cells in rows:
        if len(cells) != len(names):
            raise ManifestError(
                f"this row has {len(cells)} cells and the header {len(names)}",
                where=f"{path} line {line}",
                fix="Give every column one cell, blank if unknown, and quote cells that hold a comma",
            )
    return names
