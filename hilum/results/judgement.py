"""A judged folder as something that can be compared: what was judged, on whom, and how each metric varies.

Every task leaves other tables behind (predictions, items, subjects, boxes). A `Judgement` hides which: it knows its
items and patients, and gives the point and the bootstrap replicates of every metric. Two judgements of the same items
draw the same patients in the same order, so their replicates are paired.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import UserError
from hilum.lookup import lookup
from hilum.metrics.bootstrap import Counts

Floats = NDArray[np.float64]

RESULTS: Final = "results.json"
KINDS: Final[dict[str, str]] = {  # task -> who reads its tables
    "classification": "hilum.results.judgements.scores:open_scores",
    "zero-shot": "hilum.results.judgements.scores:open_scores",
    "survival": "hilum.results.judgements.survival:open_survival",
    "segmentation": "hilum.results.judgements.items:open_items",
    "grounding": "hilum.results.judgements.items:open_items",
    "retrieval": "hilum.results.judgements.items:open_items",
    "saliency": "hilum.results.judgements.items:open_items",
    "detection": "hilum.results.judgements.detection:open_detection",
}
FAMILIES: Final = {"zero-shot": "classification"}  # tasks that are judged by the same numbers


@dataclass(frozen=True)
class Metric:
    """What a metric is called and which way it is good."""

    title: str
    higher: bool = True  # a larger value is better
    aside: bool = False  # compared only where it is asked for by name


@dataclass(frozen=True)
class Replicates:
    """One metric of one judgement, a row a category (finding, endpoint); NaN where undefined."""

    categories: tuple[str, ...]
    points: Floats  # (K,)
    values: Floats  # (K, draws)
    counts: tuple[Counts, ...]  # K: what each category rests on
    reasons: tuple[str, ...]  # K: why a category is undefined, or ""


@dataclass(frozen=True)
class Tests:
    """Tests of one metric beside its bootstrap, a p a category; None where there is none."""

    permutation: tuple[float | None, ...]  # (K,) two-sided, patients swapped
    macro: float | None  # of the mean over categories
    beside: Mapping[str, tuple[float | None, ...]]  # name of a further test -> its p (K,)


class Evidence(Protocol):
    """The tables of one kind of task, as arrays; N items, K categories."""

    @property
    def noun(self) -> str:
        """What an item is called: films, questions, persons."""
        ...

    @property
    def items(self) -> NDArray[np.str_]:
        """(N,) ids, all different."""
        ...

    @property
    def patients(self) -> NDArray[np.str_]:
        """(N,) patient ids."""
        ...

    @property
    def categories(self) -> tuple[str, ...]:
        """K names."""
        ...

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Name -> what it is, the one that decides first."""
        ...

    def select(self, categories: Sequence[str]) -> Self:
        """Only these categories, in this order."""
        ...

    def reorder(self, rows: NDArray[np.intp]) -> Self:
        """The same items in another order."""
        ...

    def disagreement(self, other: Self) -> str:
        """What differs in the truth about the same items, in words; empty where nothing does."""
        ...

    def replicates(self, metric: str, draws: int, seed: int) -> Replicates:
        """Points and bootstrap replicates of one metric."""
        ...

    def tests(self, other: Self, metric: str, permutations: int, seed: int) -> Tests | None:
        """Tests of the difference to another judgement of the same items; None where the metric has none."""
        ...


