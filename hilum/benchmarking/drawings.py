"""Geometry of a benchmark's plots, for one SVG template: label efficiency, findings, prevalence bins, label counts.

After CheXFound's Figures 3 and 4 and CXRBase's Figures 2 to 4: n encoders beside one another, every value with its
interval. Everything is in the units of the drawing's view box; y grows downwards. A colour is a number of the page's
palette.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from hilum.metrics.estimate import interval_text

STEPS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)

CHANCE: Final = {"auroc": 0.5, "harrell": 0.5, "uno": 0.5}  # what a metric gives without any knowledge


@dataclass(frozen=True)
class Text:
    """Words at a place."""

    x: float
    y: float
    words: str
    anchor: str = "start"
    kind: str = ""  # name, value, or plain


@dataclass(frozen=True)
class Stroke:
    """A straight line; without a colour it belongs to the grid."""

    x1: float
    y1: float
    x2: float
    y2: float
    colour: int | None = None
    kind: str = "rule"


@dataclass(frozen=True)
class Dot:
    """A value; pointing at it shows its words."""

    x: float
    y: float
    colour: int
    words: str


@dataclass(frozen=True)
class Bar:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    words: str
    kind: str = ""  # shade of stacked bars


@dataclass
class Drawing:
    """What the template draws, grid first."""

    title: str
    width: float
    height: float
    strokes: list[Stroke] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)  # colour, SVG points
    bars: list[Bar] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


@dataclass(frozen=True)
class Axis:
    """Values to places, with round ticks that hold all of them."""

    low: float
    high: float
    step: float
    start: float  # place of `low`
    end: float  # place of `high`

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float, *, ticks: int = 5, zero: bool = False) -> Axis:
        """An axis that holds these values in about as many steps."""
        low, high = (0.0 if zero else min(values)), max(values)
        span = max(high - low, 1e-6)
        step = next((step for step in STEPS if span / step <= ticks), float(10 ** np.ceil(np.log10(span / ticks))))
        first, last = np.floor(low / step + 1e-9) * step, np.ceil(high / step - 1e-9) * step
        return cls(float(first), float(max(last, first + step)), step, start, end)

    def at(self, value: float) -> float:
        """Where a value stands."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and words of the ticks."""
        count = round((self.high - self.low) / self.step)
        digits = max(0, -int(np.floor(np.log10(self.step) + 1e-9)) + (1 if self.step in (0.25,) else 0))
        values = [self.low + k * self.step for k in range(count + 1)]
        return [(self.at(value), f"{value:,.{digits}f}") for value in values]


def label_efficiency(entry: Mapping[str, Any], colours: Mapping[str, int]) -> Drawing | None:
    """Value against share of labels, a line an encoder with its intervals; None for fewer than two shares."""
    curves = entry["curves"]
    shares = sorted({point["fraction"] for curve in curves.values() for point in curve["points"]})
    values = [value for curve in curves.values() for point in curve["points"] for value in _ends(point)]
    if len(shares) < 2 or not values:
        return None
    drawing = Drawing(f"{entry['metric']['title']} against share of labels", 520, 300)
    y = Axis.around(values, 250, 16)
    span = np.log(shares[-1] / shares[0])
    x = {share: float(62 + 430 * np.log(share / shares[0]) / span) for share in shares}
    _grid(drawing, y, 44, 510, upright=False)
    for share, place in x.items():
        drawing.texts.append(Text(place, 270, f"{100 * share:.4g} %", "middle"))
    drawing.texts.append(Text(277, 292, "share of the training patients' labels", "middle"))
    width = 5.0 * (len(curves) - 1)
    for number, (name, curve) in enumerate(curves.items()):
        shift = -width / 2 + 5.0 * number if len(curves) > 1 else 0.0
        points = [point for point in curve["points"] if point["value"] is not None]
        placed = [(x[point["fraction"]] + shift, y.at(point["value"])) for point in points]
        drawing.lines.append((colours[name], " ".join(f"{a:.1f},{b:.1f}" for a, b in placed)))
        for point, (a, b) in zip(points, placed, strict=True):
            if point["low"] is not None:
                drawing.strokes.append(Stroke(a, y.at(point["low"]), a, y.at(point["high"]), colours[name], "span"))
            said = f"{name}, {100 * point['fraction']:.4g} %: {_said(point)}"
            drawing.dots.append(Dot(a, b, colours[name], said))
    return drawing


def dots_by_finding(entry: Mapping[str, Any], colours: Mapping[str, int]) -> Drawing | None:
    """A row a finding, most frequent first, a dot with its interval an encoder; None where nothing is defined."""
    rows = [(name, row) for name, row in entry["findings"].items() if any(_values(row))]
    if not rows:
        return None
    rows.sort(key=lambda pair: -pair[1]["n_positive"])
    names = list(rows[0][1]["encoders"])
    values = [end for _, row in rows for estimate in row["encoders"].values() for end in _ends(estimate)]
    pitch = 9.0
    tall = pitch * len(names) + 13
    drawing = Drawing(f"{entry['metric']['title']} of every finding", 1056, 30 + tall * len(rows) + 34)
    x = Axis.around(values, 330, 1040, ticks=8)
    _grid(drawing, x, 22, 26 + tall * len(rows), upright=True)
    chance = CHANCE.get(entry["metric"]["name"])
    if chance is not None and x.low < chance:
        drawing.strokes.append(Stroke(x.at(chance), 22, x.at(chance), 26 + tall * len(rows), None, "reference"))
    counted = any(row["n_positive"] for _, row in rows)
    drawing.texts.append(Text(310, 14, f"positive / {entry['noun']}" if counted else entry["noun"], "end"))
    for number, (name, row) in enumerate(rows):
        top = 26 + tall * number
        middle = top + tall / 2
        drawing.strokes.append(Stroke(0, top, 1050, top))
        drawing.texts.append(Text(0, middle + 4, name, kind="name"))
        count = f"{row['n_positive']:,} / {row['n']:,}" if counted else f"{row['n']:,}"
        drawing.texts.append(Text(310, middle + 4, count, "end", "value"))
        for place, (encoder, estimate) in enumerate(row["encoders"].items()):
            if estimate["value"] is None:
                continue
            y = middle + pitch * (place - (len(names) - 1) / 2)
            if estimate["low"] is not None:
                low, high = x.at(estimate["low"]), x.at(estimate["high"])
                drawing.strokes.append(Stroke(low, y, high, y, colours[encoder], "span"))
            words = f"{name}, {encoder}: {_said(estimate)}"
            drawing.dots.append(Dot(x.at(estimate["value"]), y, colours[encoder], words))
    drawing.texts.append(Text(685, drawing.height - 4, entry["metric"]["title"], "middle"))
    return drawing


