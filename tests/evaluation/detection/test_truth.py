"""Which films are known, where their boxes lie, and what becomes of several readers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.detection.truth import box_file, boxed_films
from hilum.manifest import Manifest

HEAD = "image_id,category,x,y,w,h"


def manifest(root: Path, names: str = "abcdef", **columns: list[object]) -> Manifest:
    rows = {"image": [f"{name}.png" for name in names], "patient_id": list(names), "height": 100, "width": 100}
    return Manifest.from_table(pd.DataFrame({**rows, "split": "train", **columns}), root)


def write(root: Path, *lines: str, head: str = HEAD) -> Path:
    path = root / "boxes.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_known_is_who_has_a_box_a_zero_or_was_looked_at(tmp_path: Path) -> None:
    """a has a box; b label 0; c label 1 without a box; d is blank but listed; e blank and nowhere; f uncertain."""
    films = manifest(tmp_path, **{"label.Mass": [1, 0, 1, None, None, -1]})
    found = boxed_films(films, write(tmp_path, "a,Mass,1,2,30,40", "d,,,,,"))
    assert found.image_ids == ["a", "b", "d"]
    assert found.boxes[0].tolist() == [[1, 2, 30, 40, 0]]
    assert [len(boxes) for boxes in found.boxes] == [1, 0, 0]
    assert found.manifest.table["label.Mass"].tolist() == [1, 0, 0]
    said = " ".join(found.notes)
    assert "2 films were left out: they have a finding by their label, or an uncertain one, without a box." in said
    assert "1 films were left out: they have a finding of which neither the boxes nor a label speak." in said
    assert found.counts() == {"Mass": {"boxes": 1, "films": 1, "patients": 1}}
    assert found(0).shape == (1, 5)


def test_a_box_of_anything_means_the_film_was_looked_at_unless_its_label_says_more(tmp_path: Path) -> None:
    films = manifest(tmp_path, "abc", **{"label.Mass": [None, 1, 0], "label.Effusion": [1, 1, None]})
    table = write(tmp_path, "a,Effusion,1,1,9,9", "b,Effusion,1,1,9,9", "zzz,Mass,1,1,9,9", "c,Mass,2,2,5,5")
    found = boxed_films(films, table)
    assert found.findings == ("Effusion", "Mass")
    assert found.image_ids == ["a", "c"]  # b has a Mass that nobody drew; the box of c beats its label
    assert "1 boxes are of films that are not among those in question." in found.notes
    only = boxed_films(films, table, ("Effusion",))
    assert only.image_ids == ["a", "b", "c"]


def test_truth_has_a_row_a_box_and_a_blank_one_for_none(tmp_path: Path) -> None:
    found = boxed_films(manifest(tmp_path, "ab"), write(tmp_path, "a,Mass,1,2,3,4", "a,Mass,5,6,7,8", "b,,,,,"))
    truth = found.truth()
    assert truth["category"].tolist() == ["Mass", "Mass", ""]
    assert truth["x"].tolist()[:2] == [1, 5]
    assert np.isnan(truth["x"].iloc[2])
    assert truth["patient_id"].tolist() == ["a", "a", "b"]


def test_several_readers_are_fused_or_kept(tmp_path: Path) -> None:
    lines = [
        "a,Mass,R1,0,0,20,20",
        "a,Mass,R2,2,0,20,20",
        "a,Mass,R3,60,60,10,10",
        "b,Mass,R1,0,0,9,9",
        "b,Mass,R1,1,0,9,9",
    ]
    path = write(tmp_path, *lines, head="image_id,category,reader,x,y,w,h")
    fused = boxed_films(manifest(tmp_path, "ab"), path)
    assert fused.boxes[0][:, :4].tolist() == [[1, 0, 20, 20], [60, 60, 10, 10]]
    assert len(fused.boxes[1]) == 2  # one reader's two boxes are two places
    assert "Boxes of several readers (1 findings on a film): fused from 5 boxes to 4." in fused.notes
    kept = boxed_films(manifest(tmp_path, "ab"), path, readers="keep")
    assert len(kept.boxes[0]) == 3
    assert "a place counts twice" in kept.notes[0]


@pytest.mark.parametrize(("fit", "expected"), [("squeeze", [5, 10, 10, 20]), ("pad", [27.5, 10, 5, 20])])
def test_boxes_of_other_pixels_come_to_the_stored_film(tmp_path: Path, fit: str, expected: list[float]) -> None:
    (tmp_path / "prepare.json").write_text(json.dumps({"settings": {"fit": fit}}))
    path = write(tmp_path, "a,Mass,5,20,10,40,100,200", head=f"{HEAD},image_width,image_height")
    found = boxed_films(manifest(tmp_path, "a"), path)
    assert found.boxes[0][0, :4].tolist() == pytest.approx(expected)


def test_boxes_off_the_film_are_counted_or_refused(tmp_path: Path) -> None:
    lines = [f"a,Mass,{n},1,5,5" for n in range(30)]
    found = boxed_films(manifest(tmp_path, "a"), write(tmp_path, *lines, "a,Mass,300,1,5,5"))
    assert len(found.boxes[0]) == 30
    assert "1 boxes were left out, since they lie outside the film." in found.notes
    with pytest.raises(ManifestError, match="other pixels"):
        boxed_films(manifest(tmp_path, "a"), write(tmp_path, "a,Mass,300,1,5,5"))


def test_sizes_are_read_from_the_films_where_the_manifest_is_silent(boxed_data: Path) -> None:
    plain = Manifest.read(boxed_data)
    bare = Manifest(plain.table.drop(columns=["height", "width"]), plain.root)
    found = boxed_films(bare, boxed_data / "boxes.json")
    assert (found.shapes == [48, 64]).all()
    assert len(found) == 80
    part = found.split("val")
    assert len(part) == len(part.boxes) == 16
    assert part.image_ids == list(plain.select("val").table["image_id"])


def test_faults_are_said(tmp_path: Path, boxed_data: Path) -> None:
    films = Manifest.read(boxed_data)
    with pytest.raises(ConfigError, match=r"unknown category of boxes 'Masss'.*Did you mean 'Mass'"):
        boxed_films(films, boxed_data / "boxes.json", ("Masss",))
    assert "no boxes of Hernia" in " ".join(
        boxed_films(films, boxed_data / "boxes.json", ("Mass", "Hernia"), strict=False).notes
    )
    with pytest.raises(ManifestError, match="none of 6 films is known"):
        boxed_films(manifest(tmp_path), write(tmp_path, "zzz,Mass,1,1,5,5"))
    with pytest.raises(ConfigError, match="no such file"):
        box_file(tmp_path, "nowhere.json")
    with pytest.raises(ConfigError, match=r"has no boxes\.json"):
        box_file(tmp_path / "empty", None)
    assert box_file(boxed_data, None).name == "boxes.json"


def test_boxes_without_a_category_are_findings(tmp_path: Path) -> None:
    found = boxed_films(manifest(tmp_path, "a"), write(tmp_path, "a,1,1,5,5", head="image_id,x,y,w,h"))
    assert found.findings == ("Finding",)
    assert len(found.boxes[0]) == 1
