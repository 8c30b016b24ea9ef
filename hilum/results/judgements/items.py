"""Means over items: masks, questions put to a map, queries put to an archive.

`items.parquet` has one row an item (`item_id`, `image_id`, `patient_id`, `category`) and a column `value.<metric>` for
each number of it; blank where it has none. A metric is the mean over the items of a category, and its macro value the
mean over categories.
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
COLUMNS: Final = ("item_id", "image_id", "patient_id", "category")
LOWER: Final = ("hd95", "rank")  # metrics that begin with these are better when small
TITLES: Final = {
    "miou": "mIoU",
    "iou": "IoU",
    "dice": "Dice",
    "hd95": "HD95 (mm)",
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
    categories: tuple[str, ...]  # K
    noun: str = "items"
    made: dict[tuple[int, int], Resample] = field(default_factory=dict, repr=False, compare=False)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Every number of the table, in its order."""
        return {name: Metric(_title(name), higher=not name.startswith(LOWER)) for name in self.values}

    def select(self, categories: Sequence[str]) -> Self:
        """Only items of these categories."""
        found = self.reorder(np.flatnonzero(np.isin(self.category, list(categories))))
        return replace(found, categories=tuple(categories))

    def reorder(self, rows: NDArray[np.intp]) -> Self:
        """The items in another order."""
        part = {name: getattr(self, name)[rows] for name in ("items", "patients", "category")}
        values = {name: value[rows] for name, value in self.values.items()}
        return replace(self, values=values, made={}, **part)

    def disagreement(self, other: Self) -> str:
        """Whether items changed their category."""
        differing = self.items[self.category != other.category]
        return f"{differing.size} have another category, the first is {differing[0]!r}" if differing.size else ""

    def replicates(self, metric: str, draws: int, seed: int) -> Replicates:
        """Mean of each category in each draw of patients."""
        if (draws, seed) not in self.made:
            self.made[draws, seed] = Resample(self.patients, draws=draws, seed=seed)
        value = self.values[metric]
        points, replicates = self.made[draws, seed].by_category(value, self.category, self.categories)
        counts = [self._counts((self.category == name) & ~np.isnan(value)) for name in self.categories]
        reasons = tuple("" if count.n else NOTHING for count in counts)
        return Replicates(self.categories, points, replicates, tuple(counts), reasons)

    def tests(self, other: Self, metric: str, permutations: int, seed: int) -> Tests | None:
        """Patients swapped between the two."""
        one, two = self.values[metric], other.values[metric]
        how: dict[str, Any] = {"permutations": permutations, "seed": seed}
        found = []
        for name in self.categories:
            here = self.category == name
            found.append(permute_items(one[here], two[here], self.patients[here], **how).p)
        together = permute_items(one, two, self.patients, categories=self.category, **how)
        return Tests(tuple(found), together.p, {})

    def _counts(self, rows: NDArray[np.bool_]) -> Counts:
        return Counts(int(rows.sum()), int(np.unique(self.patients[rows]).size), 0)


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
        categories=tuple(np.unique(category).tolist()),
        noun={"grounding": "questions", "retrieval": "queries"}.get(results["task"], "films"),
    )


def _title(name: str) -> str:
    """`miou@centre` as "mIoU, centre"; `recall@10` stays."""
    head, at, tail = name.partition("@")
    title = TITLES.get(head, head[:1].upper() + head[1:].replace("_", " "))
    return f"{title}, {tail.replace('_', ' ')}" if at and not tail.isdigit() else f"{title}{at}{tail}"
