"""The decision curve of one finding: what acting on the score is worth, beside acting on everyone and on no one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.net_benefit import net_benefit
from hilum.results.panels import LEFT, SIDE, TOP, Mark, Panel, Tick

Floats = NDArray[np.float64]

LIMITS: Final = (0.1, 0.2, 0.4, 0.6, 1.0)  # ends of the axis of risk
BELOW: Final = 0.25  # of the prevalence: how far below 0 is drawn
STEPS: Final = 60


def decision_panel(finding: str, labels: Floats, scores: Floats, entry: Mapping[str, Any]) -> Panel | None:
    """Net benefit over the risk at which one would act, up to some four times the prevalence; None with one class only.

    The dashed line acts on every film; acting on none is worth 0.
    """
    share = entry["prevalence"]
    if not share or share == 1:
        return None
    limit = next((end for end in LIMITS if 4 * share <= end), 1.0)
    risk = np.linspace(0, limit, STEPS + 1)[1:]
    risk = risk[risk < 1]
    model, everyone = net_benefit(labels, scores, risk), net_benefit(labels, np.ones_like(scores), risk)
    if model is None or everyone is None:
        return None
    top, bottom = _ceiling(share), -BELOW * _ceiling(share)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + SIDE * x / limit, TOP + SIDE * (top - y) / (top - bottom)

    def line(values: Floats) -> str:
        shown = np.clip(values, bottom, top)
        last = np.flatnonzero(values > bottom)  # what stays below the axis from here on is not drawn
        end = min(last[-1] + 2, risk.size) if last.size else 0
        drawn = [place(x, y) for x, y in zip(risk[:end], shown[:end], strict=True)]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)

    marks = []
    threshold = entry["threshold"]
    if threshold is not None and 0 < threshold < min(limit, 1.0):
        worth = net_benefit(labels, scores, [threshold])
        if worth is not None and bottom <= worth[0] <= top:
            said = f"acting at {threshold:.3f}: {worth[0]:+.4f} hits a film"
            marks.append(Mark(*place(threshold, float(worth[0])), "validation", said))
    better = risk[model > np.maximum(everyone, 0.0) + 1e-12]
    caption = f"useful from {better.min():.2f} to {better.max():.2f}" if better.size else "never better than both"
    return Panel(
        finding=finding,
        kind="net benefit",
        caption=caption,
        x_label="risk at which one would act",
        y_label="net benefit",
        x_ticks=tuple(Tick(place(x, 0)[0], f"{x:g}") for x in (0.0, limit / 2, limit)),
        y_ticks=tuple(Tick(place(0, y)[1], f"{y:g}") for y in (bottom, 0.0, top)),
        line=line(model),
        reference=line(everyone),
        marks=tuple(marks),
    )


def _ceiling(share: float) -> float:
    """A round number at or above the prevalence."""
    scale = 10.0 ** np.floor(np.log10(share))
    return float(next(step * scale for step in (1, 2, 4, 6, 8, 10) if step * scale >= share - 1e-12))
