"""The forest of differences: order, zero in the middle, the margin, and which side is good."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.results.difference_plot import LEFT, WIDTH, difference_plot


def gap(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"difference": {"value": value, "low": low, "high": high}}


PAIR = {
    "macro": gap(0.02, -0.01, 0.05),
    "categories": {"a": gap(-0.01, -0.03, 0.01), "b": gap(0.05, 0.02, 0.08), "c": gap(None)},
}


def test_the_largest_first_and_the_macro_mean_last() -> None:
    plot = difference_plot(PAIR, higher=True, several=True, margin=0.05)
    assert plot is not None
    assert [(row.name, row.macro, row.clear) for row in plot.rows] == [
        ("b", False, True),
        ("a", False, False),
        ("Macro mean", True, False),
    ]
    assert plot.zero == LEFT + WIDTH / 2
    assert (plot.ticks[0].text, plot.ticks[-1].text) == ("-0.08", "+0.08")
    assert plot.margin is not None
    assert plot.margin < plot.zero
    assert plot.rows[0].value == pytest.approx(plot.zero + WIDTH / 2 * 0.05 / 0.08)
    assert plot.first_better == "right"


def test_small_is_good_turns_sides() -> None:
    plot = difference_plot(PAIR, higher=False, several=True, margin=0.05)
    assert plot is not None
    assert plot.margin is not None
    assert plot.margin > plot.zero
    assert plot.first_better == "left"


def test_one_category_has_no_macro_and_none_has_no_plot() -> None:
    one = {"macro": PAIR["macro"], "categories": {"": gap(0.01)}}
    plot = difference_plot(one, higher=True, several=False)
    assert plot is not None
    assert [row.name for row in plot.rows] == ["All"]
    assert plot.margin is None
    assert difference_plot({"macro": gap(None), "categories": {"a": gap(None)}}, higher=True, several=True) is None
