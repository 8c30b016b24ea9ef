"""Miniature stand-ins of the data sets: phantom films in a manifest of that shape, for running a table to its end.

A finding of the data set is played by a finding of the phantom: itself where the phantom has it often enough for so few
films, else one of the common ones in turn, so labels, boxes and masks of a finding agree with each other and with the
pictures. The numbers that come out say that a table runs, and nothing else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from hilum.datasets.phantom.write import write_phantom
from hilum.schema import EVENT_PREFIX, TIME_PREFIX, label_column
from hilum.tables.data_set import DataSet

COMMON: Final = ("Effusion", "SupportDevice", "Cardiomegaly", "Atelectasis")  # a seventh of the films or more each
SIZE: Final = 64  # pixels a side
DEALT: Final = ("train", "val", "test", "train")
PATIENTS: Final = 36
SEED: Final = 20  # a population in which nine patients or more have each common finding
KEPT: Final = ("image", "image_id", "study_id", "patient_id", "view_position", "split", "age", "sex", "width", "height")


def players(findings: tuple[str, ...]) -> dict[str, str]:
    """Finding of a data set -> the phantom finding that plays it."""
    cast = {name: name for name in findings if name in COMMON}
    free = [name for name in COMMON if name not in cast] or list(COMMON)
    for place, name in enumerate(name for name in findings if name not in cast):
        cast[name] = free[place % len(free)]
    return {name: cast[name] for name in findings}


def draw_films(root: Path, *, patients: int = PATIENTS, size: int = SIZE) -> Path:
    """The phantom films that all stand-ins of a folder share; drawn once.

    Args:
        root: the folder of the stand-ins.
        patients: of the phantom.
        size: pixels a side.
    """
    films = root / "phantom"
    if not (films / "manifest.parquet").is_file():
        write_phantom(films, patients=patients, size=size, seed=SEED, progress=False)
    return films


def make_stand_in(data_set: DataSet, root: Path, films: Path) -> Path:
    """A prepared folder of the data set's shape, `ROOT/<name>`; left alone where it is.

    Args:
        data_set: which to play.
        root: the folder of the stand-ins.
        films: of `draw_films`.
    """
    out = root / data_set.name
    if (out / "manifest.csv").is_file():
        return out
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    source = pd.read_parquet(films / "manifest.parquet")
    cast = players(data_set.findings)
    source["split"] = _split(source)
    table = source[[*KEPT]].copy()
    if "labels" in data_set.holds:
        table = table.assign(**_labels(data_set, source, cast))
    for name in data_set.endpoints:
        table[TIME_PREFIX + name] = source[TIME_PREFIX + name]
        table[EVENT_PREFIX + name] = source[EVENT_PREFIX + name]
    if "reports" in data_set.holds:
        table["report"] = source["report"]
    shutil.copytree(films / "images", out / "images")
    if "boxes" in data_set.holds or "phrases" in data_set.holds:
        _write_boxes(out, films, cast, phrases="phrases" in data_set.holds)
    if "masks" in data_set.holds:
        _copy_masks(out, films, cast)
    table.to_csv(out / "manifest.csv", index=False)  # last: a folder with it is whole
    return out


def _split(source: pd.DataFrame) -> pd.Series[str]:
    """Patients dealt to the parts in turn, those with the rarest common finding first, so that each part has all."""
    present = source[[label_column(name) for name in COMMON]].ne(0).groupby(source["patient_id"]).any()
    rarest_first = present.sum().sort_values(kind="stable").index
    order = dict.fromkeys(patient for column in rarest_first for patient in present.index[present[column]])
    order |= dict.fromkeys(present.index)
    part = {patient: DEALT[place % len(DEALT)] for place, patient in enumerate(order)}
    return source["patient_id"].map(part)


def _labels(data_set: DataSet, source: pd.DataFrame, cast: Mapping[str, str]) -> dict[str, Any]:
    """Label columns; classes that exclude each other where NoFinding stands among few."""
    labels = {label_column(name): (source[label_column(player)] != 0).astype(int) for name, player in cast.items()}
    if "NoFinding" in data_set.findings:
        labels[label_column("NoFinding")] = pd.Series(1, index=source.index)
        if len(data_set.findings) == 3:  # three classes: the first that holds, none is NoFinding
            taken = pd.Series(0, index=source.index)
            for column, values in labels.items():
                labels[column] = values * (1 - taken)
                taken = taken + labels[column]
        else:
            others = pd.DataFrame(labels).drop(columns=label_column("NoFinding"))
            labels[label_column("NoFinding")] = (others.sum(axis=1) == 0).astype(int)
    return labels


def _write_boxes(out: Path, films: Path, cast: Mapping[str, str], *, phrases: bool) -> None:
    coco = json.loads((films / "boxes.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    notes: list[dict[str, Any]] = []
    for number, (name, player) in enumerate(cast.items(), start=1):
        for note in coco["annotations"]:
            if names[note["category_id"]] == player:
                said = {"phrase": f"There is {name.lower()}."} if phrases else {}
                kept = {key: note[key] for key in ("image_id", "bbox", "area", "iscrowd")}
                notes.append({"id": len(notes) + 1, "category_id": number, **kept, **said})
    categories = [{"id": number, "name": name} for number, name in enumerate(cast, start=1)]
    (out / "boxes.json").write_text(
        json.dumps({"images": coco["images"], "categories": categories, "annotations": notes})
    )


def _copy_masks(out: Path, films: Path, cast: Mapping[str, str]) -> None:
    (out / "masks").mkdir()
    for name, player in cast.items():
        for path in sorted((films / "masks").glob(f"*.{player}.png")):
            shutil.copyfile(path, out / "masks" / f"{path.name.removesuffix(f'.{player}.png')}.{name}.png")
