"""Means over items: masks, questions put to a map, queries put to an archive.

`items.parquet` has one row an item (`item_id`, `image_id`, `patient_id`, `category`) and a column `value.<metric>` for
each number of it; blank where it has none. A metric is the mean over the items of a category, and its macro value the
mean over categories. Masks also have counts of pixels: Dice of all films pooled is a ratio of their sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import UserError
from hilum.manifest import same_patient
from hilum.metrics.bootstrap import Counts
from hilum.metrics.permutation import permute_items
from hilum.metrics.resample import NOTHING, Resample
from hilum.results.judgement import Metric, Replicates, Tests, read_table

Floats = NDArray[np.float64]

VALUE: Final = "value."
ROUNDING: Final = 0.01  # of a film
NO_PIXEL: Final = "nothing drawn and nothing true"
COLUMNS: Final = ("item_id", "image_id", "patient_id", "category")
COUNTS: Final = ("pixels.both", "pixels.drawn", "pixels.true", "pixels.known")
POOLED: Final = "dice_pooled"
LOWER: Final = ("hd95", "rank")  # metrics that begin with these are better when small
TITLES: Final = {
    "dice_positive": "Dice, films with the finding",
    "dice_all": "Dice, all films, empty = 1",
    POOLED: "Dice, pixels of all films pooled",
    "iou": "IoU, films with the finding",
    "hd95_mm": "95 % surface distance (mm)",
    "hd95_pixels": "95 % surface distance (pixels)",
    "miou": "mIoU",
    "dice": "Dice",
    "cnr": "CNR",
    "cnr_abs": "|CNR|",
    "pointing": "Pointing game",
    "reciprocal_rank": "Mean reciprocal rank",
}


@dataclass(frozen=True)
class Items:
    """N items with several numbers each."""

    items: NDArray[np.str_]  # (N,)
    patients: NDArray[np.str_]  # (N,)
    category: NDArray[np.str_]  # (N,)
    values: Mapping[str, Floats]  # metric -> (N,), NaN where an item has none
    pixels: tuple[Floats, ...]  # (N,) each of `COUNTS`; empty where items are no masks
    categories: tuple[str, ...]  # K
    noun: str = "items"
    made: dict[tuple[int, int], Resample] = field(default_factory=dict, repr=False, compare=False)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Every number of the table, in its order, and the pooled one."""
        names = [*self.values, *([POOLED] if self.pixels else [])]
        return {name: Metric(_title(name), higher=not name.startswith(LOWER), aside=_of_a_way(name)) for name in names}

    def select(self, categories: Sequence[str]) -> Self:
        """Only items of these categories."""
        found = self.reorder(np.flatnonzero(np.isin(self.category, list(categories))))
        return replace(found, categories=tuple(categories))

    def reorder(self, rows: NDArray[np.intp]) -> Self:
        """The items in another order."""
        part = {name: getattr(self, name)[rows] for name in ("items", "patients", "category")}
        values = {name: value[rows] for name, value in self.values.items()}
        pixels = tuple(count[rows] for count in self.pixels)
        return replace(self, values=values, pixels=pixels, made={}, **part)

    def disagreement(self, other: Self) -> str:
        """Whether items changed their category or their true mask."""
        differing, what = self.items[self.category != other.category], "categories"
        if not differing.size and self.pixels and other.pixels:
            # masks are laid on each model's own grid, so small differences of their share of the film are rounding
            shares = [side.pixels[2] / np.maximum(side.pixels[3], 1) for side in (self, other)]
            differing, what = self.items[np.abs(shares[0] - shares[1]) > ROUNDING], "true masks"
        return f"the {what} of {differing.size} differ, the first is {str(differing[0])!r}" if differing.size else ""

    def replicates(self, metric: str, draws: int, seed: int) -> Replicates:
        """Mean of each category in each draw of patients."""
        if (draws, seed) not in self.made:
            self.made[draws, seed] = Resample(self.patients, draws=draws, seed=seed)
        resample = self.made[draws, seed]
        if metric == POOLED:
            return self._pooled(resample)
        value = self.values[metric]
        points, replicates = resample.by_category(value, self.category, self.categories)
        counts = [self._counts((self.category == name) & ~np.isnan(value)) for name in self.categories]
        reasons = tuple("" if count.n else NOTHING for count in counts)
        return Replicates(self.categories, points, replicates, tuple(counts), reasons)

    def tests(self, other: Self, metric: str, permutations: int, seed: int) -> Tests | None:
        """Patients swapped between the two; None for the pooled ratio, which is no mean of items."""
        if metric == POOLED:
            return None
        one, two = self.values[metric], other.values[metric]
        how: dict[str, Any] = {"permutations": permutations, "seed": seed}
        found = []
        for name in self.categories:
            here = self.category == name
            found.append(permute_items(one[here], two[here], self.patients[here], **how).p)
        together = permute_items(one, two, self.patients, categories=self.category, **how)
        return Tests(tuple(found), together.p, {})

    def _pooled(self, resample: Resample) -> Replicates:
        """Twice the pixels both drawn and true over those drawn and those true; of nothing at all it is undefined."""
        both, drawn, true, _ = self.pixels
        parts = [resample.by_category(part, self.category, self.categories) for part in (2 * both, drawn + true)]
        points, replicates = (_ratio(top, under) for top, under in zip(*parts, strict=True))
        counts = tuple(self._counts(self.category == name) for name in self.categories)
        reasons = tuple(NO_PIXEL if np.isnan(point) else "" for point in points)
        return Replicates(self.categories, points, replicates, counts, reasons)

    def _counts(self, rows: NDArray[np.bool_]) -> Counts:
        return Counts(int(rows.sum()), int(np.unique(self.patients[rows]).size), 0)


