"""Localization on the phantom, from nothing to a page: detectors must find boxes on patients they have never seen."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hilum.datasets.phantom.write import write_phantom
from hilum.evaluation.detection.judge import judge_boxes
from hilum.evaluation.detection.plan import Options, make_plan
from hilum.evaluation.detection.run import run_detection
from tests.evaluation.detection.conftest import CPU


@pytest.mark.slow
def test_boxes_of_new_phantom_patients_are_found(box_encoder: Path, tmp_path: Path) -> None:
    """600 patients at 64 pixels, a random ViT of two blocks and its decoder: AP50 of 0.3 on test patients."""
    began = time.monotonic()
    data = write_phantom(tmp_path / "phantom", patients=600, size=64, seed=11, workers=2, progress=False)
    options = Options(
        str(box_encoder),
        str(data),
        labels=("Cardiomegaly", "Effusion", "Edema"),
        views=("PA", "AP"),
        steps=300,
        lr=2e-3,
        weight_decay=0.01,
        layer_decay=1.0,
        drop_path=0.0,
        head_set={"width": 64, "heads": 4, "feedforward": 128, "layers": 2, "queries": 30},
    )
    run_detection(make_plan(options), tmp_path / "run", runner=CPU)
    judged = judge_boxes(str(tmp_path / "run"), str(data), runner=CPU)
    assert time.monotonic() - began < 600
    assert not [note for note in judged.results["notes"] if "NOT AN HONEST RESULT" in note]
    macro = judged.results["macro"]
    assert macro["model"]["ap50"]["value"] >= 0.3
    assert macro["difference"]["ap50"]["low"] > 0  # better than the mean training box, beyond chance
    assert macro["model"]["sensitivity@1"]["value"] > macro["baseline"]["sensitivity@1"]["value"]
