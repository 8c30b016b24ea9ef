"""The page: whole, safe, warns where it must, and says the same as the Markdown."""

from __future__ import annotations

import copy
import re
from typing import Any
from xml.etree import ElementTree

from hilum.benchmarking.leaderboard_page import (
    as_markdown,
    as_page,
    count_text,
    glance,
    palette,
    place_text,
    value_text,
)
from tests.benchmarking.conftest import Bench


def drawings(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.S)]


def test_the_page_stands_alone_and_shows_every_number(bench: Bench) -> None:
    page = (bench.out / "leaderboard.html").read_text()
    assert not re.search(r"<script|src=|href=\"http|@import|url\(", page)
    for entry in bench.results["tasks"]:
        for table in entry["tables"]:
            for row in table["rows"]:
                assert f"{row['value']:.3f}" in page
                assert f"{row['low']:.3f} to {row['high']:.3f}" in page
    assert len(drawings(page)) == 5  # two curves, findings, bins, label counts
    assert "who leads was seen first" in page


def test_markdown_says_the_same(bench: Bench) -> None:
    text = (bench.out / "leaderboard.md").read_text()
    for entry in bench.results["tasks"]:
        assert f"## {entry['key']}" in text
        for table in entry["tables"]:
            for row in table["rows"]:
                assert value_text(row) in text
    assert "| one | ViT 2 × 24, patch 8 | 32 px |" in text


def warned(bench: Bench) -> dict[str, Any]:
    results = copy.deepcopy(bench.results)
    results["overlaps"]["one"]["findings"] = {"verdict": "seen", "text": "Pretrained on RSNA <b>.", "mark": "‡"}
    results["encoders"][1] |= {"weights": "random", "known": "random"}
    return results


def test_test_films_that_were_seen_are_marked_wherever_the_number_stands(bench: Bench) -> None:
    results = warned(bench)
    page = as_page(results)
    assert page.count('title="Pretrained on RSNA &lt;b&gt;."') == 3  # at a glance, and at both shares
    assert "has seen test films" in page
    assert "<b>." not in page  # text of others is escaped
    assert as_markdown(results).count("one ‡") == 2


def test_undefined_and_failed_rows_are_words(bench: Bench) -> None:
    results = copy.deepcopy(bench.results)
    table = results["tasks"][0]["tables"][-1]
    table["rows"] = table["rows"][:1]
    table["absent"] = ["two"]
    for key in ("value", "low", "high", "spread", "rank", "rank_low", "rank_high"):
        table["rows"][0][key] = None
    table["rows"][0]["reason"] = "nothing is defined"
    results["cells"]["done"] = 15
    page = as_page(results)
    assert "nothing is defined" in page
    assert "no result" in page
    assert "1 of 16 cells have no result" in page
    assert "undefined" in as_markdown(results)


def test_random_weights_are_grey_and_others_keep_their_colour() -> None:
    named = [{"name": name, "weights": "random" if name == "r" else "pretrained"} for name in "arbcdefghijklmn"]
    coloured = {name: number % 12 for number, name in enumerate("abcdefghijklmn")}
    assert palette(named) == {**coloured, "r": 12}


def test_the_best_of_a_column_is_darkest_also_where_small_is_good(bench: Bench) -> None:
    results = copy.deepcopy(bench.results)
    column = glance(results)["columns"][0]
    best, worst = (row["encoder"] for row in results["tasks"][0]["tables"][-1]["rows"])
    assert (column["shade"][best], column["shade"][worst]) == (40, 0)
    results["tasks"][0]["metric"]["higher"] = False
    assert glance(results)["columns"][0]["shade"] == {best: 0, worst: 40}


def test_numbers_as_words() -> None:
    assert [count_text(value) for value in (None, 0, 1.62, 5.0, 44_800, 1.2e6, 3.4e9)] == [
        "not known", "0", "1.6", "5", "44,800", "1.2 million", "3.4 billion",
    ]  # fmt: skip
    assert place_text({"rank_low": 1.0, "rank_high": 3.0}) == "1 to 3"
    assert place_text({"rank_low": 2.0, "rank_high": 2.0}) == "2"
    assert place_text({"rank_low": None, "rank_high": None}) == "–"
