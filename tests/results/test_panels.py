"""Geometry of the plots: corners, thinning, marks, axes."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.ranking import average_precision
from hilum.results.panels import LEFT, SIDE, TOP, calibration_panel, forest, precision_recall_panel, roc_panel

ENTRY = {
    "threshold": 0.3,
    "prevalence": 0.25,
    "ece": {"value": 0.1},
    "brier": {"value": 0.2},
    "auroc": {"value": 0.8, "low": 0.7, "high": 0.9},
    "auprc": {"value": 0.6, "low": None, "high": None},
}


def points(text: str) -> np.ndarray:
    return np.array([[float(number) for number in pair.split(",")] for pair in text.split()])


def data(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (rng.random(n) < 0.25).astype(float)
    return labels, np.clip(0.25 + 0.2 * labels + rng.normal(0, 0.2, n), 0, 1)


def test_roc_runs_from_corner_to_corner_and_is_thinned() -> None:
    panel = roc_panel("Mass", *data(), ENTRY)
    line = points(panel.line)
    assert line[0].tolist() == [LEFT, TOP + SIDE]
    assert line[-1].tolist() == [LEFT + SIDE, TOP]
    assert 50 < len(line) < 900
    assert (np.diff(line[:, 0]) >= 0).all()
    assert panel.caption == "AUROC 0.800 [0.700, 0.900]"


def test_marks_lie_on_the_roc_curve() -> None:
    labels, scores = data(40)
    panel = roc_panel("Mass", labels, scores, ENTRY)
    mark = next(mark for mark in panel.marks if mark.kind == "validation")
    x = ((labels == 0) & (scores >= 0.3)).sum() / (labels == 0).sum()
    y = ((labels == 1) & (scores >= 0.3)).sum() / (labels == 1).sum()
    assert (mark.x, mark.y) == pytest.approx((LEFT + SIDE * x, TOP + SIDE * (1 - y)))
    assert [mark.kind for mark in roc_panel("Mass", labels, scores, ENTRY | {"threshold": None}).marks] == ["half"]


def test_precision_recall_goes_by_steps_over_the_prevalence() -> None:
    panel = precision_recall_panel("Mass", np.array([1, 0, 1, 0.0]), np.array([0.9, 0.8, 0.7, 0.1]), ENTRY)
    steps = (points(panel.line) - [LEFT, TOP]) / SIDE
    np.testing.assert_allclose(steps, [[0, 0], [0.5, 0], [0.5, 1 / 3], [1, 1 / 3]], atol=1e-3)
    assert points(panel.reference)[:, 1] == pytest.approx(TOP + SIDE * 0.75)


def test_the_area_under_the_drawn_steps_is_the_auprc() -> None:
    labels, scores = data(200)
    steps = (points(precision_recall_panel("Mass", labels, scores, ENTRY).line) - [LEFT, TOP]) / SIDE
    area = (np.diff(steps[:, 0]) * (1 - steps[1:, 1])).sum()
    assert area == pytest.approx(average_precision(labels, scores), abs=2e-3)


def test_calibration_axes_end_where_the_data_do() -> None:
    labels, scores = data()
    assert calibration_panel("Mass", labels, scores, ENTRY).x_ticks[-1].text == "1"
    rare = calibration_panel("Mass", np.zeros(100), np.linspace(0, 0.08, 100), ENTRY)
    assert rare.x_ticks[-1].text == "0.1"
    assert len(rare.marks) == 10


def test_undefined_panels_are_left_out() -> None:
    assert roc_panel("Mass", np.zeros(3), np.zeros(3), ENTRY) is None
    assert precision_recall_panel("Mass", np.ones(3), np.zeros(3), ENTRY) is None
    assert calibration_panel("Mass", np.full(3, np.nan), np.zeros(3), ENTRY) is None


def test_forest_is_sorted_with_the_macro_mean_last() -> None:
    def entry(value: float | None) -> dict:
        low, high = (None, None) if value is None else (value - 0.1, value + 0.05)
        return {"auroc": {"value": value, "low": low, "high": high, "n": 10, "n_positive": 3}}

    drawn = forest({"A": entry(0.7), "B": entry(None), "C": entry(0.9)}, entry(0.8))
    assert [row.name for row in drawn.rows] == ["C", "A", "Macro mean"]
    assert [row.macro for row in drawn.rows] == [False, False, True]
    assert all(row.low < row.value < row.high for row in drawn.rows)
    assert (drawn.ticks[0].text, drawn.ticks[-1].text) == ("0.5", "1.0")
    assert forest({"A": entry(0.45)}, entry(0.45)).ticks[0].text == "0.3"
    assert forest({"B": entry(None)}, entry(None)) is None
