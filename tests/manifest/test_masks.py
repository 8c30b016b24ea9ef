"""Masks beside a manifest: three forms, one answer; what is empty and what is unknown; faults by their words."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.errors import ConfigError, ImageError, ManifestError, UserError
from hilum.manifest import Manifest
from hilum.manifest.masks import UNKNOWN, Masks, read_masks, resize_nearest
from tests.manifest.test_run_lengths import pairs_of

SIZE = (12, 10)
# film a: both; b: Mass in two parts; c: absent by label; d: nothing is known; e: a mask of Mass though labelled absent
LABELS = {"a": (1, 1), "b": (1, ""), "c": (0, 0), "d": ("", -1), "e": (0, "")}


def drawn(film: str, finding: str) -> np.ndarray:
    rng = np.random.default_rng([ord(film), len(finding)])
    return rng.random(SIZE) < 0.3


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = [
        {
            "image": f"images/{film}.png",
            "image_id": f"id-{film}",
            "patient_id": film,
            "label.Mass": mass,
            "label.Edema": edema,
        }
        for film, (mass, edema) in LABELS.items()
    ]
    return Manifest.from_table(pd.DataFrame(rows), tmp_path)


def folder(root: Path) -> Path:
    place = root / "masks"
    (place / "Edema").mkdir(parents=True)
    for film in "abe":
        Image.fromarray(drawn(film, "Mass")).save(place / f"id-{film}.Mass.png")
    Image.fromarray((255 * drawn("a", "Edema")).astype(np.uint8)).save(place / "Edema" / "a.png")
    return place


def table(root: Path) -> Path:
    left = np.zeros(SIZE, bool)
    left[:, :5] = True
    rows = [
        ("id-a", pairs_of(drawn("a", "Mass"), "relative"), "Mass"),
        ("id-a", pairs_of(drawn("a", "Edema"), "relative"), "Edema"),
        ("id-b", pairs_of(drawn("b", "Mass") & left, "relative"), "Mass"),
        ("id-b", pairs_of(drawn("b", "Mass") & ~left, "relative"), "Mass"),
        ("id-c", " -1", "Mass"),
        ("e", pairs_of(drawn("e", "Mass"), "relative"), "Mass"),
    ]
    path = root / "train-rle.csv"
    pd.DataFrame(rows, columns=["ImageId", " EncodedPixels", "finding"]).to_csv(path, index=False)
    return path


def coco(root: Path) -> Path:
    def counts(mask: np.ndarray) -> list[int]:
        flat = mask.T.ravel()
        edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
        runs = np.diff([0, *edges, flat.size]).tolist()
        return [0, *runs] if flat[0] else runs

    notes = [("a", 1, "Mass"), ("a", 2, "Edema"), ("b", 1, "Mass"), ("e", 1, "Mass")]
    content = {
        "images": [{"id": number, "file_name": f"somewhere/{film}.png"} for number, film in enumerate("abe")],
        "categories": [{"id": 1, "name": "Mass"}, {"id": 2, "name": "Edema"}],
        "annotations": [
            {
                "id": number,
                "image_id": "abe".index(film),
                "category_id": category,
                "segmentation": {"size": list(SIZE), "counts": counts(drawn(film, name))},
            }
            for number, (film, category, name) in enumerate(notes)
        ],
    }
    path = root / "masks.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("form", [folder, table, coco])
def test_three_forms_one_answer(manifest: Manifest, form: Any) -> None:
    masks = read_masks(manifest, ("Mass", "Edema"), form(manifest.root), size=SIZE)
    nan = np.nan
    said_empty = 0.0 if form is coco else nan  # the COCO file lists b and e, without an annotation of Edema
    expected = [[1, 1], [1, said_empty], [0, 0], [nan, nan], [1, said_empty]]
    np.testing.assert_array_equal(masks.stated, np.array(expected, np.float32))
    np.testing.assert_array_equal(masks(0), np.stack([drawn("a", "Mass"), drawn("a", "Edema")]))
    np.testing.assert_array_equal(masks(1)[0], drawn("b", "Mass"))
    assert (masks(1)[1] == (0 if form is coco else UNKNOWN)).all()
    assert masks(2).tolist() == [[[0]], [[0]]]
    assert masks(3).tolist() == [[[UNKNOWN]], [[UNKNOWN]]]
    assert "1 masks belong to films whose label says absent" in masks.notes[0]
    taken = masks.take(np.array([2, 0]))
    assert len(taken) == 2
    np.testing.assert_array_equal(taken(1), masks(0))
    again: Masks = pickle.loads(pickle.dumps(masks))  # loader processes get it so
    np.testing.assert_array_equal(again(0), masks(0))


def test_one_finding_needs_no_name_in_its_files(manifest: Manifest, tmp_path: Path) -> None:
    place = tmp_path / "lungs"
    place.mkdir()
    Image.fromarray(drawn("a", "Lung")).save(place / "a.png")
    Image.fromarray(drawn("b", "Lung").astype(np.uint8)).save(place / "id-b_mask.png")  # 0 and 1
    masks = read_masks(manifest, ("Lung",), place)
    assert masks.stated[:, 0].tolist()[:2] == [1, 1]
    assert np.isnan(masks.stated[2:]).all()
    np.testing.assert_array_equal(masks(1)[0], drawn("b", "Lung"))


def test_nearest_resizing_takes_the_pixel_under_the_centre() -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (2, 6, 9)).astype(np.uint8)
    np.testing.assert_array_equal(resize_nearest(masks, (12, 18)), masks.repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_array_equal(resize_nearest(resize_nearest(masks, (12, 18)), (6, 9)), masks)
    slow = [[masks[0, int((i + 0.5) * 6 / 4), int((j + 0.5) * 9 / 7)] for j in range(7)] for i in range(4)]
    assert resize_nearest(masks, (4, 7))[0].tolist() == slow
    assert (resize_nearest(np.full((1, 1, 1), UNKNOWN, np.uint8), (3, 4)) == UNKNOWN).all()


def test_a_misspelt_finding_meets_the_names_that_files_bear(manifest: Manifest) -> None:
    place = folder(manifest.root)
    with pytest.raises(ConfigError, match=r"no mask of Mas for any of the 5 films.*It has masks of: .*Mass"):
        read_masks(manifest, ("Mas",), place)


def test_findings_without_any_mask_may_be_allowed(manifest: Manifest) -> None:
    place = folder(manifest.root)
    with pytest.raises(ConfigError, match=r"no mask of Nodule for any of the 5 films"):
        read_masks(manifest, ("Mass", "Nodule"), place)
    assert np.isnan(read_masks(manifest, ("Mass", "Nodule"), place, every=False).stated[:, 1]).all()
    with pytest.raises(ConfigError, match="no mask of Nodule, Hernia"):
        read_masks(manifest, ("Nodule", "Hernia"), place, every=False)


def test_faults_say_what_to_do(manifest: Manifest, tmp_path: Path) -> None:
    def fault(*arguments: Any, **options: Any) -> str:
        with pytest.raises(UserError) as found:
            read_masks(*arguments, **options)(0)
        return str(found.value)

    assert "no such file or folder of masks" in fault(manifest, ("Mass",), tmp_path / "nowhere")
    assert "Name what the masks are of" in fault(manifest, ())
    assert "named twice" in fault(manifest, ("Mass", "Mass"))
    path = table(tmp_path)
    assert "--runs absolute" in fault(manifest, ("Mass",), path, size=(4, 4))
    runs = pd.read_csv(path)
    runs.iloc[2, 1] = "12 x 4"
    runs.to_csv(tmp_path / "row.csv", index=False)
    with pytest.raises(ManifestError, match=r"row\.csv, ImageId .* no whole numbers"):
        read_masks(manifest, ("Mass",), tmp_path / "row.csv", size=SIZE)  # before a film is asked for
    runs.assign(ImageId="somebody").to_csv(tmp_path / "strange.csv", index=False)
    assert "Name images as the manifest does" in fault(manifest, ("Mass",), tmp_path / "strange.csv")
    plain = pd.read_csv(path).drop(columns="finding")
    plain.to_csv(tmp_path / "plain.csv", index=False)
    assert "does not say which of Mass, Edema" in fault(manifest, ("Mass", "Edema"), tmp_path / "plain.csv")
    plain.drop(columns=" EncodedPixels").to_csv(tmp_path / "none.csv", index=False)
    assert "no columns ImageId and EncodedPixels" in fault(manifest, ("Mass",), tmp_path / "none.csv")
    (tmp_path / "broken.json").write_text("{")
    assert "is not JSON" in fault(manifest, ("Mass",), tmp_path / "broken.json")
    (tmp_path / "list.json").write_text("[]")
    assert "is not COCO" in fault(manifest, ("Mass",), tmp_path / "list.json")
    known = coco(tmp_path)
    assert "Mass" in fault(manifest, ("Masss",), known)
    content = json.loads(known.read_text())
    content["annotations"][0]["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    known.write_text(json.dumps(content))
    assert "is a polygon, not run lengths" in fault(manifest, ("Mass",), known)


def test_a_damaged_file_and_parts_of_two_sizes(manifest: Manifest) -> None:
    place = folder(manifest.root)
    (place / "id-a.Mass.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match="cannot be read as a mask"):
        read_masks(manifest, ("Mass",), place)(0)
    masks = read_masks(manifest, ("Mass",), table(manifest.root), size=SIZE)
    first, second = masks.pieces[1][0]
    uneven = Masks(("Mass",), (((first, place / "id-b.Mass.png"),),), masks.stated[1:2])
    assert uneven(0).shape == (1, *SIZE)
    Image.fromarray(np.zeros((3, 3), bool)).save(place / "id-b.Mass.png")
    with pytest.raises(ManifestError, match="parts of one mask"):
        uneven(0)
    assert second != first
