"""Which films are known, finding by finding, and where their boxes lie in pixels of the stored film.

A finding is known on a film if a box of it is given; or if its label is 0; or, where there is no label, if the file of
boxes names the film, with a box of anything or without any: whoever drew the boxes looked at it. A film with the label
1 or an uncertain one, but without a box, is not known, and one that no one spoke of neither. Films on which any of the
findings is unknown are neither learned from nor judged; they are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.boxes import BoxFile, match_films, read_box_file
from hilum.evaluation.detection.fusion import fuse_boxes
from hilum.evaluation.detection.geometry import Placement, clipped, placement
from hilum.evaluation.grounding_pairs import prepared_fit
from hilum.films import decode
from hilum.lookup import unknown_name
from hilum.manifest import Manifest
from hilum.metrics.detection.tables import BOX, TRUTH
from hilum.schema import label_column

Readers = Literal["fuse", "keep"]
Floats = NDArray[np.float64]

FILES: Final = ("boxes.json", "boxes.csv", "boxes.parquet")  # looked for in the data folder, in this order
OUTSIDE: Final = 0.05  # share of boxes off their films above which the file is of other pixels


@dataclass(frozen=True)
class BoxedFilms:
    """Films on which every finding is known, with their boxes."""

    manifest: Manifest  # its label columns of the findings say 1 where there is a box, else 0
    boxes: tuple[Floats, ...]  # of each film: (M, 5) left, top, width, height in its pixels, number of the finding
    shapes: NDArray[np.int64]  # (N, 2) height, width
    findings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.manifest)

    def __call__(self, row: int) -> Floats:
        """What stands on a film, for the loader."""
        return self.boxes[row]

    @property
    def image_ids(self) -> list[str]:
        """The films' ids, in row order."""
        return list(self.manifest.table["image_id"])

    def take(self, images: Sequence[str]) -> BoxedFilms:
        """The films of these ids, in their order here."""
        rows = np.flatnonzero(self.manifest.table["image_id"].isin(list(images)))
        table = self.manifest.table.iloc[rows].reset_index(drop=True)
        chosen = replace(self.manifest, table=table)
        return replace(self, manifest=chosen, boxes=tuple(self.boxes[row] for row in rows), shapes=self.shapes[rows])

    def split(self, name: str) -> BoxedFilms:
        """Those of one split."""
        return self.take(list(self.manifest.select(split=name).table["image_id"]))

    def counts(self) -> dict[str, dict[str, int]]:
        """Boxes, films and patients of each finding."""
        table, found = self.truth(), {}
        for finding in self.findings:
            rows = table[table["category"] == finding]
            films, patients = (int(rows[name].nunique()) for name in ("image_id", "patient_id"))
            found[finding] = {"boxes": len(rows), "films": films, "patients": patients}
        return found

    def truth(self) -> pd.DataFrame:
        """The table that found boxes are judged by: a row a box, one with a blank box for a film without any."""
        blank = np.full((1, 4), np.nan)
        rows = []
        for film, boxes in zip(self.manifest.table.itertuples(), self.boxes, strict=True):
            names = [self.findings[int(kind)] for kind in boxes[:, 4]] or [""]
            for name, box in zip(names, boxes[:, :4] if len(boxes) else blank, strict=True):
                rows.append((film.image_id, film.patient_id, name, *box))
        return pd.DataFrame(rows, columns=TRUTH).astype(dict.fromkeys(BOX, np.float64))


def box_file(root: Path, given: str | None) -> Path:
    """The file of boxes asked for, or that of the data folder.

    Raises:
        ConfigError: there is none.
    """
    places = [Path(given)] if given else [root / name for name in FILES]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        what = "no such file" if given else f"the data folder has no {', '.join(FILES)}"
        raise ConfigError(what, where=given or "boxes", fix="Give boxes as COCO .json, .csv or .parquet with --boxes")
    return file


def boxed_films(
    manifest: Manifest, file: Path, findings: Sequence[str] = (), *, readers: Readers = "fuse", strict: bool = True
) -> BoxedFilms:
    """The known films of a manifest and their boxes.

    Args:
        manifest: the films in question.
        file: boxes, as `read_box_file` takes them.
        findings: categories of the file; none named means all of them, sorted.
        readers: boxes of several readers fused to one reading, or all kept side by side.
        strict: refuse findings that the file does not have, and count boxes of other films; otherwise the findings are
            noted, and the file may be that of more films.

    Raises:
        ConfigError: a broken file, a finding it does not have.
        ManifestError: no film is known, or the boxes are given in other pixels than they say.
    """
    content = read_box_file(file)
    there = sorted(set(content.boxes["category"]) - {""}) or ["Finding"]
    content.boxes["category"] = content.boxes["category"].replace("", "Finding")
    names = tuple(findings) or tuple(there)
    missing = [name for name in names if name not in there]
    if missing and strict:
        raise unknown_name(missing[0], there, kind="category of boxes", where="labels")
    table, strangers = match_films(content.boxes[content.boxes["category"].isin(names)], manifest)
    known, notes = _known(manifest, content, table, names)
    if not known.any():
        raise ManifestError(
            f"none of {len(manifest)} films is known for {', '.join(names)}: {' '.join(notes)}",
            where=file,
            fix="Check that the file names these films, or drop findings with --labels",
        )
    if missing:
        notes.append(f"The file has no boxes of {', '.join(missing)}.")
    if strangers and strict:
        notes.append(f"{strangers} boxes are of films that are not among those in question.")
    shapes = film_shapes(manifest)
    boxes, said = _on_films(table, manifest, names, shapes, readers, file)
    rows = np.flatnonzero(known)
    films = manifest.table.iloc[rows].reset_index(drop=True)
    kept = tuple(boxes[row] for row in rows)
    for number, name in enumerate(names):
        films[label_column(name)] = [float((one[:, 4] == number).any()) for one in kept]
    return BoxedFilms(replace(manifest, table=films), kept, shapes[rows], names, (*notes, *said))


