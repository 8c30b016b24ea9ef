"""Geometry of a forest of paired differences: one interval a finding around zero, for an SVG template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hilum.metrics.estimate import interval_text
from hilum.results.panels import Tick

ROW: Final = 26.0
LEFT, WIDTH = 230.0, 430.0
STEPS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True)
class DifferenceRow:
    """One interval; in the units of the drawing."""

    name: str
    text: str  # value [low, high]
    y: float
    value: float
    low: float
    high: float
    macro: bool
    clear: bool  # the interval does not hold 0


@dataclass(frozen=True)
class Differences:
    """Differences of all categories, largest first, their macro mean last."""

    rows: tuple[DifferenceRow, ...]
    ticks: tuple[Tick, ...]
    zero: float
    margin: float | None  # x of the margin of non-inferiority
    height: float
    first_better: str  # which side is good for the first run: "right" or "left"


def difference_plot(
    pair: Mapping[str, Any], *, higher: bool, several: bool, margin: float | None = None
) -> Differences | None:
    """The forest of one pair and metric; None when nothing is defined.

    Args:
        pair: an entry of `pairs` of `compare_judgements`.
        higher: a larger metric is better.
        several: there is more than one category, so that the macro mean says something of its own.
        margin: of non-inferiority.
    """
    gaps = [(name, row["difference"]) for name, row in pair["categories"].items()]
    chosen = sorted((row for row in gaps if row[1]["value"] is not None), key=lambda row: -row[1]["value"])
    if not chosen:
        return None
    if several:
        chosen.append(("Macro mean", pair["macro"]["difference"]))
    ends = [end for _, gap in chosen for end in (gap["low"], gap["value"], gap["high"]) if end is not None]
    reach = max(*map(abs, ends), margin or 0.0, STEPS[0])
    step = next((step for step in STEPS if reach / step <= 4), STEPS[-1])
    limit = step * np.ceil(reach / step)

    def place(value: float) -> float:
        return float(LEFT + WIDTH * (value + limit) / (2 * limit))

    rows = []
    for number, (name, gap) in enumerate(chosen):
        low, high = (gap["value"] if gap[end] is None else gap[end] for end in ("low", "high"))
        rows.append(
            DifferenceRow(
                name=name or "All",
                text=interval_text(gap["value"], gap["low"], gap["high"], signed=True),
                y=ROW * (number + 1.5),
                value=place(gap["value"]),
                low=place(low),
                high=place(high),
                macro=several and number == len(chosen) - 1,
                clear=gap["low"] is not None and (gap["low"] > 0 or gap["high"] < 0),
            )
        )
    count = round(limit / step)
    ticks = tuple(Tick(place(k * step), f"{k * step:+g}" if k else "0") for k in range(-count, count + 1))
    worst = None if margin is None else place(-margin if higher else margin)
    height = ROW * (len(rows) + 2.4)
    return Differences(tuple(rows), ticks, place(0.0), worst, height, "right" if higher else "left")
