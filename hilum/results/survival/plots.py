"""Geometry of the plots over time, for an SVG template: steps with shaded intervals, numbers at risk under them.

Everything is in the units of the drawing's view box (pixels at natural size); y grows downwards. The plots are drawn in
the colours of the page, without a drawing package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.survival import Curve
from hilum.results.survival.curves import Curves

Floats = NDArray[np.float64]

WIDE, HALF = 1056.0, 508.0  # the width of the page, and of two plots beside each other
HEIGHT: Final = {WIDE: 340.0, HALF: 270.0}
LEFT, RIGHT, TOP = 78.0, 14.0, 12.0  # room for labels
AXIS, ROW = 40.0, 19.0  # under the plot: the axis, and a line a group at risk
YEAR: Final = 365.25
STEPS_DAYS: Final = (0.25, 0.5, 1, 2, 5, 7, 10, 15, 30, 60, 90)
STEPS_YEARS: Final = (0.5, 1, 2, 5, 10)
STEPS_VALUES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
MOST_TICKS: Final = 8
CEILINGS: Final = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
MOST_CENSORED: Final = 150  # more marks than this would hide the line
GROUPS: Final = {"low": "Low risk", "high": "High risk", "all": "All"}


@dataclass(frozen=True)
class TimeTick:
    """A label on the axis of time."""

    at: float  # days
    text: str


@dataclass(frozen=True)
class Tick:
    """A label at a place of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Band:
    """One curve with its interval."""

    name: str
    kind: str  # "low", "high", "all" or "auroc": its colour
    dashed: bool
    line: str  # SVG path
    area: str  # SVG path of the interval; empty without one
    censored: tuple[tuple[float, float], ...] = ()  # where subjects left


@dataclass(frozen=True)
class Row:
    """Numbers at risk of one group, one under each tick."""

    name: str
    kind: str
    y: float
    counts: tuple[Tick, ...]


@dataclass(frozen=True)
class TimePlot:
    """One plot over time."""

    heading: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bands: tuple[Band, ...]
    rows: tuple[Row, ...]
    horizon: Tick | None
    chance: float | None  # y of AUROC 0.5
    note: str = ""


@dataclass(frozen=True)
class Scale:
    """From days and values to places."""

    width: float
    until: float
    low: float
    high: float

    @property
    def bottom(self) -> float:
        """Where the axis is."""
        return TOP + HEIGHT[self.width]

    def x(self, time: Floats | float) -> Floats:
        """Places across."""
        return LEFT + (self.width - LEFT - RIGHT) * np.asarray(time, dtype=np.float64) / self.until

    def y(self, value: Floats | float) -> Floats:
        """Places down."""
        share = (np.asarray(value, dtype=np.float64) - self.low) / (self.high - self.low)
        return TOP + HEIGHT[self.width] * (1 - np.clip(share, 0, 1))


def ticks(until: float) -> tuple[TimeTick, ...]:
    """Round times from 0 to `until`: days, or years where that is more than two of them."""
    years = until > 2 * YEAR
    unit, steps = (YEAR, STEPS_YEARS) if years else (1.0, STEPS_DAYS)
    fitting = [step for step in steps if until / (step * unit) <= MOST_TICKS]
    step = fitting[0] if fitting else until / unit / MOST_TICKS
    count = int(until / (step * unit) + 1e-9)
    return tuple(TimeTick(float(k * step * unit), f"{k * step:g}") for k in range(count + 1))


def survival_plot(entry: Mapping[str, Any], curves: Curves, *, width: float = WIDE) -> TimePlot:
    """Kaplan-Meier of each group, with numbers at risk."""
    low = min((float(curve.low[_shown(curve, entry)].min()) for curve in curves.survival.values()), default=0.0)
    bottom = 0.0 if low < 0.55 else np.floor(low * 20) / 20
    scale = Scale(width, entry["drawn_until"], float(min(bottom, 0.95)), 1.0)
    bands = [_band(name, curve, scale, marks=True) for name, curve in curves.survival.items()]
    note = f"The vertical axis starts at {scale.low:g}." if scale.low else ""
    return _plot(entry, "Without the event (Kaplan–Meier)", scale, bands, curves.survival, note=note)


def incidence_plot(entry: Mapping[str, Any], curves: Curves, *, width: float = HALF) -> TimePlot | None:
    """Cumulative incidence of the event (solid) and of competing causes (dashed); None without these."""
    if not curves.incidence:
        return None
    pairs = [
        (name, curve, kind) for kind in ("incidence", "competing") for name, curve in getattr(curves, kind).items()
    ]
    top = max(float(curve.high[_shown(curve, entry)].max()) for _, curve, _ in pairs)
    scale = Scale(width, entry["drawn_until"], 0.0, next((end for end in CEILINGS if top <= end), 1.0))
    bands = [_band(name, curve, scale, dashed=kind == "competing") for name, curve, kind in pairs]
    return _plot(entry, "Cumulative incidence (Aalen–Johansen)", scale, bands, curves.incidence)


