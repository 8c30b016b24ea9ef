"""Geometry of the plots (ROC, precision-recall, calibration, forest of AUROCs), for an SVG template.

Drawn as inline SVG instead of pictures: sharp at any size, small, in the colours of the page, and text stays
text. Everything is in the units of the drawing's view box (pixels at natural size); y grows downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.calibration import reliability_curve
from hilum.metrics.estimate import interval_text
from hilum.metrics.operating_point import confusion
from hilum.metrics.ranking import precision_recall_curve, roc_curve

Floats = NDArray[np.float64]

SIDE: Final = 176.0  # the square in which a curve is drawn
LEFT, TOP = 38.0, 10.0  # room for labels
NEAR: Final = 0.4  # points closer than this to the last one kept are not drawn (pixels)

FOREST_ROW: Final = 26.0
FOREST_LEFT, FOREST_WIDTH = 290.0, 390.0


@dataclass(frozen=True)
class Tick:
    """One label on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """One point of interest on a curve."""

    x: float
    y: float
    kind: str  # "validation", "half" or "bin"
    text: str  # shown when pointed at


@dataclass(frozen=True)
class Panel:
    """One square plot of one finding."""

    finding: str
    kind: str  # "roc", "pr" or "calibration"
    caption: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    line: str  # SVG points of the curve
    reference: str  # SVG points of chance or of perfect calibration
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class ForestRow:
    """One interval of the forest plot."""

    name: str
    counts: str
    text: str  # value [low, high]
    y: float
    value: float
    low: float
    high: float
    macro: bool


@dataclass(frozen=True)
class Forest:
    """AUROC of every defined finding with its interval, best first, the macro mean last."""

    rows: tuple[ForestRow, ...]
    ticks: tuple[Tick, ...]
    chance: float  # x of AUROC 0.5
    height: float


def roc_panel(finding: str, labels: Floats, scores: Floats, entry: Mapping[str, Any]) -> Panel | None:
    """ROC curve with the two operating points; None where it is undefined."""
    curve = roc_curve(labels, scores)
    if curve is None:
        return None
    marks = []
    for kind, threshold in (("half", 0.5), ("validation", entry["threshold"])):
        if threshold is not None:
            tp, fp, fn, tn = confusion(labels, scores, threshold=threshold)
            x, y = fp / (fp + tn), tp / (tp + fn)
            said = f"threshold {threshold:.3f}: sensitivity {y:.3f}, specificity {1 - x:.3f}"
            marks.append(Mark(*_place(x, y), kind, said))
    caption = "AUROC " + _interval(entry["auroc"])
    ends = np.array([0.0, 1.0])
    return _panel(finding, "roc", caption, ("1 − specificity", "sensitivity"), curve[:2], (ends, ends), marks)


def precision_recall_panel(finding: str, labels: Floats, scores: Floats, entry: Mapping[str, Any]) -> Panel | None:
    """Precision-recall curve (steps, as average precision counts it) over the prevalence; None where undefined."""
    curve = precision_recall_curve(labels, scores)
    if curve is None:
        return None
    gains = np.diff(curve.x, prepend=0.0) > 0  # only these count; the area under the steps is the AUPRC
    recall = np.concatenate(([0.0], np.repeat(curve.x[gains], 2)))[:-1]
    steps = (recall, np.repeat(curve.y[gains], 2))
    marks = []
    for kind, threshold in (("half", 0.5), ("validation", entry["threshold"])):
        tp, fp, fn, _ = confusion(labels, scores, threshold=0.5 if threshold is None else threshold)
        if threshold is not None and tp + fp:
            x, y = tp / (tp + fn), tp / (tp + fp)
            said = f"threshold {threshold:.3f}: recall {x:.3f}, precision {y:.3f}"
            marks.append(Mark(*_place(x, y), kind, said))
    caption = "AUPRC " + _interval(entry["auprc"])
    chance = np.full(2, entry["prevalence"])
    return _panel(finding, "pr", caption, ("recall", "precision"), steps, (np.array([0.0, 1.0]), chance), marks)


