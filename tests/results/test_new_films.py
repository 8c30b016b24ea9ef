"""The page of new films: what is called, what could not be read, and the maps of the highest scores."""

from __future__ import annotations

from typing import Any

import pandas as pd

from hilum.results.new_films import PICTURES, ROWS, FilmMaps, film_rows, new_films_markdown, new_films_page


def results(**more: Any) -> dict[str, Any]:
    return {
        "of": "classify",
        "names": ["Mass", "Effusion"],
        "thresholds": {"Mass": 0.5},
        "counts": {"films": 2, "unread": 1, "called": {"Mass": 1}},
        "maps": {"way": "cam", "names": ["Mass", "Effusion"]},
        "unread": [{"film": "a|b<c>", "reason": "the file is empty"}],
        "notes": ["A note."],
        "context": {"title": "New films", "command": "hilum predict", "films": "as they came"},
        "versions": {"python": "3"},
        **more,
    }


TABLE = pd.DataFrame(
    {
        "image_id": ["one", "two"],
        "score.Mass": [0.75, 0.25],
        "score.Effusion": [0.1, 0.9],
        "called.Mass": pd.array([1, 0], dtype="Int64"),
        "called.Effusion": pd.array([None, None], dtype="Int64"),
    }
)


def test_bold_is_what_is_called() -> None:
    rows = film_rows(results(), TABLE, 10)
    assert [(film, [cell.text for cell in cells]) for film, cells in rows] == [
        ("one", ["0.750", "0.100"]),
        ("two", ["0.250", "0.900"]),
    ]
    assert [[cell.called for cell in cells] for _, cells in rows] == [[True, False], [False, False]]
    text = new_films_markdown(results(), TABLE)
    assert "| one | **0.750** | 0.100 |" in text
    assert "| a\\|b<c> | the file is empty |" in text
    assert "- A note." in text


def test_the_page_shows_the_maps_of_the_highest_scores_first() -> None:
    names = [f"F{number}" for number in range(9)]
    table = pd.DataFrame({"image_id": ["one"], **{f"score.{name}": [k / 10] for k, name in enumerate(names)}})
    maps = FilmMaps("one", "data:film", {name: f"data:{name}" for name in names})
    counts = {"films": 1, "unread": 1, "called": {"F0": 1}}
    page = new_films_page(results(names=names, thresholds={"F0": -5.0}, counts=counts), table, [maps])
    assert page.count("<figure>") == PICTURES + 1
    assert page.index("F0 0.000") < page.index("F8 0.800") < page.index("F7 0.700")
    assert "a|b&lt;c&gt;" in page
    assert "from -5.000 on" in page


def test_a_map_for_every_finding_has_no_score() -> None:
    maps = FilmMaps("two", "data:film", {"every finding": "data:any"})
    page = new_films_page(results(), TABLE, [maps])
    assert "<figcaption><span>every finding</span>" in page


def test_a_long_list_is_cut_and_says_so() -> None:
    table = pd.concat([TABLE] * ROWS, ignore_index=True)
    page = new_films_page(results(counts={"films": len(table), "unread": 0, "called": {}}, unread=[]), table)
    assert f"The first {ROWS} of {len(table)}" in page
    assert f"The first {ROWS} are listed." in new_films_markdown(results(), table)


def test_counts_of_boxes_and_shares_of_masks() -> None:
    counts = pd.DataFrame({"image_id": ["one"], "boxes.Mass": [3]})
    assert film_rows(results(of="detect", names=["Mass"]), counts, 1)[0][1][0].text == "3"
    shares = pd.DataFrame({"image_id": ["one"], "area.Mass": [0.0325]})
    assert film_rows(results(of="segment", names=["Mass"]), shares, 1)[0][1][0].text == "3.25%"
