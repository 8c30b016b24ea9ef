"""The two tables of detection, boxes found and boxes that are true, checked and as arrays.

Truth has a row a box, and one row with a blank box for an image without any: only images named there are judged, so
that nobody's silence counts as a negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

BOX: Final = ["x", "y", "w", "h"]  # left, top, width, height in pixels of the film
TRUTH: Final = ["image_id", "patient_id", "category", *BOX]
FOUND: Final = [*TRUTH, "score"]


@dataclass(frozen=True)
class Boxes:
    """Boxes of one kind, sorted by image; within an image in the order given."""

    image: Rows  # (M,) row of `Scenes.images`
    category: Rows  # (M,) row of `Scenes.categories`
    box: Floats  # (M, 4) left, top, width, height
    score: Floats  # (M,); 1 for true ones

    def of(self, category: int) -> Boxes:
        """Those of one category."""
        here = self.category == category
        return Boxes(self.image[here], self.category[here], self.box[here], self.score[here])


@dataclass(frozen=True)
class Scenes:
    """Images that were looked at, what is on them, and what was found."""

    images: NDArray[np.str_]  # (N,) sorted ids
    patients: NDArray[np.str_]  # (P,) sorted ids
    patient: Rows  # (N,) row of `patients`
    categories: tuple[str, ...]
    truth: Boxes
    found: Boxes


def read_scenes(found: pd.DataFrame, truth: pd.DataFrame, categories: Sequence[str] | None = None) -> Scenes:
    """The tables as arrays.

    Args:
        found: columns `FOUND`, a row a box.
        truth: columns `TRUTH`, a row a box; an image without boxes has one row with NaN and category "".
        categories: in the order wanted; None: those of the true boxes, sorted. Boxes of others are left out.

    Raises:
        ValueError: a column is missing, a true box has no area, a found one is not finite or has a negative side, an
            image has two patients, or boxes were found on an image that the truth does not name.
    """
    _check(found, FOUND, "found")
    _check(truth, TRUTH, "truth")
    real = truth[np.isfinite(truth[BOX].to_numpy(np.float64)).all(axis=1)]
    if (real[["w", "h"]].to_numpy(np.float64) <= 0).any():
        raise ValueError("a true box has no area")
    numbers = found[[*BOX, "score"]].to_numpy(np.float64)
    if not np.isfinite(numbers).all() or (numbers[:, 2:4] < 0).any():
        raise ValueError("a box found is not finite or has a negative side")
    owners = truth[["image_id", "patient_id"]].astype(str).drop_duplicates()
    if owners["image_id"].duplicated().any():
        raise ValueError("an image belongs to two patients")
    images, first = np.unique(owners["image_id"].to_numpy(dtype=str), return_index=True)
    patients, patient = np.unique(owners["patient_id"].to_numpy(dtype=str)[first], return_inverse=True)
    if strangers := sorted(set(found["image_id"].astype(str)) - set(images)):
        raise ValueError(f"boxes were found on {len(strangers)} images that the truth does not name: {strangers[0]!r}")
    names = tuple(sorted(set(real["category"].astype(str)))) if categories is None else tuple(categories)
    return Scenes(images, patients, patient.astype(np.int64), names, _boxes(real, images, names),
                  _boxes(found, images, names))  # fmt: skip


def _boxes(table: pd.DataFrame, images: NDArray[np.str_], categories: tuple[str, ...]) -> Boxes:
    """Rows of the chosen categories, sorted by image."""
    place = {name: number for number, name in enumerate(categories)}
    number = table["category"].astype(str).map(place).fillna(-1).to_numpy(np.int64)
    table, category = table[number >= 0], number[number >= 0]
    image: Rows = np.searchsorted(images, table["image_id"].to_numpy(dtype=str)).astype(np.int64)
    order = np.argsort(image, kind="stable")
    score = table["score"].to_numpy(np.float64) if "score" in table else np.ones(len(table))
    return Boxes(image[order], category[order].astype(np.int64), table[BOX].to_numpy(np.float64)[order], score[order])


def _check(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"the table of boxes {name} lacks {', '.join(missing)}")


def empty_table(columns: Sequence[str]) -> pd.DataFrame:
    """A table of boxes without rows, of the right types."""
    kinds: dict[str, Any] = {name: np.float64 if name in (*BOX, "score") else object for name in columns}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
