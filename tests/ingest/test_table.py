"""The user's table: spellings, keys, and faults found before any film is decoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import UserError
from hilum.ingest.table import read_table


def table(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


def test_spellings(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, "SOPInstanceUID,View,Patient ID,label.Mass\n1.2,LL,x,1\n1.3,,y,\n"))
    assert read.key == "sop_instance_uid"
    assert not read.by_path
    assert list(read.frame["view_position"]) == ["LATERAL", ""]
    assert list(read.frame["patient_id"]) == ["x", "y"]
    assert read.rows == {"1.2": 0, "1.3": 1}


def test_paths_are_made_alike(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, "file,label.Mass\n./a/b.png,1\na\\c.png,0\n"))
    assert set(read.rows) == {"a/b.png", "a/c.png"}


def test_findings_without_labels_option_are_pointed_out(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, "file,Cardiomegaly,foo\na,1,2\n"))
    assert any("use --labels): Cardiomegaly" in note for note in read.notes)
    assert any("not taken: foo" in note for note in read.notes)


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("name,label.Mass\na,1\n", (), "no column says which films the rows belong to"),
        ("file,x\na,1\na,0\n", (), "line 3, column 'file': the key 'a' is there twice"),
        ("file,x\n,1\n", (), "the key is blank"),
        ("file,tb\na,1\n", ("tbc=Tuberculosis",), "unknown column 'tbc'. Did you mean 'tb'"),
        ("file,a,b\na,1,1\n", ("a=Mass", "b=Mass"), "two columns for the finding 'Mass'"),
        ("file,tb\na,1\nb,yes\n", ("tb=Tuberculosis",), "line 3, column 'label.Tuberculosis': 'yes' is not allowed"),
        ("file,patient_id,split\na,p,train\nb,p,test\n", (), "line 3, column 'split': patient 'p'"),
        ("file,split\na,training\n", (), "'training' is not a split. Write 'train'"),
        ("file,age\na,400\n", (), "'400' is not allowed"),
    ],
)
def test_faults(tmp_path: Path, text: str, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_table(table(tmp_path, text), labels)
    assert message in str(caught.value)
