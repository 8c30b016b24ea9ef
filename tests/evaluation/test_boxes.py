"""Boxes from COCO and from tables, matched with films, and files that are not what they should be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError
from hilum.evaluation.boxes import match_films, read_box_file, read_boxes
from hilum.evaluation.grounding_pairs import Pair, boxes_on_film, questions_from_boxes
from hilum.heads.prompt_file import read_prompts
from hilum.manifest import Manifest

COCO = {
    "images": [{"id": 7, "file_name": "deep/a.png", "width": 200, "height": 100}, {"id": "b", "file_name": "x.png"}],
    "categories": [{"id": 1, "name": "Effusion"}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "label_text": "small effusion"},
        {"image_id": "b", "category_id": 1, "bbox": [0, 0, 5, 5]},
    ],
}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = [{"image": f"images/{name}.png", "patient_id": name, "report": f"Effusion {name}."} for name in "abc"]
    return Manifest.from_table(pd.DataFrame(rows), tmp_path)


def test_coco_is_read_with_phrases_and_sizes(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(COCO))
    table = read_boxes(path)
    assert table[["image", "category", "phrase"]].to_numpy().tolist() == [
        ["deep/a.png", "Effusion", "small effusion"], ["b", "Effusion", ""],
    ]  # fmt: skip
    assert table["width"].tolist()[0] == 200
    assert np.isnan(table["width"][1])
    matched, strangers = match_films(table, manifest)
    assert (matched["row"].tolist(), strangers) == ([0, 1], 0)  # by the stem of the file, and by the id


def test_images_without_boxes_are_known(tmp_path: Path) -> None:
    """As COCO lists them, and as RSNA and VinDr write a blank row."""
    (tmp_path / "a.json").write_text(json.dumps({**COCO, "images": [*COCO["images"], {"id": "empty"}]}))
    assert read_box_file(tmp_path / "a.json").images == ("deep/a.png", "b", "empty")
    (tmp_path / "rsna.csv").write_text("patientId,x,y,width,height,Target\na,,,,,0\nb,1,2,3,4,1\n")
    rsna = read_box_file(tmp_path / "rsna.csv")
    assert rsna.images == ("a", "b")
    assert rsna.boxes[["image", "x", "y", "w", "h"]].to_numpy().tolist() == [["b", 1, 2, 3, 4]]
    head = "image_id,class_name,rad_id,x_min,y_min,x_max,y_max\n"
    (tmp_path / "vindr.csv").write_text(head + "a,No finding,R1,,,,\nb,Effusion,R2,1,2,11,22\n")
    vindr = read_box_file(tmp_path / "vindr.csv")
    assert vindr.boxes[["category", "reader", "x", "y", "w", "h"]].to_numpy().tolist() == [
        ["Effusion", "R2", 1, 2, 10, 20]
    ]
    assert vindr.images == ("a", "b")


def test_tables_are_read_under_their_own_names(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "boxes.csv"
    rows = "dicom_id,category_name,label_text,x,y,w,h,image_width,image_height\na,Edema,Left edema,1,2,3,4,10,20\n"
    path.write_text(rows + "a,Edema,left  EDEMA,5,6,7,8,10,20\nz,Edema,,1,1,1,1,10,20\nb,Edema,,1,1,1,1,10,20\n")
    found = questions_from_boxes(manifest, path, "auto", read_prompts("findings"))
    assert [pair.phrases for pair in found.pairs] == [("Left edema",)]
    assert found.pairs[0].boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]  # one phrase in any case: a union
    assert found.pairs[0].size == (20, 10)
    assert "1 boxes are of films that are not among those judged." in found.notes
    assert "Left out, since there is no phrase for it: Edema (1)." in found.notes


def test_sentences_come_from_prompts_or_from_the_report(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("image,label,x,y,w,h\nimages/a.png,Effusion,1,2,3,4\nimages/b.png,Gizmo,1,2,3,4\n")
    prompts = read_prompts("findings")
    found = questions_from_boxes(manifest, path, "auto", prompts)
    assert found.pairs[0].phrases == prompts["Effusion"].positive
    assert "Left out, since there is no entry in the prompts file for it: Gizmo (1)." in found.notes
    own = questions_from_boxes(manifest, path, "report", prompts)
    assert [pair.phrases for pair in own.pairs] == [("Effusion a.",)]


def test_boxes_follow_the_film_to_its_stored_size() -> None:
    pair = Pair(0, ("a",), "b", np.array([[10.0, 20, 30, 40]]), (200.0, 100.0))
    assert boxes_on_film(pair, (50, 50), "squeeze").tolist() == [[5, 5, 15, 10]]
    assert boxes_on_film(pair, (50, 50), "pad").tolist() == [[14, 5, 7, 10]]
    assert boxes_on_film(pair, (200, 100), "pad") is pair.boxes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{}", "is not COCO"),
        ("a.json", "[1", "cannot be read as boxes"),
        ("a.json", json.dumps({**COCO, "annotations": []}), "holds no box"),
        ("a.json", json.dumps({**COCO, "images": []}), r"cannot be read as boxes \(KeyError: 7\)"),
        ("a.csv", "image,x,y,w\n", "has no column h or box_height or height"),
        ("a.csv", "image,x,y,w,h\n", "holds no box"),
        ("a.csv", "image,x,y,w,h\nb,1,1,0,4\n", r"box 1 \(image 'b'\) has no area"),
        ("a.csv", "image,x,y,w,h\nb,1,1,one,4\n", "cannot be read as boxes"),
        ("a.csv", "image,x,y,w,h\nb,1,,3,4\n", "has no area"),
    ],
)
def test_a_broken_file_is_one_clear_sentence(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_boxes(path)
