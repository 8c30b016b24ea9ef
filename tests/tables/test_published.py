"""The published numbers, and what arithmetic alone says of them: every refuted one must carry a flag."""

from __future__ import annotations

import math

import pytest

from hilum.lookup import lookup
from hilum.tables import TABLES
from hilum.tables.published import FOLDER, parse_cell, read_rows, short_name
from hilum.tables.record import PaperTable, Published

TABLE_OF = {name: lookup(TABLES, name, kind="table")() for name in TABLES}
AVERAGES = ("Average", "Mean")


def test_cells_are_read_as_printed() -> None:
    assert parse_cell("") == Published()
    assert parse_cell("88.50") == Published(88.5, printed="88.50")
    assert parse_cell("88.5±0.7", "why") == Published(88.5, spread=0.7, flag="why", printed="88.5 ± 0.7")
    assert parse_cell("0.830 (.826-1.0)") == Published(0.83, 0.826, 1.0, printed="0.830 (.826–1.0)")
    for wrong in ("about 5", "8,5", "1 (2)", "-3"):
        with pytest.raises(ValueError, match="not a published number"):
            parse_cell(wrong)


def test_flags_take_the_first_that_fits_and_names_are_fit_for_a_shell() -> None:
    rows = read_rows("maco-table-4", ["mIoU", "CNR"], {("", "MaCo", "CNR"): "one", ("*", "MaCo", "*"): "two"})
    assert [number.flag for row in rows for number in row.numbers] == [None] * 6 + ["two", "one"]
    assert short_name("GLoRIA (ViT-B/16)") == "gloria-vit-b-16"


def test_every_file_is_of_a_table_and_every_table_has_its_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.csv")} == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_what_arithmetic_refutes_is_flagged(name: str) -> None:
    table = TABLE_OF[name]
    refuted = set(_refuted(table))
    flagged = {(row.setting, row.method, column.key) for row, column, _ in table.flagged()}
    assert refuted <= flagged


@pytest.mark.parametrize("name", ["mrm-table-2", "maco-table-2", "cxrbase-table-1", "cxrbase-table-2"])
def test_printed_averages_follow_from_their_rows_unless_flagged(name: str) -> None:
    table = TABLE_OF[name]
    checked = 0
    for row in table.rows:
        first, *others = row.numbers
        parts = [number.value for number in others if number.value is not None]
        if table.columns[0].key in AVERAGES and parts and first.value is not None and not first.flag:
            assert math.fsum(parts) / len(parts) == pytest.approx(first.value, abs=0.051), row.method
            checked += 1
    assert checked >= 9


def test_the_numbers_of_section_10_are_flagged() -> None:
    """Section 10 of the fact sheets: cells that nobody should chase."""
    named = {
        "chexfound-table-2": [
            ("Linear probe", "CheXFound", "CheXpert AUPRC"),
            ("Linear probe", "RAD-DINO", "CXR-LT AUROC"),
            ("Linear probe", "BiomedCLIP", "CXR-LT AUROC"),
            ("GLoRI head", "BiomedCLIP", "CXR-LT AUROC"),
            ("GLoRI head", "CheXzero", "CheXpert AUROC"),
            ("GLoRI head", "CheXFound", "Montgomery AUROC"),
            ("GLoRI head", "CheXFound", "JSRT AUROC"),
        ],
        "chexfound-table-3": [("Img-text align.", "CheXzero", "CheXpert AUROC")],
        "chexfound-table-5": [
            ("CXR-207K", "ViT-Large", "CheXpert AUPRC"),
            ("CXR-744K", "ViT-Base", "CheXpert AUPRC"),
            ("CXR-744K", "ViT-Base", "JSRT AUPRC"),
            ("CXR-744K", "ViT-Base", "JSRT AUROC"),
        ],
        "cxrbase-table-2": [("PD4", "CXRBase", "Pneumothorax"), ("PD4", "CXRBase", "Mean")],
        "cxrbase-covid-screening": [
            ("tuned on each set", "CXRBase", "BIMCV"),
            ("tuned on each set", "CXRBase", "SIRM"),
            ("tuned on each set", "CXRBase", "StonyBrook"),
        ],
        "maco-table-2": [(share, "MaCo", "Nodule") for share in ("1 %", "10 %", "100 %")],
        "maco-table-3": [("", "MaCo", f"SIIM {share}") for share in ("1 %", "10 %", "100 %")],
        "medim-table-1": [("", "MRM", f"CheXpert {share}") for share in ("1 %", "10 %", "100 %")],
        "mrm-table-1": [
            ("", "MGCA", "CheXpert 1 %"),
            ("", "MRM", "SIIM 100 %"),
            ("", "GLoRIA (CheXpert)", "SIIM 10 %"),
        ],
    }
    for name, cells in named.items():
        flagged = {(row.setting, row.method, column.key) for row, column, _ in TABLE_OF[name].flagged()}
        assert set(cells) <= flagged, name


def _refuted(table: PaperTable) -> list[tuple[str, str, str]]:
    """Cells outside the possible range or their own interval, and averages that do not follow from their row."""
    found = []
    for row in table.rows:
        for column, number in zip(table.columns, row.numbers, strict=True):
            if number.value is None:
                continue
            share = column.scale == 100 or column.key.split()[-1] in ("AUPRC", "AUROC", "mIoU", "PG")
            outside = number.low is not None and not number.low <= number.value <= (number.high or 0)
            if (share and not 0 <= number.value <= column.scale) or outside:
                found.append((row.setting, row.method, column.key))
        first, *others = row.numbers
        parts = [number.value for number in others if number.value is not None]
        if table.columns[0].key in AVERAGES and parts and first.value is not None:
            off = abs(math.fsum(parts) / len(parts) - first.value)
            if off > 0.051:
                found.append((row.setting, row.method, table.columns[0].key))
    return found
