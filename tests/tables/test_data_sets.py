"""Counts and findings of the data sets, as section 8 of the fact sheets has them."""

from __future__ import annotations

import pytest

from hilum.lookup import lookup
from hilum.tables import TABLES
from hilum.tables.data_sets import DATA_SETS

COUNTS = {
    "nih-chestxray14": (78_468, 11_219, 22_433),
    "chexpert": (218_414, 5_000, 234),
    "chexpert-frontal-500": (191_027, 202, 518),
    "chexpert-cxrbase": (2_184, None, 5_000),
    "rsna-pneumonia": (25_184, 1_500, 3_000),
    "covid-chestxray": (356, 54, 99),
    "covid-viral-bacterial": (297, 43, 86),
    "siim-pneumothorax": (7_969, 1_898, 1_904),
    "cxr-lt-2024": (207_096, None, 51_775),
    "shenzhen-tb": (463, 65, 134),
    "montgomery-tb": (96, 14, 28),
    "jsrt": (171, 24, 50),
    "plco": (133_543, 19_099, 38_058),
}


def test_published_counts() -> None:
    assert {name: DATA_SETS[name].counts for name in COUNTS} == COUNTS
    assert len(DATA_SETS["cxr-lt-2024"].findings) == len(set(DATA_SETS["cxr-lt-2024"].findings)) == 40
    assert len(DATA_SETS["nih-chestxray14"].findings) == 14


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chexpert", "1,837 of the 4,560"),
        ("siim-pneumothorax", "494 of the 672"),
        ("siim-pneumothorax", "64.7"),
        ("siim-pneumothorax-medim", "csv row"),
        ("rsna-pneumonia", "36 %"),
        ("cxr-lt-2024", "validation set"),
        ("jsrt", "247"),
    ],
)
def test_known_defects_of_splits_are_told(name: str, words: str) -> None:
    assert any(words in defect for defect in DATA_SETS[name].defects)


def test_every_data_set_is_used_and_says_where_it_comes_from() -> None:
    used = {name for table in TABLES for name in lookup(TABLES, table, kind="table")().data_sets()}
    private = {name for name, one in DATA_SETS.items() if one.private}
    assert used == set(DATA_SETS) - private
    for name in used:
        assert DATA_SETS[name].release, name
        assert DATA_SETS[name].split, name
