"""Paths of this machine are cut to their last part; other words with slashes stay."""

from __future__ import annotations

import pytest

from hilum.exporting.places import record_without_places, without_places


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("/data/me/phantom", "phantom"),
        ("/data/me/phantom/", "phantom"),
        ("--run=/a/b --data '/c/d' --runs=/e/f,/g/h", "--run=b --data 'd' --runs=f,h"),
        ("~/films/mae.pth", "mae.pth"),
        (r"C:\Users\me\mae.pth", "mae.pth"),
        ("train/val, 3/4 and n/a", "train/val, 3/4 and n/a"),
        ("https://huggingface.co/org/name", "https://huggingface.co/org/name"),
        ("org/name", "org/name"),
        ("/", "/"),
    ],
)
def test_absolute_paths_alone_are_cut(text: str, cut: str) -> None:
    assert without_places(text) == cut


def test_nested_records_keep_everything_else() -> None:
    record = {"init": "/a/b", "seed": 0, "notes": ["x", "/c/d"], "deep": {"none": None}}
    assert record_without_places(record) == {"init": "b", "seed": 0, "notes": ["x", "d"], "deep": {"none": None}}