def auroc_plot(entry: Mapping[str, Any], *, width: float = HALF) -> TimePlot | None:
    """Time-dependent AUROC with its interval; None where it is nowhere defined."""
    known = [row for row in entry["auroc_over_time"] if row["value"] is not None]
    if not known:
        return None
    ends = [end for row in known for end in (row["value"], row["low"]) if end is not None]
    scale = Scale(width, entry["drawn_until"], float(min(0.4, np.floor(min(ends) * 10) / 10)), 1.0)
    x = scale.x(np.array([row["time"] for row in known]))
    line = _path(x, scale.y(np.array([row["value"] for row in known])))
    wide = [row for row in known if row["low"] is not None]
    area = ""
    if wide:
        across = scale.x(np.array([row["time"] for row in wide]))
        low, high = (scale.y(np.array([row[end] for row in wide])) for end in ("low", "high"))
        area = _path(np.concatenate((across, across[::-1])), np.concatenate((high, low[::-1]))) + "Z"
    chance = float(scale.y(0.5))
    return _plot(entry, "AUROC by time", scale, [Band("AUROC", "auroc", False, line, area)], {}, chance=chance)


def plots_of(entry: Mapping[str, Any], curves: Curves) -> dict[str, TimePlot | None]:
    """Every plot of one endpoint; two beside each other where competing causes exist, else one across the page."""
    beside = bool(curves.incidence)
    return {
        "survival": survival_plot(entry, curves, width=HALF if beside else WIDE) if curves.survival else None,
        "incidence": incidence_plot(entry, curves),
        "auroc": auroc_plot(entry),
    }


def _plot(
    entry: Mapping[str, Any],
    heading: str,
    scale: Scale,
    bands: Sequence[Band],
    groups: Mapping[str, Curve],
    *,
    chance: float | None = None,
    note: str = "",
) -> TimePlot:
    times = ticks(scale.until)
    unit = "years" if scale.until > 2 * YEAR else "days"
    places = [float(scale.x(tick.at)) for tick in times]
    rows = tuple(
        Row(
            GROUPS[name],
            name,
            scale.bottom + AXIS + 18 + ROW * number,
            tuple(Tick(x, f"{n:,}") for x, n in zip(places, entry["groups"][name]["at_risk"], strict=True)),
        )
        for number, name in enumerate(groups)
    )
    horizon = entry["horizon"]
    return TimePlot(
        heading=heading,
        width=scale.width,
        height=scale.bottom + AXIS + (18 + ROW * len(rows) if rows else 0),
        left=LEFT,
        right=scale.width - RIGHT,
        top=TOP,
        bottom=scale.bottom,
        x_label=f"{unit} from the film",
        x_ticks=tuple(Tick(x, tick.text) for x, tick in zip(places, times, strict=True)),
        y_ticks=tuple(Tick(float(scale.y(value)), f"{value:.3g}") for value in _round_values(scale)),
        bands=tuple(bands),
        rows=rows,
        horizon=Tick(float(scale.x(horizon)), f"{horizon:g} d") if horizon <= scale.until else None,
        chance=chance,
        note=note,
    )


def _round_values(scale: Scale) -> list[float]:
    """Labels of the vertical axis, at most seven, both ends among them where they are round."""
    length = scale.high - scale.low
    step = next((step for step in STEPS_VALUES if length / step <= 6 + 1e-9), 0.25)
    first = int(np.ceil(scale.low / step - 1e-9))
    return [step * k for k in range(first, int(scale.high / step + 1e-9) + 1)]


def _shown(curve: Curve, entry: Mapping[str, Any]) -> NDArray[np.bool_]:
    shown: NDArray[np.bool_] = curve.time <= entry["drawn_until"]
    return shown


def _band(name: str, curve: Curve, scale: Scale, *, dashed: bool = False, marks: bool = False) -> Band:
    """A curve as steps up to the end of the plot or of its own follow-up; a half pixel keeps its last step only."""
    shown = curve.time <= scale.until
    x = np.round(2 * scale.x(curve.time[shown])) / 2
    kept = np.append(x[1:] != x[:-1], True)
    x, (value, low, high) = x[kept], (part[shown][kept] for part in (curve.value, curve.low, curve.high))
    end = float(scale.x(min(curve.last, scale.until)))
    line, upper, lower = (_steps(x, scale.y(part), end) for part in (value, high, low))
    area = _path(np.append(upper[0], lower[0][::-1]), np.append(upper[1], lower[1][::-1])) + "Z"
    gone = curve.time[shown & _left(curve)]
    places = zip(scale.x(gone).tolist(), scale.y(curve.value[curve.index(gone)]).tolist(), strict=True)
    censored = tuple(places) if marks and gone.size <= MOST_CENSORED else ()
    return Band(GROUPS[name], name, dashed, _path(*line), area if (high > low).any() else "", censored)


def _left(curve: Curve) -> NDArray[np.bool_]:
    """Times at which somebody left without the event."""
    after = np.append(curve.at_risk[1:], 0)
    left: NDArray[np.bool_] = curve.at_risk - curve.events - after > 0
    return left


def _steps(x: Floats, y: Floats, end: float) -> tuple[Floats, Floats]:
    """Corners of a step function that holds each value up to the next place, and the last up to `end`."""
    across = np.append(np.repeat(x, 2)[1:], max(end, float(x[-1])))
    return across, np.repeat(y, 2)


def _path(x: Floats, y: Floats) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