def bars_by_prevalence(entry: Mapping[str, Any], colours: Mapping[str, int]) -> Drawing | None:
    """A group of bars a prevalence bin, with intervals; None without bins."""
    bins = entry["bins"]
    if not bins:
        return None
    base = CHANCE.get(entry["metric"]["name"], 0.0)  # a bar that begins elsewhere would mislead
    values = [end for part in bins for estimate in part["encoders"].values() for end in _ends(estimate)]
    drawing = Drawing(f"{entry['metric']['title']} by prevalence", 520, 300)
    y = Axis.around([base, *values], 250, 16)
    _grid(drawing, y, 44, 510, upright=False)
    room = 466 / len(bins)
    for number, part in enumerate(bins):
        names = list(part["encoders"])
        wide = min(34.0, 0.72 * room / len(names))
        left = 44 + room * (number + 0.5) - wide * len(names) / 2
        for place, name in enumerate(names):
            estimate = part["encoders"][name]
            if estimate["value"] is None:
                continue
            x, top = left + wide * place, y.at(estimate["value"])
            said = f"{part['name']}, {name}: {_said(estimate)}"
            zero = y.at(base)
            drawing.bars.append(Bar(x + 1.5, min(top, zero), wide - 3, abs(zero - top), colours[name], said))
            if estimate["low"] is not None:
                middle = x + wide / 2
                ends = y.at(estimate["low"]), y.at(estimate["high"])
                drawing.strokes.append(Stroke(middle, ends[0], middle, ends[1], None, "whisker"))
        centre = 44 + room * (number + 0.5)
        many = len(part["findings"])
        drawing.texts.append(Text(centre, 270, part["name"], "middle", "name"))
        drawing.texts.append(Text(centre, 286, f"{many} finding{'s' * (many > 1)}", "middle"))
    return drawing


def label_counts(labels: Mapping[str, Any], chosen: Sequence[str] = ()) -> Drawing | None:
    """A stacked bar a finding: positive films to learn from, choose by and judge; None where nothing is positive.

    Args:
        labels: finding -> split -> counts, as in the results' `labels`.
        chosen: findings to show; all of them where empty.
    """
    rows = [(name, row) for name, row in labels.items() if not chosen or name in chosen]
    rows.sort(key=lambda pair: -sum(part["positive"] for part in pair[1].values()))
    most = max((sum(part["positive"] for part in row.values()) for _, row in rows), default=0)
    if not most:
        return None
    drawing = Drawing("positive films of every finding", 1056, 30 + 24 * len(rows))
    x = Axis.around([most], 330, 960, ticks=6, zero=True)
    _grid(drawing, x, 22, 24 + 24 * len(rows), upright=True, words_at=14)
    for number, (name, row) in enumerate(rows):
        y, here = 28 + 24.0 * number, x.at(0)
        drawing.texts.append(Text(0, y + 12, name, kind="name"))
        known = sum(part["positive"] + part["negative"] for part in row.values())
        positive = sum(part["positive"] for part in row.values())
        share = f"{100 * positive / known:.1f} % of {known:,}" if known else "no labels"
        drawing.texts.append(Text(310, y + 12, share, "end", "value"))
        for shade, (split, part) in enumerate(row.items()):
            wide = x.at(part["positive"]) - x.at(0)
            if wide > 0:
                said = f"{name}, {split}: {part['positive']:,} positive, {part['negative']:,} negative"
                drawing.bars.append(Bar(here, y, wide, 16, 0, said, f"shade{shade}"))
            here += wide
        drawing.texts.append(Text(here + 8, y + 12, f"{positive:,}", kind="value"))
    return drawing


def _grid(
    drawing: Drawing, axis: Axis, start: float, end: float, *, upright: bool, words_at: float | None = None
) -> None:
    """Lines across at every tick, with their words."""
    for place, words in axis.ticks():
        if upright:
            drawing.strokes.append(Stroke(place, start, place, end))
            drawing.texts.append(Text(place, end + 16 if words_at is None else words_at, words, "middle"))
        else:
            drawing.strokes.append(Stroke(start, place, end, place))
            drawing.texts.append(Text(start - 7, place + 3.5, words, "end"))


def _ends(estimate: Mapping[str, Any]) -> list[float]:
    """What an axis must hold of an estimate."""
    return [estimate[key] for key in ("value", "low", "high") if estimate[key] is not None]


def _values(row: Mapping[str, Any]) -> list[bool]:
    return [estimate["value"] is not None for estimate in row["encoders"].values()]


def _said(estimate: Mapping[str, Any]) -> str:
    return interval_text(estimate["value"], estimate["low"], estimate["high"])