def calibration_panel(finding: str, labels: Floats, scores: Floats, entry: Mapping[str, Any]) -> Panel | None:
    """Observed share against mean score in bins of equal numbers of films; None without labels."""
    curve = reliability_curve(labels, scores)
    if curve is None:
        return None
    largest = float(max(curve.mean_score.max(), curve.observed.max()))
    limit = next((end for end in (0.1, 0.2, 0.4, 0.6) if largest <= end), 1.0)
    marks = [
        Mark(*_place(x, y, limit), "bin", f"{n} films: mean score {x:.3f}, observed {y:.3f}")
        for x, y, n in zip(curve.mean_score, curve.observed, curve.films, strict=True)
    ]
    caption = f"ECE {entry['ece']['value']:.3f} · Brier {entry['brier']['value']:.3f}"
    ends = np.array([0.0, limit])
    axes = ("mean score", "observed share")
    return _panel(finding, "calibration", caption, axes, curve[:2], (ends, ends), marks, limit)


def forest(findings: Mapping[str, Mapping[str, Any]], macro: Mapping[str, Any]) -> Forest | None:
    """The forest plot of AUROC; None when no finding is defined."""
    defined = [(name, entry["auroc"]) for name, entry in findings.items() if entry["auroc"]["value"] is not None]
    if not defined:
        return None
    chosen = [*sorted(defined, key=lambda pair: -pair[1]["value"]), ("Macro mean", macro["auroc"])]
    ends = [end for _, auroc in chosen for end in (auroc["low"], auroc["value"]) if end is not None]
    start = min(0.5, float(np.floor(min(ends) * 10) / 10))

    def place(value: float) -> float:
        return FOREST_LEFT + FOREST_WIDTH * (value - start) / (1 - start)

    rows = tuple(
        ForestRow(
            name=name,
            counts=f"{auroc['n_positive']:,} / {auroc['n']:,}",
            text=_interval(auroc),
            y=FOREST_ROW * (number + 1.5),
            value=place(auroc["value"]),
            low=place(auroc["value"] if auroc["low"] is None else auroc["low"]),
            high=place(auroc["value"] if auroc["high"] is None else auroc["high"]),
            macro=number == len(defined),
        )
        for number, (name, auroc) in enumerate(chosen)
    )
    ticks = tuple(Tick(place(value), f"{value:.1f}") for value in np.arange(start, 1.001, 0.1))
    return Forest(rows, ticks, place(0.5), FOREST_ROW * (len(rows) + 2.4))


def _panel(
    finding: str,
    kind: str,
    caption: str,
    labels: tuple[str, str],
    line: Sequence[Floats],
    reference: tuple[Floats, Floats],
    marks: Sequence[Mark],
    limit: float = 1.0,
) -> Panel:
    values = (0.0, limit / 2, limit)
    return Panel(
        finding=finding,
        kind=kind,
        caption=caption,
        x_label=labels[0],
        y_label=labels[1],
        x_ticks=tuple(Tick(_place(value, 0, limit)[0], f"{value:g}") for value in values),
        y_ticks=tuple(Tick(_place(0, value, limit)[1], f"{value:g}") for value in values),
        line=_points(line[0], line[1], limit),
        reference=_points(*reference, limit),
        marks=tuple(marks),
    )


def _place(x: float, y: float, limit: float = 1.0) -> tuple[float, float]:
    return LEFT + SIDE * float(x) / limit, TOP + SIDE * (1 - float(y) / limit)


def _points(xs: Floats, ys: Floats, limit: float) -> str:
    """SVG points; those nearer than `NEAR` to the last one drawn are left out, the last point never is."""
    kept: list[tuple[float, float]] = []
    for x, y in zip(xs, ys, strict=True):
        here = _place(x, y, limit)
        if not kept or abs(here[0] - kept[-1][0]) + abs(here[1] - kept[-1][1]) > NEAR:
            kept.append(here)
    last = _place(xs[-1], ys[-1], limit)
    if kept[-1] != last:
        kept.append(last)
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)


def _interval(estimate: Mapping[str, Any]) -> str:
    return interval_text(estimate["value"], estimate["low"], estimate["high"])
