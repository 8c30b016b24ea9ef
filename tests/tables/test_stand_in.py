"""Stand-ins have the shape of their data sets: nothing is missing, and every part can teach, choose and judge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.manifest import Manifest
from hilum.tables.check import ready
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.stand_in import COMMON, draw_films, make_stand_in, players

PUBLIC = [name for name, data_set in DATA_SETS.items() if not data_set.private]


def test_findings_play_themselves_where_they_can() -> None:
    cast = players(("Mass", "Effusion", "Gout"))
    assert cast["Effusion"] == "Effusion"
    assert {cast["Mass"], cast["Gout"]} <= set(COMMON) - {"Effusion"}
    assert set(players((*COMMON, "Mass"))) == {*COMMON, "Mass"}


@pytest.mark.parametrize("name", PUBLIC)
def test_nothing_is_missing(name: str, films: Path, tmp_path: Path) -> None:
    data_set = DATA_SETS[name]
    folder = make_stand_in(data_set, tmp_path, films)
    assert ready(data_set, tmp_path)
    manifest = Manifest.read(folder)
    labels = [column for column in manifest.table if column.startswith("label.")]
    assert len(labels) == (len(data_set.findings) if "labels" in data_set.holds else 0)
    for _, part in manifest.table.groupby("split"):
        for column in labels:
            assert set(part[column]) == {0, 1}, column
    parts = manifest.table.groupby("patient_id")["split"].nunique()
    assert (parts == 1).all()
    (folder / "manifest.csv").write_text("kept")
    assert make_stand_in(data_set, tmp_path, films).joinpath("manifest.csv").read_text() == "kept"


def test_three_classes_exclude_each_other(films: Path, tmp_path: Path) -> None:
    table = pd.read_csv(make_stand_in(DATA_SETS["covidx-cxr-3a"], tmp_path, films) / "manifest.csv")
    assert (table.filter(like="label.").sum(axis=1) == 1).all()


def test_boxes_and_masks_belong_to_the_label(films: Path, tmp_path: Path) -> None:
    folder = make_stand_in(DATA_SETS["siim-pneumothorax"], tmp_path, films)
    table = pd.read_csv(folder / "manifest.csv")
    drawn = {path.name.split(".")[0] for path in (folder / "masks").iterdir() if np.array(Image.open(path)).any()}
    assert drawn
    assert drawn <= set(table.loc[table["label.Pneumothorax"] == 1, "image_id"])
    boxes = json.loads((make_stand_in(DATA_SETS["ms-cxr"], tmp_path, films) / "boxes.json").read_text())
    assert {note["phrase"] for note in boxes["annotations"]} >= {"There is edema."}
    assert [category["name"] for category in boxes["categories"]] == list(DATA_SETS["ms-cxr"].findings)


def test_a_half_written_folder_is_made_anew(films: Path, tmp_path: Path) -> None:
    folder = make_stand_in(DATA_SETS["jsrt"], tmp_path, films)
    (folder / "manifest.csv").unlink()
    shutil.rmtree(folder / "images")
    assert len(list((make_stand_in(DATA_SETS["jsrt"], tmp_path, films) / "images").iterdir())) > 50
    assert draw_films(films.parent) == films
