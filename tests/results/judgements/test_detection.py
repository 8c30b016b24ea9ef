"""Boxes as evidence: the averages of `bootstrap_detection`, films without boxes, and truth that must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import UserError
from hilum.metrics.detection.bootstrap import DETECTION_METRICS, bootstrap_detection
from hilum.results.judgement import open_judgement
from hilum.results.judgements.detection import METRICS
from tests.results.judged_folders import boxes, write_folder


def test_the_averages_are_those_of_the_metric(tmp_path: Path) -> None:
    found, truth = boxes(3.0)
    judged = open_judgement(write_folder(tmp_path / "one", {"task": "detection"}, found=found, truth=truth))
    assert set(METRICS) == set(DETECTION_METRICS)
    assert judged.evidence.items.size == 20
    known = bootstrap_detection(found, truth, draws=16, seed=1)
    for metric in METRICS:
        sample = judged.replicates(metric, 16, 1)
        assert sample.points[0] == pytest.approx(known.points[metric][0])
        assert sample.values == pytest.approx(known.replicates[metric], nan_ok=True)


def test_other_true_boxes_are_refused(tmp_path: Path) -> None:
    found, truth = boxes()
    moved = truth.assign(x=truth["x"] + 1)
    one, two = (
        open_judgement(write_folder(tmp_path / str(k), {"task": "detection"}, found=found, truth=table))
        for k, table in enumerate((truth, moved))
    )
    with pytest.raises(UserError, match="the true boxes of 10 differ, the first is 'i1'"):
        two.like(one, ["Mass"])
