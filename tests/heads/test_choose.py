"""What validation chooses: macro AUROC over defined findings, thresholds of max F1, and what it cannot
choose."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.heads.choose import ThresholdRule, choose_thresholds, macro_auroc
from hilum.metrics.ranking import auroc


def test_macro_auroc_is_the_mean_over_defined_findings() -> None:
    targets = np.array([[1, 0, np.nan], [0, 0, 1], [1, 0, 0], [0, 0, 1]])
    scores = np.random.default_rng(0).random((4, 3))
    each = [auroc(targets[:, c], scores[:, c]) for c in (0, 2)]
    assert macro_auroc(targets, scores) == pytest.approx(np.mean(each))  # type: ignore[arg-type]
    assert macro_auroc(targets[:, 1:2], scores[:, 1:2]) is None
    assert macro_auroc(targets, np.full((4, 3), np.nan)) is None


def test_thresholds_have_the_largest_f1_or_a_note() -> None:
    targets = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [0, np.nan]])
    scores = np.array([[0.9, 0.1], [0.3, 0.1], [0.2, 0.1], [0.1, 0.1], [0.05, 0.1]])
    thresholds, notes = choose_thresholds(targets, scores, ("Edema", "Mass"))
    assert 0.2 < thresholds["Edema"] <= 0.3
    assert thresholds["Mass"] == 0.5
    assert notes == {"Mass": "no positives in validation: the threshold is 0.5, not chosen"}
    assert "no negatives" in choose_thresholds(np.ones((3, 1)), np.ones((3, 1)), ("Edema",))[1]["Edema"]


@pytest.mark.parametrize("wanted", [0.5, 0.8, 1.0])
def test_thresholds_may_reach_a_sensitivity_or_a_specificity(wanted: float) -> None:
    rng = np.random.default_rng(2)
    targets = (rng.random((200, 1)) < 0.3).astype(float)
    scores = np.clip(0.3 * targets + 0.6 * rng.random((200, 1)), 0, 1)
    reached = {}
    for kind in ("sensitivity", "specificity"):
        at = choose_thresholds(targets, scores, ("Edema",), f"{kind}={wanted}")[0]["Edema"]
        called, there = scores[:, 0] >= at, targets[:, 0] == 1
        reached[kind] = (called & there).sum() / there.sum(), (~called & ~there).sum() / (~there).sum()
    assert reached["sensitivity"][0] >= wanted
    assert reached["specificity"][1] >= wanted
    if wanted < 1:
        assert reached["sensitivity"][0] < wanted + 0.05  # no more than the step of one film asks for
        assert reached["specificity"][1] < wanted + 0.05


def test_rules_for_thresholds_are_read_and_said() -> None:
    assert str(ThresholdRule.parse("max-f1")) == "largest F1"
    assert str(ThresholdRule.parse("sensitivity=0.9")) == "sensitivity of at least 0.9"
    for wrong in ("f1", "sensitivity", "sensitivity=2", "specificity=0", "accuracy=0.9", "sensitivity=high"):
        with pytest.raises(ConfigError, match="is no rule for thresholds"):
            ThresholdRule.parse(wrong)
