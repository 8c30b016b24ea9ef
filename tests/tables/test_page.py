"""Cells as people read them, and every reason once."""

from __future__ import annotations

from typing import Any

from hilum.tables.page import as_markdown, as_page, groups, ours_text, published_text, reasons, short_key

OURS = {"value": 0.8623, "low": 0.8411, "high": 0.88, "spread": None, "runs": 1, "reason": ""}
FLAGGED = {"value": 105.0, "low": None, "high": None, "spread": None, "flag": "no <AP>", "printed": "105.0"}


def results(**more: Any) -> dict[str, Any]:
    absent = {**OURS, "value": None, "low": None, "high": None, "reason": "no data"}
    cells = [{"published": FLAGGED, "ours": OURS}, {"published": None, "ours": absent}]
    return {
        "table": "t",
        "title": "Title",
        "source": "Source",
        "filled": "1 of 2 cells of 1 encoder",
        "warning": "",
        "columns": [{"key": "a", "group": "G", "scale": 100}, {"key": "b", "group": "G", "scale": 1}],
        "rows": [{"setting": "s", "method": "m", "encoder": "e", "pretrain": "", "cells": cells}],
        "flags": ["no <AP>"],
        "data_sets": [
            {
                "name": "d",
                "title": "D",
                "split": "official",
                "counts": [1234, None, 5],
                "films": [1200, 40, 5],
                "defects": ["leaks"],
            }
        ],
        "jobs": [{"data": "d", "judged": "x", "task": "detect", "preset": None, "options": {"shots": 50}}],
        "faults": [],
        "notes": ["a note"],
        "bootstrap": {"draws": 1000, "confidence": 0.95, "seed": 0},
        "seeds": [0, 1],
        "versions": {"hilum": "0"},
        "context": {"title": "T", "encoders": {"e": "E"}, "command": "c"},
        **more,
    }


def test_numbers_are_on_the_tables_scale() -> None:
    assert ours_text(OURS, 100) == "86.2 [84.1, 88.0]"
    assert ours_text({**OURS, "spread": 0.004}, 1) == "0.862 ± 0.004 [0.841, 0.880]"
    assert ours_text(None, 1) == ""
    assert ours_text({**OURS, "value": None}, 1) == "undefined"
    assert published_text(None, []) == "–"
    assert published_text(FLAGGED, ["other", "no <AP>"]) == "105.0 [2]"


def test_markdown_has_all_of_it() -> None:
    text = as_markdown(results(warning="MINIATURE"))
    assert "| s | m | 105.0 [1] / 86.2 [84.1, 88.0] | – / undefined |" in text
    assert "[1] no <AP>." in text
    assert "- no data: s, m, b" in text
    assert "| D | official | 1,234 / – / 5 | 1,200 / 40 / 5 | leaks |" in text
    assert "| d, judged on x | detect | – | shots=50 |" in text
    assert "**MINIATURE**" in text
    assert "mean of 2 runs ± their standard deviation" in text


def test_the_page_escapes_and_marks() -> None:
    page = as_page(results())
    assert "no &lt;AP&gt;" in page
    assert "<AP>" not in page
    assert '<td class="flagged"' in page
    assert '<tr class="ours">' in page
    assert "a note" in page
    assert "MINIATURE" not in page
    assert "<script" not in page


def test_groups_span_their_columns() -> None:
    columns = [{"group": "A"}, {"group": "A"}, {"group": "B"}]
    assert groups(columns) == [("A", 2), ("B", 1)]
    assert groups([{"group": ""}]) == []
    assert reasons(results()) == ["no data: s, m, b"]
    assert short_key({"key": "CheXpert 1 %", "group": "CheXpert, AUROC"}) == "1 %"
    assert short_key({"key": "mIoU", "group": "MS-CXR"}) == "mIoU"
