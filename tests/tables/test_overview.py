"""The page of all tables is what the code says."""

from __future__ import annotations

from pathlib import Path

from hilum.tables import TABLES
from hilum.tables.overview import overview

PAGE = Path(__file__).resolve().parents[2] / "docs/paper_tables.md"


def test_the_page_is_what_the_tables_say() -> None:
    said = overview()
    assert PAGE.read_text() == said, "write docs/paper_tables.md again, as hilum/tables/overview.py says"
    assert all(f"### {name}\n" in said for name in TABLES)
    assert "PD4, CXRBase, Pneumothorax = 105.0: 105.0 is no average precision" in said
    assert "1,837 of the 4,560 validation patients" in said
