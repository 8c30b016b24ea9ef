"""A data set says which columns and files its prepared folder must have."""

from __future__ import annotations

from hilum.tables.data_set import DataSet, File

SET = DataSet(
    name="s",
    title="S",
    release=(File("a.csv", "labels"),),
    split="official",
    findings=("Mass",),
    endpoints=("Death",),
    holds=("labels", "reports", "phrases", "masks", "follow-up"),
)


def test_columns_and_files_follow_from_what_it_holds() -> None:
    expected = ["image", "patient_id", "split", "label.Mass", "report", "time.Death", "event.Death"]
    assert list(SET.columns()) == expected
    assert list(SET.beside()) == ["boxes.json", "masks"]
    bare = DataSet(name="b", title="B", release=(), split="none", findings=("Mass",), holds=("boxes",))
    assert list(bare.columns()) == ["image", "patient_id", "split"]
    assert list(bare.beside()) == ["boxes.json"]
