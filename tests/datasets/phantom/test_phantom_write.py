"""Written sets: a manifest its own reader accepts, DICOM that reads back, all or nothing, any number of workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from hilum.datasets import DATASETS
from hilum.datasets.phantom import PHANTOM_FINDINGS, phantom_patient, render, write_phantom
from hilum.datasets.phantom import write as writing
from hilum.dicom.read import read_film
from hilum.errors import ConfigError, UserError
from hilum.lookup import lookup
from hilum.manifest import Manifest, assign_splits
from hilum.schema import label_column

SIZE = 64
PATIENTS = 12


@pytest.fixture(scope="module")
def png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("png set") / "new"
    return write_phantom(out, patients=PATIENTS, size=SIZE, seed=3, progress=False)


@pytest.fixture(scope="module")
def dicom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("archive")  # there, and empty
    return write_phantom(out, patients=PATIENTS, size=SIZE, seed=3, form="dicom", progress=False)


def test_the_table_of_datasets_finds_it() -> None:
    assert lookup(DATASETS, "phantom", kind="data set") is write_phantom


def test_manifest_passes_its_own_door_and_says_what_is_true(png: Path) -> None:
    manifest = Manifest.read(png)
    table = manifest.table
    assert manifest.findings == PHANTOM_FINDINGS
    assert table["patient_id"].nunique() == PATIENTS
    assert (table["split"].to_numpy() == assign_splits(table["patient_id"], seed=3)).all()
    assert set(table["source"]) == {"phantom"}
    assert set(table["view_position"]) <= {"PA", "AP", "LATERAL"}
    rows = iter(table.to_dict("records"))
    for index in range(PATIENTS):
        patient = phantom_patient(3, index)
        for study in patient.studies:
            for view in study.views:
                row = next(rows)
                assert (row["patient_id"], row["view_position"]) == (patient.patient_id, view)
                assert {name: row[label_column(name)] for name in PHANTOM_FINDINGS} == study.labels()
                assert row["age"] == int(study.age)
                pixels = np.asarray(Image.open(png / row["image"]))
                assert pixels.shape == (SIZE, SIZE) == (row["height"], row["width"])
                np.testing.assert_array_equal(pixels, np.rint(render(patient, study, view, SIZE) * 255))
                spacing = [float(part) for part in row["spacing_mm"].split(",")]
                assert 0.85 * 410 / SIZE < spacing[0] == spacing[1] < 433 / SIZE
    assert next(rows, None) is None
    assert {"time.Death", "event.Death", "risk.Death", "time.HeartFailure"} <= set(table.columns)


def test_boxes_and_masks_belong_to_the_films(png: Path) -> None:
    coco = json.loads((png / "boxes.json").read_text())
    table = Manifest.read(png).table.set_index("image_id")
    assert [image["id"] for image in coco["images"]] == list(table.index)
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert [annotation["id"] for annotation in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    assert len(coco["annotations"]) > 10
    for annotation in coco["annotations"]:
        finding = names[annotation["category_id"]]
        assert table.loc[annotation["image_id"], label_column(finding)] in (1, -1)
        x, y, width, height = annotation["bbox"]
        mask = np.asarray(Image.open(png / annotation["mask"]))
        assert mask.dtype == bool
        assert mask.shape == (SIZE, SIZE)
        assert mask[y : y + height, x : x + width].sum() >= annotation["area"]
    for image_id in table.index:
        assert (png / "masks" / f"{image_id}.Lungs.png").is_file()
        assert (png / "masks" / f"{image_id}.Heart.png").is_file()


def test_dicom_reads_back_to_the_same_pixels_through_the_one_door(dicom: Path) -> None:
    labels = pd.read_csv(dicom / "labels.csv")
    files = sorted(path.relative_to(dicom).as_posix() for path in dicom.rglob("*.dcm"))
    assert sorted(labels["file"]) == files
    forms = set()
    for index in range(PATIENTS):
        patient = phantom_patient(3, index)
        mine = labels[labels["file"].str.startswith(patient.patient_id)].to_dict("records")
        films = [(study, view) for study in patient.studies for view in study.views]
        assert len(mine) == len(films)
        for row, (study, view) in zip(mine, films, strict=True):
            film = read_film(dicom / row["file"])
            step = 1.0 / (0.87 * (2**patient.site.bits - 1))
            np.testing.assert_allclose(film.pixels, render(patient, study, view, SIZE), atol=step)
            header = pydicom.dcmread(dicom / row["file"])
            np.testing.assert_array_equal(header.pixel_array.max() < 2**patient.site.bits, True)
            assert header.PatientID == patient.patient_id
            assert header.PatientAge == f"{int(study.age):03d}Y"
            assert header.PatientSex == patient.sex
            assert header.ViewPosition == {"LATERAL": "LL"}.get(view, view)
            assert row["label.Effusion"] == study.labels()["Effusion"]
            assert float(header.ImagerPixelSpacing[0]) > 1.0
            forms.add((header.PhotometricInterpretation, header.file_meta.TransferSyntaxUID.name))
    assert {form[0] for form in forms} == {"MONOCHROME1", "MONOCHROME2"}
    assert {form[1] for form in forms} == {"Explicit VR Little Endian", "RLE Lossless"}


def test_films_of_a_study_share_its_uid_and_accession(dicom: Path) -> None:
    studies: dict[Path, set[tuple[str, str, str]]] = {}
    instances = set()
    for path in dicom.rglob("*.dcm"):
        header = pydicom.dcmread(path, stop_before_pixels=True)
        studies.setdefault(path.parent, set()).add((header.StudyInstanceUID, header.AccessionNumber, header.StudyDate))
        instances.add(header.SOPInstanceUID)
    assert all(len(ids) == 1 for ids in studies.values())
    assert len({next(iter(ids))[0] for ids in studies.values()}) == len(studies)
    assert len(instances) == len(list(dicom.rglob("*.dcm")))


@pytest.mark.slow
def test_workers_do_not_change_a_byte(tmp_path: Path) -> None:
    alone, together = (
        write_phantom(tmp_path / str(n), patients=5, size=48, seed=9, workers=n, progress=False) for n in (0, 2)
    )
    for path in sorted(alone.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (together / path.relative_to(alone)).read_bytes(), path


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="not empty"):
        write_phantom(tmp_path, patients=1, size=32)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"patients": 0}, "0 patients"), ({"size": 8}, "8 pixels"), ({"form": "jpeg"}, "unknown form 'jpeg'"),
     ({"seed": -1}, "negative"), ({"workers": -2}, "-2 workers")],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, object], said: str) -> None:
    options = {"patients": 2, "size": 32} | wrong
    with pytest.raises(ConfigError, match=said):
        write_phantom(tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fails_late(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > 2:
            raise OSError("disk full")
        return np.zeros((32, 32), np.float32)

    monkeypatch.setattr(writing, "render", fails_late)
    with pytest.raises(OSError, match="disk full"):
        write_phantom(tmp_path / "out", patients=6, size=32, progress=False)
    assert not list(tmp_path.iterdir())


def test_module_runs_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    command = [sys.executable, "-m", "hilum.datasets.phantom", "--patients", "1", "--size", "32", "--out"]
    done = subprocess.run([*command, str(tmp_path / "full")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
