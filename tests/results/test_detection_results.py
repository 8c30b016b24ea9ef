"""The page of found boxes: undefined is said, plots have a curve a finding, Markdown has the same numbers."""

from __future__ import annotations

import json

import pytest

from hilum.metrics.detection.tables import FOUND, empty_table
from hilum.results.detection import (
    detection_markdown,
    detection_page,
    detection_results,
    froc_panels,
    summary_lines,
)
from tests.metrics.detection_scenes import random_scenes

NAMES = ("Effusion", "Hernia", "Mass")


def test_everything_is_said_once_and_nothing_is_nan() -> None:
    found, truth = random_scenes(3, images=20, patients=10)
    prior = found.assign(score=0.5)
    context = {"title": "Boxes <of> films", "shown_rate": 0.5}
    results = detection_results(
        found, truth, findings=NAMES, baseline=prior, context=context, thresholds={"Mass": 0.4}, draws=150
    )
    json.dumps(results, allow_nan=False)
    assert results["undefined"] == [{"finding": "Hernia", "reason": "no true box of this finding"}]
    assert results["macro"]["findings"] == ["Effusion", "Mass"]
    assert results["findings"]["Mass"]["threshold"] == 0.4
    assert results["findings"]["Effusion"]["threshold"] is None
    both = [results["findings"][name]["model"]["ap50"]["value"] for name in ("Effusion", "Mass")]
    assert results["macro"]["model"]["ap50"]["value"] == pytest.approx(sum(both) / 2)
    page = detection_page(results, found, truth, prior)
    assert "Boxes &lt;of&gt; films" in page
    assert page.count('aria-label="froc of') == 2
    text = detection_markdown(results)
    assert "Hernia: undefined, no true box of this finding" in text
    assert f"{both[0]:.3f} [" in text
    lines = summary_lines(results)
    assert lines[0].startswith("macro AP50 0.")
    assert ", baseline 0." in lines[0]
    assert lines[1] == "Hernia undefined: no true box of this finding"
    assert results["notes"] == []


def test_nothing_found_and_no_baseline_make_a_page_too() -> None:
    _, truth = random_scenes(3)
    nothing = empty_table(FOUND)
    results = detection_results(
        nothing,
        truth,
        findings=("Mass",),
        baseline=None,
        context={"title": "t", "shown_rate": 0.5},
        thresholds={},
        draws=5,
    )
    assert results["macro"]["model"]["ap"]["value"] == 0
    assert "baseline" not in results["macro"]
    assert "ONLY 5 BOOTSTRAP DRAWS" in results["notes"][0]
    [panel] = froc_panels(results, nothing, truth, None)
    assert (panel.reference, panel.line) == ("", "38.0,186.0 214.0,186.0")
    assert "Free-response" in detection_page(results, nothing, truth, None)
    assert "baseline" not in detection_markdown(results)
