"""The manifest at its door: what a short CSV may leave out, what is refused and in which words, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError, ManifestError
from hilum.manifest import Manifest


def manifest(folder: Path, text: str) -> Manifest:
    (folder / "manifest.csv").write_bytes(text.encode())
    return Manifest.read(folder)


def test_two_columns_are_enough(tmp_path: Path) -> None:
    read = manifest(tmp_path, "image,patient_id\nfilms/a.png,00123\nfilms/b.png,7\n")
    assert read.table.to_dict("list") == {
        "image": ["films/a.png", "films/b.png"],
        "image_id": ["a", "b"],
        "study_id": ["00123", "7"],
        "patient_id": ["00123", "7"],
        "view_position": ["", ""],
        "split": ["", ""],
    }
    assert read.paths() == [tmp_path / "films/a.png", tmp_path / "films/b.png"]
    assert read.findings == ()


def test_equal_stems_fall_back_on_paths(tmp_path: Path) -> None:
    assert list(manifest(tmp_path, "image,patient_id\n1/a.png,p\n2/a.png,p\n").table["image_id"]) == ["1/a", "2/a"]
    assert list(manifest(tmp_path, "image,patient_id\na.png,p\na.jpg,p\n").table["image_id"]) == ["a.png", "a.jpg"]


def test_windows_files_and_numbers(tmp_path: Path) -> None:
    text = "\ufeffimage,patient_id,split,label.Mass,age,report,note\r\n"
    text += 'a.png,p,train,1.0,61,"two\r\nlines",x\r\n\r\nb.png,q,,nan,,,\r\n'
    read = manifest(tmp_path, text)
    assert len(read) == 2
    np.testing.assert_array_equal(read.labels(["Mass"]), [[1.0], [np.nan]])
    assert read.table["age"].dtype == np.float64
    assert list(read.table["report"]) == ["two\r\nlines", ""]
    assert list(read.table["note"]) == ["x", ""]  # columns of the user's own are kept


def test_round_trip_and_digest(tmp_path: Path) -> None:
    text = "image,patient_id,split,label.Mass,time.Death,event.Death\na.png,00123,train,-1,12.5,1\nb.png,q,test,,,\n"
    read = manifest(tmp_path, text)
    path = read.write(tmp_path / "out")
    assert path.name == "manifest.parquet"
    again = Manifest.read(tmp_path / "out")
    pd.testing.assert_frame_equal(again.table, read.table)
    assert again.digest == read.digest
    assert again.endpoints == ("Death",)
    other = manifest(tmp_path, text.replace("12.5", "12.75"))
    assert other.digest != read.digest
    assert other.split_digest == read.split_digest
    assert manifest(tmp_path, text.replace("test", "val")).split_digest != read.split_digest
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["manifest.parquet"]


def test_select_and_labels(tiny_data: Path) -> None:
    read = Manifest.read(tiny_data)
    parts = [len(read.select(split=name)) for name in ("train", "val", "test")]
    assert sum(parts) == len(read) == 40
    assert set(read.select(split="val", views=["AP"]).table["view_position"]) == {"AP"}
    assert len(read.select(views=["LATERAL"])) == 0
    assert read.labels(["Effusion", "Mass"]).shape == (40, 2)
    assert np.isnan(read.labels(["Effusion"])).any()
    read.check_files()
    with pytest.raises(ConfigError, match=r"unknown finding 'Masse'.*Did you mean 'Mass'"):
        read.labels(["Masse"])
    with pytest.raises(ConfigError, match="unknown split"):
        read.select(split="valid")
    with pytest.raises(ConfigError, match="unknown view"):
        read.select(views=["PAA"])


def test_made_in_memory_with_any_dtypes(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "image": ["a", "b"],
            "patient_id": [1, 2],
            "label.Mass": [1, None],
            "sex": ["F", None],
            "split": [None, "test"],
        }
    )
    read = Manifest.from_table(table, tmp_path)
    assert list(read.table["patient_id"]) == ["1", "2"]
    assert list(read.table["sex"]) == ["F", ""]
    assert list(read.table["split"]) == ["", "test"]


def test_missing_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "b.png").touch()
    read = manifest(tmp_path, "image,patient_id\na.png,1\nb.png,2\nc.png,3\n")
    with pytest.raises(ManifestError, match=r"2 of 3 image files are missing; the first is .*a\.png"):
        read.check_files()


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file or folder"):
        Manifest.read(tmp_path / "none")
    with pytest.raises(ManifestError, match=r"no manifest\.parquet or manifest\.csv"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ManifestError, match="not a readable Parquet"):
        Manifest.read(tmp_path)


H = "image,patient_id"
WRONG = [
    ("", "the file is empty"),
    (f"{H}\n", "has no rows"),
    ("pic,patient_id\na,1\n", "column 'image': this required column is missing"),
    ("image\na\n", "column 'patient_id': this required column is missing"),
    ("path,patient_id\na,1\n", "'image' is missing and 'path' looks like it. Rename it to 'image'"),
    ("image,Patient ID\na,1\n", "'patient_id' is missing and 'Patient ID' looks like it"),
    (f"{H},view\na,1,PA\n", "'view_position' is missing and 'view' looks like it"),
    (f"{H},Split\na,1,train\n", "'split' is missing and 'Split' looks like it"),
    (f"{H},study\na,1,s\n", "'study_id' is missing and 'study' looks like it"),
    (f"{H},Cardiomegaly\na,1,1\n", "Rename it to 'label.Cardiomegaly'"),
    (f"{H},label_Mass\na,1,1\n", "Rename it to 'label.Mass'"),
    (f"{H},image\na,1,b\n", "line 1: the column 'image' is there twice"),
    (f"{H},\na,1,\n", "line 1: a column has no name"),
    ("image;patient_id\na;1\n", "separated by semicolons"),
    (f"{H}\na,1\nb\n", "line 3: this row has 1 cells and the header 2"),
    (f"{H}\na,1,2\n", "line 2: this row has 3 cells"),
    (f"{H}\na,1\na,2\n", "line 3, column 'image': 'a' is listed twice"),
    (f"{H},image_id\na,1,x\nb,2,x\n", "line 3, column 'image_id': 'x' is used twice"),
    (f"{H}\n,1\n", "line 2, column 'image': '' is no path"),
    (f"{H}\na,1\nb,  \n", "line 3, column 'patient_id': ' ' is no id"),
    (f"{H}\n/etc/x.png,1\n", "is an absolute path"),
    (f"{H}\nC:/x.png,1\n", "is an absolute path"),
    (f"{H}\n~/x.png,1\n", "is an absolute path"),
    (f"{H}\na/../../x.png,1\n", "leaves the manifest's folder"),
    (f"{H}\na\\b.png,1\n", "is not a POSIX path"),
    (f"{H},split\na,1,valid\n", "'valid' is not a split. Write 'val'"),
    (f"{H},split\na,1,Train\n", "'Train' is not a split. Write 'train'"),
    (f"{H},split\na,1,7\n", "Use one of train, val, test"),
    (f"{H},view_position\na,1,Lateral\n", "'Lateral' is not a view position. Write 'LATERAL'"),
    (f"{H},label.Mass\na,1,1\nb,2,yes\n", "line 3, column 'label.Mass': 'yes' is not allowed here. Write 1 (present)"),
    (f"{H},label.Mass\na,1,True\nb,2,Positive\n", "'True' is not allowed here (2 rows have this fault)"),
    (f"{H},label.Mass\na,1,2\n", "'2' is not allowed here"),
    (f"{H},label.Mass\na,1,0.5\n", "'0.5' is not allowed here"),
    (f"{H},age\na,1,411\n", "'411' is not allowed here. Write years from 0 to 130"),
    (f"{H},age\na,1,062Y\n", "'062Y' is not allowed here"),
    (f"{H},event.D,time.D\na,1,3,9\n", "column 'event.D': '3' is not allowed"),
    (f"{H},event.D,time.D\na,1,1,-9\n", "column 'time.D': '-9' is not allowed"),
    (f"{H},event.D,time.D\na,1,1,\n", "'time.D' is blank in this row"),
    (f"{H},time.D\na,1,1\n", "'event.D' that goes with it is missing"),
    (
        f"{H},split\na,1,train\nb,1,test\n",
        "line 3, column 'split': patient '1' is in the split 'test' here and in 'train'",
    ),
    (f"{H},split\na,P1,train\nb,p1 ,test\n", "there spelled 'P1'"),
    (f"{H}\na,p1 \n", "'p1 ' has outer spaces"),
    (f'{H}\na,"p\n1"\n', "holds a control character"),
    (f'{H},report,split\na,1,"three\nlines\nlong",train\nb,2,,x\n', "line 5, column 'split'"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_what_is_wrong_is_said_with_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        manifest(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "manifest.csv") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes("image,patient_id\na,Müller\n".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"not UTF-8 text.*Save it as CSV UTF-8"):
        Manifest.read(tmp_path)


def test_parquet_faults_name_the_row(tmp_path: Path) -> None:
    table = pd.DataFrame({"image": ["a", "b"], "patient_id": ["1", "2"], "label.Mass": [True, False]})
    with pytest.raises(ManifestError, match=r"table row 1, column 'label.Mass': True is not allowed"):
        Manifest.from_table(table, tmp_path)
    with pytest.raises(ManifestError):
        Manifest(table, tmp_path).write(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_audit_may_read_shared_patients(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("image,patient_id,split\na,1,train\nb,1,test\n")
    assert len(Manifest.read(tmp_path, patients=False)) == 2
