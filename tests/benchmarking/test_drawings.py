"""Drawings: every value at its place, intervals around it, nothing drawn for what is undefined."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.benchmarking.drawings import (
    Axis,
    Drawing,
    bars_by_prevalence,
    dots_by_finding,
    label_counts,
    label_efficiency,
)

COLOURS = {"a": 0, "b": 1}
METRIC = {"name": "auroc", "title": "AUROC", "higher": True}


def estimate(value: float | None, width: float = 0.1) -> dict[str, Any]:
    ends = (None, None) if value is None else (value - width, value + width)
    return {"value": value, "low": ends[0], "high": ends[1]}


def inside(drawing: Drawing) -> bool:
    corners = [(dot.x, dot.y) for dot in drawing.dots]
    corners += [place for bar in drawing.bars for place in ((bar.x, bar.y), (bar.x + bar.width, bar.y + bar.height))]
    return all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in corners)


@pytest.mark.parametrize("values", [[0.61, 0.83], [0.5], [0.0, 1.0], [0.7001, 0.7002], [3.0, 412.0]])
def test_an_axis_holds_its_values_with_round_ticks(values: list[float]) -> None:
    axis = Axis.around(values, 10, 110)
    assert axis.low <= min(values)
    assert axis.high >= max(values)
    assert all(10 - 1e-9 <= axis.at(value) <= 110 + 1e-9 for value in values)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert len({words for _, words in ticks}) == len(ticks)
    for place, words in ticks:
        assert axis.at(float(words.replace(",", ""))) == pytest.approx(place, abs=1e-6)


def curves(**points: list[tuple[float, float | None]]) -> dict[str, Any]:
    return {
        "metric": METRIC,
        "curves": {
            name: {"points": [{"fraction": share, **estimate(value)} for share, value in part]}
            for name, part in points.items()
        },
    }


def test_label_efficiency_is_spaced_by_factors() -> None:
    drawing = label_efficiency(curves(a=[(0.01, 0.6), (0.1, 0.7), (1.0, 0.8)], b=[(0.01, 0.5), (1.0, None)]), COLOURS)
    assert drawing is not None
    first, second, third = (dot for dot in drawing.dots if dot.colour == 0)
    assert second.x - first.x == pytest.approx(third.x - second.x)
    assert first.y > second.y > third.y  # y grows downwards
    assert len([dot for dot in drawing.dots if dot.colour == 1]) == 1
    assert inside(drawing)
    assert drawing.dots[0].words == "a, 1 %: 0.600 [0.500, 0.700]"
    assert label_efficiency(curves(a=[(1.0, 0.6)]), COLOURS) is None


def findings() -> dict[str, Any]:
    rows = {"Mass": (5, 0.9, 0.8), "Edema": (50, 0.6, None), "Hernia": (0, None, None)}
    return {
        "metric": METRIC,
        "noun": "films",
        "findings": {
            name: {"n": 100, "n_positive": count, "encoders": {"a": estimate(one), "b": estimate(two)}}
            for name, (count, one, two) in rows.items()
        },
    }


def test_findings_stand_by_frequency_with_a_dot_an_encoder() -> None:
    drawing = dots_by_finding(findings(), COLOURS)
    assert drawing is not None
    names = [text.words for text in drawing.texts if text.kind == "name"]
    assert names == ["Edema", "Mass"]  # most frequent first; Hernia has no value
    assert len(drawing.dots) == 3
    mass = [dot for dot in drawing.dots if dot.words.startswith("Mass")]
    assert mass[0].x > mass[1].x
    assert mass[0].y < mass[1].y
    assert [stroke.kind for stroke in drawing.strokes].count("span") == 3
    assert inside(drawing)
    nothing = findings() | {"findings": {"Hernia": findings()["findings"]["Hernia"]}}
    assert dots_by_finding(nothing, COLOURS) is None


def test_bars_begin_at_chance() -> None:
    """A bar of AUROC that began at 0.7 would show 0.71 as nothing and 0.8 as ten times as much."""
    bins = [
        {"name": "< 1 %", "findings": ["Mass"], "encoders": {"a": estimate(0.45), "b": estimate(None)}},
        {"name": "≥ 10 %", "findings": ["Edema"], "encoders": {"a": estimate(0.9), "b": estimate(0.7)}},
    ]
    drawing = bars_by_prevalence({"metric": METRIC, "bins": bins}, COLOURS)
    assert drawing is not None
    below, high, middle = drawing.bars
    chance = below.y  # it hangs down from it
    assert high.y + high.height == pytest.approx(chance)
    assert high.height / middle.height == pytest.approx(0.4 / 0.2)
    assert below.height / middle.height == pytest.approx(0.05 / 0.2)
    assert inside(drawing)
    other = bars_by_prevalence({"metric": {**METRIC, "name": "auprc"}, "bins": bins[1:]}, COLOURS)
    assert other is not None
    assert other.bars[0].height / other.bars[1].height == pytest.approx(0.9 / 0.7)
    assert bars_by_prevalence({"metric": METRIC, "bins": []}, COLOURS) is None


def test_label_counts_are_stacked_by_split() -> None:
    def row(*positive: int) -> dict[str, Any]:
        parts = zip(("train", "val", "test"), positive, strict=True)
        return {part: {"positive": count, "negative": 10, "blank": 0} for part, count in parts}

    drawing = label_counts({"Mass": row(4, 0, 2), "Edema": row(20, 5, 5), "Rare": row(0, 0, 0)}, ["Mass", "Edema"])
    assert drawing is not None
    edema = [bar for bar in drawing.bars if bar.words.startswith("Edema")]
    assert edema[1].x == pytest.approx(edema[0].x + edema[0].width)
    assert edema[0].width / edema[1].width == pytest.approx(4)
    assert len(drawing.bars) == 5  # no bar for none
    assert inside(drawing)
    assert label_counts({"Rare": row(0, 0, 0)}) is None
