"""Decision curves: where they lie, and what they say of a perfect and of a useless score."""

from __future__ import annotations

import numpy as np

from hilum.results.decision_panel import decision_panel
from hilum.results.panels import LEFT, SIDE, TOP

LABELS = (np.arange(100) < 10).astype(float)
ENTRY = {"prevalence": 0.1, "threshold": 0.2}


def points(text: str) -> np.ndarray:
    return np.array([pair.split(",") for pair in text.split()], dtype=float)


def test_a_perfect_score_is_worth_the_prevalence_at_every_risk() -> None:
    panel = decision_panel("Mass", LABELS, LABELS, ENTRY)
    assert panel is not None
    xs, ys = points(panel.line).T
    np.testing.assert_allclose(ys, TOP)  # the top of the axis is the prevalence here
    assert xs[-1] == LEFT + SIDE
    everyone = points(panel.reference)
    assert (np.diff(everyone[:, 1]) > 0).all()  # falls, so y grows
    assert panel.marks[0].kind == "validation"
    assert "+0.1000 hits a film" in panel.marks[0].text
    assert panel.caption == "useful from 0.01 to 0.40"


def test_a_constant_score_is_never_better_than_both() -> None:
    panel = decision_panel("Mass", LABELS, np.full(100, 0.1), {**ENTRY, "threshold": None})
    assert panel is not None
    assert panel.caption == "never better than both"
    assert not panel.marks


def test_one_class_has_no_curve() -> None:
    for share in (0.0, 1.0, None):
        assert decision_panel("Mass", LABELS, LABELS, {"prevalence": share, "threshold": None}) is None