def film_shapes(manifest: Manifest) -> NDArray[np.int64]:
    """Height and width of every stored film (N, 2), from the manifest where it says so."""
    table = manifest.table
    if {"height", "width"} <= set(table.columns) and not table[["height", "width"]].isna().any(axis=None):
        return table[["height", "width"]].to_numpy(np.int64)
    return np.array([decode(path).shape for path in manifest.paths()], dtype=np.int64).reshape(-1, 2)


def _known(
    manifest: Manifest, content: BoxFile, table: pd.DataFrame, names: Sequence[str]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which films (N,) are known for every finding, and how many are not, and why."""
    films = len(manifest)
    present, labels = np.zeros((films, len(names)), bool), np.full((films, len(names)), np.nan)
    for number, name in enumerate(names):
        present[table["row"][table["category"] == name], number] = True
        if name in manifest.findings:
            labels[:, number] = manifest.labels((name,))[:, 0]
    named = np.zeros(films, bool)
    named[match_films(pd.DataFrame({"image": list(content.images)}), manifest)[0]["row"]] = True
    unlabelled = np.isnan(labels)
    unboxed = (~present & ~unlabelled & (labels != 0)).any(axis=1)
    silent = ~unboxed & (~present & unlabelled & ~named[:, None]).any(axis=1)
    reasons = {
        "a finding by their label, or an uncertain one, without a box": int(unboxed.sum()),
        "a finding of which neither the boxes nor a label speak": int(silent.sum()),
    }
    notes = [f"{count} films were left out: they have {why}." for why, count in reasons.items() if count]
    return ~unboxed & ~silent, notes


def _on_films(
    table: pd.DataFrame,
    manifest: Manifest,
    names: Sequence[str],
    shapes: NDArray[np.int64],
    readers: Readers,
    file: Path,
) -> tuple[list[Floats], list[str]]:
    """Boxes of every film (M, 5) in its pixels, and notes."""
    row = table["row"].to_numpy(np.int64)
    boxes = _in_film_pixels(table, shapes[row], prepared_fit(manifest))
    there: NDArray[np.bool_] = np.asarray((boxes[:, 2:] > 0).all(axis=1))
    lost = int((~there).sum())
    if lost > OUTSIDE * len(table):
        raise ManifestError(
            f"{lost} of {len(table)} boxes lie outside their films: they are given in other pixels",
            where=file,
            fix="Boxes are left, top, width, height in pixels of the stored film, or of image_width x image_height",
        )
    kind = table["category"].map({name: number for number, name in enumerate(names)}).to_numpy(np.int64)
    who, order = table["reader"].to_numpy(dtype=str), np.lexsort((np.arange(len(row)), kind, row))
    order = order[there[order]]
    starts = np.flatnonzero(np.diff(row[order] * len(names) + kind[order], prepend=-1))
    found: list[list[Floats]] = [[] for _ in range(len(manifest))]
    several = after = 0
    for group in np.split(order, starts[1:]) if order.size else ():
        here, count = boxes[group], len(set(who[group]) - {""})
        several += count > 1
        if count > 1 and readers == "fuse":
            here = fuse_boxes(here, np.ones(len(here)), readers=count).boxes
        after += len(here)
        found[row[group[0]]].append(np.column_stack([here, np.full(len(here), float(kind[group[0]]))]))
    notes = [f"{lost} boxes were left out, since they lie outside the film."] if lost else []
    if several:
        fused = (
            f"fused from {len(order)} boxes to {after}" if readers == "fuse" else "all kept, so a place counts twice"
        )
        notes.append(f"Boxes of several readers ({several} findings on a film): {fused}.")
    return [np.concatenate([np.zeros((0, 5)), *parts]) for parts in found], notes


def _in_film_pixels(table: pd.DataFrame, shapes: NDArray[np.int64], fit: str) -> Floats:
    """Boxes (M, 4), from the pixels they are given in to those of the stored film, cut at its rim.

    Args:
        table: boxes with the width and height of the picture they are given in, blank for the stored film's.
        shapes: (M, 2) height and width of each box's film.
        fit: how `hilum prepare` made that film of the picture.
    """
    boxes, given = table[BOX].to_numpy(np.float64, copy=True), table[["height", "width"]].to_numpy(np.float64)
    given = np.where(np.isnan(given).any(axis=1, keepdims=True), shapes, given)
    for sizes in np.unique(np.column_stack([given, shapes]), axis=0):
        here = (np.column_stack([given, shapes]) == sizes).all(axis=1)
        picture, film = (int(sizes[0]), int(sizes[1])), (int(sizes[2]), int(sizes[3]))
        if picture != film:
            letterboxed = fit == "pad" and film[0] == film[1]
            place = placement(picture, film[0], "pad") if letterboxed else Placement(0, 0, film[1], film[0])
            boxes[here] = place.forward(boxes[here], picture)
        boxes[here] = clipped(boxes[here], film)
    return boxes
