"""Boxes around findings, read from COCO JSON or from a table, and matched with the films of a manifest.

COCO: `images` (id, file_name, width, height), `categories`, `annotations` (image_id, category_id, bbox, and optionally
`phrase`, or `label_text` as in MS-CXR, and `reader`). Table (CSV or Parquet), one box a row: an image column; x, y, w,
h in pixels, or x_min, y_min, x_max, y_max, and optionally category, phrase, reader, image_width, image_height; a row
without a box names an image on which nothing was found, as RSNA and VinDr write it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import pandas as pd

from hilum.errors import ConfigError
from hilum.manifest import Manifest

COLUMNS: Final = ("image", "category", "phrase", "x", "y", "w", "h", "width", "height", "reader")
SPELLINGS: Final = {  # our column -> how tables call it, the first that is there counts
    "image": ("image_id", "dicom_id", "image", "path", "file_name", "patientId"),
    "category": ("category", "category_name", "class_name", "finding", "label"),
    "phrase": ("phrase", "label_text", "sentence"),
    "x": ("x", "x_min"),
    "y": ("y", "y_min"),
    "w": ("w", "box_width", "width"),  # RSNA calls them width and height
    "h": ("h", "box_height", "height"),
    "width": ("image_width",),
    "height": ("image_height",),
    "reader": ("reader", "reader_id", "rad_id"),
}
NEEDED: Final = ("image", "x", "y", "w", "h")
TEXTS: Final = ("image", "category", "phrase", "reader")
CORNERS: Final = {"w": ("x_max", "x_min"), "h": ("y_max", "y_min")}  # a side that a table gives by its ends


@dataclass(frozen=True)
class BoxFile:
    """What a file of boxes says."""

    boxes: pd.DataFrame  # a row a box, columns `COLUMNS`
    images: tuple[str, ...]  # every image that the file names, with boxes or without


def read_boxes(path: str | Path) -> pd.DataFrame:
    """Boxes of a file, one a row; see `read_box_file`."""
    return read_box_file(path).boxes


def read_box_file(path: str | Path) -> BoxFile:
    """Boxes of a file, one a row, and the images it names.

    Args:
        path: .json (COCO), .csv or .parquet.

    Returns:
        Columns `COLUMNS`: image, category, phrase and reader as text ("" where unknown), the rest float64; width and
        height of the picture the box is given in, NaN where unknown.

    Raises:
        ConfigError: no such file, not of these forms, no box, or a box without an area; names the row.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError("no such file", where=path, fix="Give boxes as COCO .json, .csv or .parquet")
    try:
        if path.suffix.lower() == ".json":
            table, images = _coco(json.loads(path.read_text()), path)
        else:
            reader = pd.read_parquet if path.suffix.lower() == ".parquet" else pd.read_csv
            table = _named(reader(path), path)
            images = list(dict.fromkeys(table["image"]))
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read as boxes ({type(error).__name__}: {' '.join(str(error).split())[:120]})",
            where=path,
            fix="Give COCO .json, or a table with the columns image_id, x, y, w, h",
        ) from error
    numbers = table[["x", "y", "w", "h"]].to_numpy(np.float64)
    blank = np.isnan(numbers).all(axis=1)
    wrong = ~blank & (~np.isfinite(numbers).all(axis=1) | (numbers[:, 2:] <= 0).any(axis=1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ConfigError(
            f"box {row + 1} (image {table['image'].iloc[row]!r}) has no area: x, y, w, h = {numbers[row].tolist()}",
            where=path,
            fix="Boxes are left, top, width, height in pixels",
        )
    if blank.all():
        raise ConfigError("holds no box", where=path, fix="Places are scored against boxes; give a file with some")
    return BoxFile(table[~blank].reset_index(drop=True), tuple(images))


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


def _coco(content: Any, path: Path) -> tuple[pd.DataFrame, list[str]]:
    """COCO content as rows, and the names of its images."""
    if not isinstance(content, Mapping) or not {"images", "annotations", "categories"} <= set(content):
        raise ConfigError("is not COCO", where=path, fix="It needs the keys images, annotations and categories")
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: str(category["name"]) for category in content["categories"]}
    keys = {
        key: str(key if isinstance(key, str) else image.get("file_name", str(key))) for key, image in images.items()
    }
    rows = []
    for note in content["annotations"]:
        image = images[note["image_id"]]
        texts = (
            keys[note["image_id"]],
            names[note["category_id"]],
            str(note.get("phrase", note.get("label_text")) or ""),
        )
        size = (image.get("width", np.nan), image.get("height", np.nan))
        rows.append((*texts, *map(float, (*note["bbox"], *size)), str(note.get("reader", ""))))
    return pd.DataFrame(rows, columns=list(COLUMNS)), list(keys.values())


def _named(given: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table under our column names."""
    found = {}
    for ours, spellings in SPELLINGS.items():
        column = next((name for name in spellings if name in given.columns), None)
        ends = CORNERS.get(ours, ())
        if ends and set(ends) <= set(given.columns):
            found[ours] = (pd.to_numeric(given[ends[0]]) - pd.to_numeric(given[ends[1]])).reset_index(drop=True)
        elif column is None and ours in NEEDED:
            raise ConfigError(
                f"has no column {' or '.join(spellings)}", where=path, fix=f"Its columns are {', '.join(given.columns)}"
            )
        elif column is None:
            blank = [""] * len(given) if ours in TEXTS else np.full(len(given), np.nan)
            found[ours] = pd.Series(blank, index=range(len(given)))
        elif ours in TEXTS:
            found[ours] = given[column].fillna("").astype(str).str.strip().reset_index(drop=True)
        else:
            found[ours] = pd.to_numeric(given[column]).astype(np.float64).reset_index(drop=True)
    return pd.DataFrame(found)[list(COLUMNS)]
