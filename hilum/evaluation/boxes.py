"""Boxes around findings, read from COCO JSON or from a table, and matched with the films of a manifest.

COCO: `images` (id, file_name, width, height), `categories`, `annotations` (image_id, category_id, bbox, and optionally
`phrase`, or `label_text` as in MS-CXR). Table (CSV or Parquet), one box a row: an image column, x, y, w, h in pixels,
and optionally category, phrase, image_width, image_height.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd

from hilum.errors import ConfigError
from hilum.manifest import Manifest

COLUMNS: Final = ("image", "category", "phrase", "x", "y", "w", "h", "width", "height")
SPELLINGS: Final = {  # our column -> how tables call it, the first that is there counts
    "image": ("image_id", "dicom_id", "image", "path", "file_name"),
    "category": ("category", "category_name", "finding", "label"),
    "phrase": ("phrase", "label_text", "sentence"),
    "x": ("x",),
    "y": ("y",),
    "w": ("w", "box_width"),
    "h": ("h", "box_height"),
    "width": ("image_width",),
    "height": ("image_height",),
}
NEEDED: Final = ("image", "x", "y", "w", "h")


def read_boxes(path: str | Path) -> pd.DataFrame:
    """Boxes of a file, one a row.

    Args:
        path: .json (COCO), .csv or .parquet.

    Returns:
        Columns `COLUMNS`: image, category and phrase as text ("" where unknown), the rest float64; width and height of
        the picture the box is given in, NaN where unknown.

    Raises:
        ConfigError: no such file, not of these forms, no box, or a box without an area; names the row.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError("no such file", where=path, fix="Give boxes as COCO .json, .csv or .parquet")
    try:
        if path.suffix.lower() == ".json":
            table = _coco(json.loads(path.read_text()), path)
        else:
            reader = pd.read_parquet if path.suffix.lower() == ".parquet" else pd.read_csv
            table = _named(reader(path), path)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read as boxes ({type(error).__name__}: {' '.join(str(error).split())[:120]})",
            where=path,
            fix="Give COCO .json, or a table with the columns image_id, x, y, w, h",
        ) from error
    if table.empty:
        raise ConfigError("holds no box", where=path, fix="Grounding is scored against boxes; give a file with some")
    numbers = table[["x", "y", "w", "h"]].to_numpy()
    wrong = ~np.isfinite(numbers).all(axis=1) | (numbers[:, 2:] <= 0).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ConfigError(
            f"box {row + 1} (image {table['image'].iloc[row]!r}) has no area: x, y, w, h = {numbers[row].tolist()}",
            where=path,
            fix="Boxes are left, top, width, height in pixels",
        )
    return table


def match_films(table: pd.DataFrame, manifest: Manifest) -> tuple[pd.DataFrame, int]:
    """The boxes of the manifest's films, with the film's row in a column `row`, and how many boxes match none.

    An image is matched by its id, else by its path, else by the stem of its file where only one film has it.
    """
    films = manifest.table
    stems = films["image"].map(lambda name: PurePosixPath(name).stem)
    keys: dict[str, int] = {}
    unique = stems[~stems.duplicated(keep=False)]
    for names in (unique, films["image"], films["image_id"]):  # later ones win
        keys.update(zip(names, names.index, strict=True))
    row = table["image"].map(keys)
    row = row.fillna(table["image"].map(lambda name: PurePosixPath(name).stem).map(keys))
    known = row.notna()
    return table[known].assign(row=row[known].astype(int)).reset_index(drop=True), int((~known).sum())


def _coco(content: Any, path: Path) -> pd.DataFrame:
    """COCO content as rows."""
    if not isinstance(content, Mapping) or not {"images", "annotations", "categories"} <= set(content):
        raise ConfigError("is not COCO", where=path, fix="It needs the keys images, annotations and categories")
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    rows = []
    for note in content["annotations"]:
        image = images[note["image_id"]]
        key = image["id"] if isinstance(image["id"], str) else image.get("file_name", str(image["id"]))
        phrase = note.get("phrase", note.get("label_text", ""))
        size = (image.get("width", np.nan), image.get("height", np.nan))
        rows.append((str(key), names[note["category_id"]], str(phrase or ""), *map(float, (*note["bbox"], *size))))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _named(given: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table under our column names."""
    found = {}
    for ours, spellings in SPELLINGS.items():
        column = next((name for name in spellings if name in given.columns), None)
        if column is None and ours in NEEDED:
            raise ConfigError(
                f"has no column {' or '.join(spellings)}", where=path, fix=f"Its columns are {', '.join(given.columns)}"
            )
        text = ours in ("image", "category", "phrase")
        if column is None:
            found[ours] = pd.Series([""] * len(given)) if text else pd.Series(np.nan, index=range(len(given)))
        elif text:
            found[ours] = given[column].fillna("").astype(str).str.strip().reset_index(drop=True)
        else:
            found[ours] = pd.to_numeric(given[column]).astype(np.float64).reset_index(drop=True)
    return pd.DataFrame(found)[list(COLUMNS)]
