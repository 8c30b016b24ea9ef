"""The page, the Markdown and the picture of restored records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hilum.results.restoration import (
    GAP,
    SIDE,
    Example,
    Word,
    restoration_markdown,
    restoration_page,
    restoration_sheet,
    summary_lines,
)


@pytest.fixture
def results() -> dict[str, Any]:
    estimate = {
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "n": 10,
        "n_patients": 4,
        "n_positive": 5,
        "draws": 9,
        "reason": "",
    }
    gain = {"value": 0.2, "low": 0.1, "high": 0.3, "p": 0.02, "draws": 9, "reason": ""}
    entry = {
        "words": 10,
        "distinct": 6,
        "accuracy": {"own_film": estimate, "mean_film": {**estimate, "value": 0.3}},
        "gain": {"mean_film": gain},
    }
    return {
        "conditions": ["own_film", "mean_film"],
        "masked_words": {"all": entry, "terms": {"words": 0, "reason": "no hidden word is a term"}},
        "counts": {
            "films": 3,
            "patients": 2,
            "reports": 2,
            "reports_cut_off": 0,
            "without_report": 1,
            "mean_of_films": 5,
        },
        "bootstrap": {"unit": "patient", "confidence": 0.95, "draws": 9, "seed": 0},
        "versions": {"hilum": "0"},
        "notes": ["A <note>."],
        "context": {"title": "Restored records", "run": "RUN", "terms": None, "command": "hilum restore"},
    }


@pytest.fixture
def example() -> Example:
    films = {
        name: np.full((64, 64), shade, np.uint8)
        for name, shade in (("original", 200), ("masked", 128), ("reconstructed", 90))
    }
    words = (Word("no", None), Word("effusion", "effusion"), Word("<left>", "right"), Word("größer", "größer"))
    return Example("film <1>", films, words)


def test_the_page_escapes_colours_and_loads_nothing(results: dict[str, Any], example: Example) -> None:
    page = restoration_page(results, [example])
    assert '<span class="right">effusion</span>' in page
    assert '<span class="wrong">right</span>' in page
    assert '<span class="true">&lt;left&gt;</span>' in page
    assert page.count('<span class="hidden">[MASK]</span>') == 3
    assert "film &lt;1&gt;" in page
    assert "A &lt;note&gt;." in page
    assert "no hidden word is a term" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/jpeg") == 3
    assert "Restored records</h2>" not in restoration_page(results, [])


def test_markdown_and_terminal_say_the_same(results: dict[str, Any]) -> None:
    text = restoration_markdown(results)
    assert (
        "| with the mean of the training films in its place | 0.300 [0.400, 0.600] | +0.200 [+0.100, +0.300] |" in text
    )
    assert "no hidden word is a term" in text
    lines = summary_lines(results)
    assert lines[1] == "  0.500 [0.400, 0.600] with its own film"
    assert lines[2].endswith("the own film adds +0.200 [+0.100, +0.300]")


def test_the_sheet_has_a_row_a_film_and_words_in_colour(example: Example) -> None:
    one = np.asarray(restoration_sheet([example]))
    two = np.asarray(restoration_sheet([example, example]))
    assert one.shape[1] == 3 * (SIDE + GAP) + GAP
    assert two.shape[0] == 2 * one.shape[0] - GAP
    coloured = (one != one[..., :1]).any(axis=2)
    assert coloured[SIDE:].any()
    assert not coloured[:SIDE].any()
    long = Example("x", example.pictures, tuple(Word("pneumothorax", None) for _ in range(60)))
    taller = np.asarray(restoration_sheet([long]))
    assert taller.shape[0] > one.shape[0]
    assert (taller[:, -GAP:] == 255).all()  # no word leaves the page