def _ratio(top: Floats, under: Floats) -> Floats:
    found = np.full(top.shape, np.nan)
    np.divide(top, under, out=found, where=under > 0)
    return found


def open_items(folder: Path, results: Mapping[str, Any]) -> Items:
    """Read items.parquet.

    Raises:
        UserError: it has no item, two items of one id, or no number.
    """
    table = read_table(folder, "items", COLUMNS)
    names = [name for name in table.columns if name.startswith(VALUE)]
    twice = table["item_id"].duplicated()
    if table.empty or not names or twice.any():
        what = f"item {table['item_id'][twice].iloc[0]!r} appears more than once" if twice.any() else "holds no values"
        raise UserError(what, where=folder / "items.parquet", fix="Judge it again")
    category = table["category"].fillna("").astype(str).to_numpy(dtype=str)
    return Items(
        items=table["item_id"].to_numpy(dtype=str),
        patients=np.array([same_patient(patient) for patient in table["patient_id"]], dtype=str),
        category=category,
        values={
            name.removeprefix(VALUE): pd.to_numeric(table[name]).to_numpy(np.float64, na_value=np.nan) for name in names
        },
        pixels=tuple(table[name].to_numpy(np.float64) for name in COUNTS) if set(COUNTS) <= set(table.columns) else (),
        categories=tuple(np.unique(category).tolist()),
        noun={"grounding": "questions", "retrieval": "queries"}.get(results["task"], "films"),
    )


def _title(name: str) -> str:
    """`miou@centre` as "mIoU, centre"; `recall@10` stays."""
    head, at, tail = name.partition("@")
    title = TITLES.get(head, head[:1].upper() + head[1:].replace("_", " "))
    return f"{title}, {tail.replace('_', ' ')}" if _of_a_way(name) else f"{title}{at}{tail}"


def _of_a_way(name: str) -> bool:
    """Whether a number belongs to one of several maps of an item: `miou@centre`, but not `recall@10`."""
    _, at, tail = name.partition("@")
    return bool(at) and not tail.isdigit()
