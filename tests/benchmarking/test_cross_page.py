"""The matrix as page and Markdown: the diagonal stands out, and what is missing is said."""

from __future__ import annotations

import copy
import re

from hilum.benchmarking.cross_page import as_markdown, as_page, shade
from tests.benchmarking.conftest import Crossed


def test_the_page_stands_alone_and_marks_the_diagonal(crossed: Crossed) -> None:
    page = (crossed.out / "cross.html").read_text()
    assert not re.search(r"<script|src=|href=\"http|@import|url\(", page)
    assert page.count('class="cell own"') == 2 * 3  # the macro matrix and one a finding
    for tests in crossed.results["matrices"]["one"].values():
        for entry in tests.values():
            assert f"<b>{entry['macro']['value']:.3f}</b>" in page
    assert "Fluid → Effusion" in page


def test_markdown_says_the_same(crossed: Crossed) -> None:
    text = (crossed.out / "cross.md").read_text()
    here = crossed.results["matrices"]["one"]["here"]
    assert f"**{here['here']['macro']['value']:.3f} [" in text
    assert f"| {here['there']['macro']['value']:.3f} [" in text
    assert "Fluid → Effusion" in text


def test_missing_and_undefined_cells_are_words(crossed: Crossed) -> None:
    results = copy.deepcopy(crossed.results)
    matrix = results["matrices"]["one"]
    del matrix["here"]["there"]
    matrix["there"]["here"]["macro"] |= {"value": None, "low": None, "high": None, "reason": "no positives"}
    results["cells"]["done"] = 3
    page, text = as_page(results), as_markdown(results)
    assert "no positives" in page
    assert "1 of 4 classifiers have no result" in page
    assert "no shared finding" in text
    assert "undefined" in text


def test_a_derived_screening_label_is_said(crossed: Crossed) -> None:
    results = copy.deepcopy(crossed.results)
    assert "is derived" not in as_page(results) + as_markdown(results)
    results["sets"][1]["derived"] = "NoFinding is derived from 2 labels (Mass, Fluid)"
    for text in (as_page(results), as_markdown(results)):
        assert "there: NoFinding is derived from 2 labels (Mass, Fluid)." in text


def test_chance_is_white() -> None:
    assert [shade(value) for value in (None, 0.3, 0.5, 0.75, 1.0)] == [0, 0, 0, 22, 45]
