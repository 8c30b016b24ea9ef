"""`hilum prepare`: what comes out, what is refused, what a kill leaves, and what header text never reaches."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom import uid

from hilum.cli import main
from hilum.errors import UserError
from hilum.ingest import prepare_folder
from hilum.manifest import Manifest
from tests.dicom.films import chest, save

RNG = np.random.default_rng(7)


def png(path: Path, size: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (size, size), dtype=np.uint8)).save(path, format="PNG")
    return path


def dicom(path: Path, patient: str, number: int, **header: object) -> Path:
    ds = chest(RNG.integers(0, 256, (32, 24), dtype=np.uint8), PatientID=patient, **header)
    ds.StudyInstanceUID, ds.SOPInstanceUID = f"1.7.{number // 2}", f"1.8.{number}"
    return save(ds, path)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with a space in its name: 12 PNGs, one cut short, one that is no picture."""
    root = tmp_path / "my films"
    for number in range(12):
        png(root / f"{number % 3}" / f"f{number}.png")
    (root / "bad.png").write_bytes((root / "0/f0.png").read_bytes()[:500])
    (root / "notes.txt").write_text("nothing")
    return root


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix != ".jsonl"
    }


def test_a_folder_of_pngs(films: Path, tmp_path: Path) -> None:
    done = prepare_folder(films, tmp_path / "DATA", size=32, workers=2, quiet=True)
    table = Manifest.read(tmp_path / "DATA").table
    assert sorted(table["image_id"]) == sorted(f"f{number}" for number in range(12))
    assert set(table["width"]) == set(table["height"]) == {32}
    assert set(table["orig_width"]) == {40}
    assert all(np.asarray(Image.open(tmp_path / "DATA" / image)).shape == (32, 32) for image in table["image"])
    assert list(done.refused) == ["bad.png"]
    with (tmp_path / "DATA/refused.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"file": "bad.png", "reason": done.refused["bad.png"]}]
    assert any("12 films have no patient id" in note for note in done.notes)
    assert set(table["split"]) <= {"train", "val", "test"}
    split = json.loads((tmp_path / "DATA/split.json").read_text())
    assert split["digest"] == done.manifest.split_digest
    record = json.loads((tmp_path / "DATA/prepare.json").read_text())
    assert record["counts"]["films"] == 12
    assert record["settings"]["size"] == 32
    assert not list((tmp_path / "DATA/images").glob(".*"))
    assert not (tmp_path / "hilum.key").exists()  # no DICOM, no secret


def test_again_is_quick_and_the_same_and_takes_new_films(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "DATA"
    prepare_folder(films, out, size=32, workers=2, quiet=True)
    before = snapshot(out)
    monkeypatch.setattr("hilum.ingest.run.TASK", "tests.dicom.tasks:misbehave")  # would fail if anything were decoded
    prepare_folder(films, out, size=32, quiet=True)
    assert snapshot(out) == before
    monkeypatch.undo()
    png(films / "new.png")
    assert len(prepare_folder(films, out, size=32, workers=1, quiet=True).manifest) == 13


def test_dicom_ids_are_hashed_and_consistent(tmp_path: Path) -> None:
    root, out = tmp_path / "archive", tmp_path / "DATA"
    for number in range(6):
        dicom(root / f"IM{number}", f"CANARY-{number // 3}", number, PatientName="CANARY^ANNA", ViewPosition="PA", InstitutionName="CANARY HOSPITAL", PixelSpacing=[0.2, 0.1], PatientAge="061Y", PatientSex="F")  # fmt: skip  # noqa: E501
    done = prepare_folder(root, out, size=16, workers=2, quiet=True)
    table = done.manifest.table
    assert table["patient_id"].nunique() == 2
    assert table["study_id"].nunique() == 3
    assert table["image_id"].nunique() == 6
    assert set(table["view_position"]) == {"PA"}
    assert set(table["spacing_mm"]) == {"0.4,0.15"}
    assert set(table["age"]) == {61.0}
    assert (tmp_path / "hilum.key").stat().st_mode & 0o777 == 0o600
    for name, content in {**snapshot(out), "journal": (out / ".prepare.jsonl").read_bytes()}.items():
        assert b"CANARY" not in content, name
        assert b"1.8." not in content, name
        assert b"IM0" not in content, name
    other = prepare_folder(root, tmp_path / "DATA2", size=16, workers=1, quiet=True)  # same key beside it: same ids
    assert list(other.manifest.table["patient_id"]) == list(table["patient_id"])
    third = prepare_folder(root, tmp_path / "DATA3", size=16, workers=1, key=tmp_path / "k", quiet=True)
    assert set(third.manifest.table["patient_id"]).isdisjoint(table["patient_id"])


def test_two_files_of_one_instance(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        dicom(tmp_path / "in" / name, "P", 0 if name != "c" else 5)
    for _ in range(2):
        done = prepare_folder(tmp_path / "in", tmp_path / "DATA", size=16, workers=2, quiet=True)
        assert len(done.manifest) == 2
        assert list(done.refused) == ["b"]
        assert "same SOP Instance UID" in done.refused["b"]


def test_a_table_by_file(films: Path, tmp_path: Path) -> None:
    rows = ["file,patient_id,view,split,tuberculosis,Sex,comment"]
    rows += [
        f"{n % 3}/f{n}.png,p{n // 2},{'L' if n % 2 else 'pa'},{'train' if n < 8 else ''},{n % 2},m,x" for n in range(10)
    ]
    rows += ["2/none.png,p99,PA,train,0,f,x"]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    done = prepare_folder(
        films,
        tmp_path / "D",
        size=16,
        table=tmp_path / "t.csv",
        labels=("tuberculosis=Tuberculosis",),
        workers=2,
        quiet=True,
    )
    table = done.manifest.table.set_index("image_id")
    assert len(table) == 10
    assert table.loc["f3", "label.Tuberculosis"] == 1
    assert table.loc["f3", "view_position"] == "LATERAL"
    assert table.loc["f3", "patient_id"] == "p1"
    assert set(table["sex"]) == {"M"}
    assert set(table.loc[[f"f{n}" for n in range(8)], "split"]) == {"train"}  # the table's split wins ...
    assert table.loc["f8", "split"] == table.loc["f9", "split"] != ""  # ... and the rest is drawn by patient
    assert done.refused["2/none.png"] == "in the table, but not in the folder"
    notes = " ".join(done.notes)
    assert "joined to films by the column 'file'" in notes
    assert "not taken: comment" in notes
    assert "3 picture files of the folder are not in the table" in notes


@pytest.mark.parametrize("key", ["sop_instance_uid", "study_instance_uid", "patient_id", "AccessionNumber"])
def test_a_table_by_dicom_id(tmp_path: Path, key: str) -> None:
    for number in range(4):
        dicom(tmp_path / "in" / f"{number}", f"P{number // 2}", number, AccessionNumber=f"A{number // 2}")
    values = {"sop_instance_uid": "1.8.2", "study_instance_uid": "1.7.1", "patient_id": "P1", "AccessionNumber": "A1"}
    (tmp_path / "t.csv").write_text(f"{key},label.Mass,report\n{values[key]},1,a mass\nother,0,no\n")
    done = prepare_folder(tmp_path / "in", tmp_path / "D", size=16, table=tmp_path / "t.csv", workers=1, quiet=True)
    table = done.manifest.table
    matched = 1 if key == "sop_instance_uid" else 2
    assert (table["label.Mass"] == 1).sum() == matched
    assert (table["report"] == "a mass").sum() == matched
    assert table["label.Mass"].isna().sum() == 4 - matched
    assert table["patient_id"].nunique() == 2
    notes = " ".join(done.notes)
    assert f"{4 - matched} of 4 films have no row in the table" in notes
    assert "1 of 2 rows of the table belong to no film" in notes


def test_a_prepared_set_can_be_prepared_again(films: Path, tmp_path: Path) -> None:
    first = prepare_folder(films, tmp_path / "A", size=32, workers=1, quiet=True).manifest
    again = prepare_folder(tmp_path / "A", tmp_path / "B", size=16, seed=9, workers=1, quiet=True).manifest
    columns = ["image_id", "patient_id", "split"]
    pd.testing.assert_frame_equal(
        again.table.sort_values("image_id", ignore_index=True)[columns],
        first.table.sort_values("image_id", ignore_index=True)[columns],
    )


def test_a_crashing_codec_costs_one_file(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png(films / "1" / "killer.png")
    monkeypatch.setattr("hilum.ingest.run.TASK", "tests.dicom.tasks:store_or_abort")
    done = prepare_folder(films, tmp_path / "DATA", size=32, workers=2, quiet=True)
    assert len(done.manifest) == 12
    assert done.refused["1/killer.png"] == "the decoder crashed (SIGABRT)"


def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "films"
    for number in range(60):
        png(root / f"f{number:02d}.png", 300)
    code = (
        "import sys; from pathlib import Path; from hilum.ingest import prepare_folder;"
        "prepare_folder(Path(sys.argv[1]), Path(sys.argv[2]), size=64, workers=2, quiet=True)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = tmp_path / "DATA"
    journal = out / ".prepare.jsonl"
    for lines in (10, 30):
        child = subprocess.Popen([sys.executable, "-c", code, str(root), str(out)], env=env)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            if journal.is_file() and journal.read_bytes().count(b"\n") > lines:
                break
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
        with journal.open("ab") as file:
            file.write(b'{"name": "f59.png", "stamp": [1')  # a line that the kill cut off
    kept = {
        line["name"]
        for line in map(
            json.loads,
            filter(lambda x: x.startswith(b'{"name": "f') and x.endswith(b"}"), journal.read_bytes().split(b"\n")),
        )
    }
    assert len(kept) >= 10
    prepare_folder(root, out, size=64, workers=2, quiet=True)
    names = [
        json.loads(line).get("name")
        for line in journal.read_text().splitlines()
        if line.endswith("}") and '"image"' not in line
    ]
    decoded = [name for name in names if name]
    assert len(decoded) == len(set(decoded)) == 60  # nothing was decoded twice
    prepare_folder(root, tmp_path / "whole", size=64, workers=1, quiet=True)
    assert snapshot(out) == snapshot(tmp_path / "whole")


def test_full_disk_stops_the_run_and_keeps_what_is_done(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (films / "2" / "full.png").write_bytes((films / "0/f0.png").read_bytes())
    monkeypatch.setattr("hilum.ingest.run.TASK", "tests.dicom.tasks:misbehave")
    with pytest.raises(UserError, match="No space left on device"):
        prepare_folder(films, tmp_path / "DATA", size=32, workers=1, quiet=True)
    assert not (tmp_path / "DATA/manifest.parquet").exists()


def no_films(root: Path) -> None:
    root.mkdir()


def only_bad_films(root: Path) -> None:
    root.mkdir()
    (root / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n rubbish")
    save(chest(np.zeros((4, 4), np.uint8), Modality="CT"), root / "b")


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (None, [], "no such folder"),
        (no_films, [], "no PNG, JPEG or DICOM file"),
        (only_bad_films, [], "no film could be read: cannot be decoded"),
        (png, ["--size", "4"], "4 pixels is no size"),
        (png, ["--fractions", "0.5,0.1,0.1"], "not shares of train, val and test"),
        (png, ["--labels", "a=B"], "there is none"),
        (png, ["--table", "none.csv"], "no such table"),
        (png, ["--workers", "-1"], "workers: must be 0 or more"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(
    tmp_path: Path, make: object, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "in"
    if make is png:
        png(root / "a.png")
    elif callable(make):
        make(root)
    code = main(["prepare", str(root), "--out", str(tmp_path / "DATA"), *options, "--quiet"])
    said = capsys.readouterr().err.strip()
    assert code == 2
    assert message in said
    assert "\n" not in said
    assert not (tmp_path / "DATA").exists()
    assert not (tmp_path / "hilum.key").exists()


def test_output_folders_that_are_not_this_runs(films: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").touch()
    with pytest.raises(UserError, match="not empty"):
        prepare_folder(films, full, quiet=True)
    assert [p.name for p in full.iterdir()] == ["x"]
    with pytest.raises(UserError, match="would lie over the films"):
        prepare_folder(films, films, quiet=True)
    out = tmp_path / "DATA"
    prepare_folder(films, out, size=32, workers=1, quiet=True)
    for change, message in (
        ({"size": 64}, r"another size \(32, now 64\)"),
        ({"seed": 3}, "another seed"),
        ({"fit": "pad"}, "another fit"),
    ):
        with pytest.raises(UserError, match=message):
            prepare_folder(films, out, **{"size": 32, "quiet": True, **change})  # type: ignore[arg-type]
    other = png(tmp_path / "other" / "a.png").parent
    with pytest.raises(UserError, match="another folder"):
        prepare_folder(other, out, size=32, quiet=True)


def test_output_inside_the_folder_is_not_scanned(films: Path) -> None:
    for _ in range(2):
        assert len(prepare_folder(films, films / "DATA", size=32, workers=1, quiet=True).manifest) == 12


def test_real_sets(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = shared / "data/dicom_samples"
    assert main(["prepare", str(source), "--out", str(tmp_path / "dicom"), "--size", "64", "--workers", "2"]) == 0
    assert "4 films of 2 patients" in capsys.readouterr().out
    digests = Manifest.read(tmp_path / "dicom").table["sha256"]
    assert digests.nunique() == 3  # uncompressed and lossless JPEG 2000 of one film are equal
    source = shared / "data/nih_subset"
    done = prepare_folder(
        source, tmp_path / "nih", size=32, labels=("Mass", "No_Finding=NoFinding"), workers=2, quiet=True
    )
    given = pd.read_csv(source / "manifest.csv", dtype=str).sort_values("image")
    assert list(done.manifest.table["split"]) == list(given["split"])
    assert list(done.manifest.table["label.Mass"]) == [float(v) for v in given["Mass"]]
    assert done.manifest.findings == ("Mass", "NoFinding")


def test_transfer_syntaxes_travel_through_the_workers(tmp_path: Path) -> None:
    cells = RNG.integers(0, 4096, (64, 64), dtype=np.uint16)
    for number, syntax in enumerate(
        (uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless)
    ):
        ds = chest(cells, BitsStored=12, HighBit=11, SOPInstanceUID=f"1.2.{number}")
        save(ds, tmp_path / "in" / str(number), syntax)
    done = prepare_folder(tmp_path / "in", tmp_path / "D", size=32, workers=2, quiet=True)
    assert len(done.manifest) == 4
    assert done.manifest.table["sha256"].nunique() == 1