@dataclass(frozen=True)
class Judgement:
    """One judged folder."""

    task: str
    name: str
    folder: Path
    results: Mapping[str, Any]  # results.json
    evidence: Evidence

    @property
    def family(self) -> str:
        """Tasks of one family are judged by the same numbers."""
        return FAMILIES.get(self.task, self.task)

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Name -> what it is, the one that decides first."""
        return self.evidence.metrics

    def replicates(self, metric: str, draws: int = 1000, seed: int = 0) -> Replicates:
        """Points (K,) and replicates (K, draws) of one metric."""
        return self.evidence.replicates(metric, draws, seed)

    def like(self, reference: Judgement, categories: Sequence[str]) -> Judgement:
        """This judgement with the categories and in the order of another one.

        Raises:
            UserError: the two are not of the same items, patients or truth.
        """
        ours, theirs = reference.evidence.select(categories), self.evidence.select(categories)
        _refuse_other_items(reference.name, ours, self.name, theirs)
        found = theirs.reorder(pd.Index(theirs.items).get_indexer(pd.Index(ours.items)))
        said = "the patients differ" if (found.patients != ours.patients).any() else ours.disagreement(found)
        if said:
            raise UserError(
                f"{reference.name} and {self.name} were judged on the same {ours.noun}, but {said}",
                where="test sets",
                fix="Judge both on the same manifest, with the same policy for uncertain labels",
            )
        return replace(self, evidence=found)


def open_judgement(folder: str | Path, *, name: str | None = None) -> Judgement:
    """Read a judged folder, or a run folder with one judged folder inside.

    Args:
        folder: what `hilum evaluate`, `zero-shot`, `ground` or `retrieve` wrote, or the run that was judged.
        name: what to call it; default the folder's name.

    Raises:
        UserError: nothing was judged there, several things were, or a table is missing or damaged.
    """
    place = judged_folder(Path(folder))
    results = _read(place)
    if results is None:
        raise UserError("holds no results.json that can be read", where=place, fix="Judge the run again")
    if results["task"] not in KINDS:
        raise UserError(
            f"holds results of the task {results['task']!r}, which is not compared",
            where=place,
            fix=f"Compare one of: {', '.join(KINDS)}",
        )
    reader = lookup(KINDS, results["task"], kind="task")
    return Judgement(results["task"], name or Path(folder).resolve().name, place, results, reader(place, results))


def open_judgements(folders: Sequence[str | Path], names: Sequence[str] = ()) -> list[Judgement]:
    """Several judged folders, called by the shortest ends of their paths that tell them apart unless named.

    Raises:
        UserError: as `open_judgement`; or one folder was given twice.
    """
    places = [Path(folder).resolve() for folder in folders]
    if len({judged_folder(place) for place in places}) < len(places):
        raise UserError("one folder was given twice", where="runs", fix="Name different runs")
    if not names:
        depth = max((len(place.parts) for place in places), default=1)
        ends = (["/".join(place.parts[-length:]) for place in places] for length in range(1, depth + 1))
        names = next((found for found in ends if len(set(found)) == len(found)), [])
    return [open_judgement(folder, name=name) for folder, name in zip(folders, names, strict=True)]


def judged_folder(folder: Path) -> Path:
    """The folder itself where it holds results, else the only one inside that does.

    Raises:
        UserError: there is none, or several.
    """
    if (folder / RESULTS).is_file():
        return folder
    if not folder.is_dir():
        raise UserError("there is no such folder", where=folder, fix="Name a judged folder, or a run that was judged")
    inside = sorted(found for found in folder.iterdir() if (found / RESULTS).is_file())
    if not inside:
        raise UserError(
            "nothing was judged here", where=folder, fix=f"Judge it first: hilum evaluate {folder} --data D"
        )
    if len(inside) > 1:
        raise UserError(f"was judged {len(inside)} times", where=folder, fix=f"Name one: {', '.join(map(str, inside))}")
    return inside[0]


def read_table(folder: Path, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table of a judged folder, with these columns.

    Raises:
        UserError: it is not there, cannot be read, or lacks a column.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise UserError("is missing: the results were written by an older version", where=path, fix="Judge it again")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", where=path, fix="Judge it again") from error
    for column in columns:
        if column not in table.columns:
            raise UserError(f"the column {column!r} is missing", where=path, fix="Judge it again")
    return table


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("task"), str) else None


def _refuse_other_items(first: str, one: Evidence, second: str, two: Evidence) -> None:
    """Say which items only one of two judgements has."""
    said = [
        f"{len(extra):,} {mine.noun} only in {name} ({_examples(extra)})"
        for name, mine, extra in (
            (first, one, np.setdiff1d(one.items, two.items)),
            (second, two, np.setdiff1d(two.items, one.items)),
        )
        if extra.size
    ]
    if said:
        raise UserError(
            f"{first} and {second} were judged on different {one.noun}: {'; '.join(said)}",
            where="test sets",
            fix="Judge both on the same films: the same --data, --split and --views",
        )


def _examples(ids: NDArray[np.str_]) -> str:
    shown = ", ".join(map(repr, ids[:3].tolist()))
    return f"{shown}, ..." if ids.size > 3 else shown
