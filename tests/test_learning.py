"""A learning bar for `make slow`: films and reports of the phantom teach MaCo findings that nobody labelled.

Developed on another population (docs/methods/maco.md); the bars of the full comparison are in docs/phantom_reports.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hilum
from hilum.datasets.phantom import write_phantom

FINDINGS = ("Cardiomegaly", "Effusion", "Edema", "Consolidation", "SupportDevice")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_maco_names_findings_and_finds_reports(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    write_phantom(data, patients=800, size=128, seed=7, progress=False)
    common = {"preset": "phantom", "batch_size": 48, "lr": 1e-3, "warmup": 0.1, "probe": False, "accelerator": "cpu"}
    hilum.pretrain("maco", data=str(data), out=str(run), max_steps=1000, epochs=100.0, save_every=500, **common)

    hilum.zero_shot(str(run), data=str(data), out=str(tmp_path / "zs"), labels=FINDINGS, draws=200)
    judged = json.loads((tmp_path / "zs" / "results.json").read_text())
    assert judged["macro"]["auroc"]["value"] > 0.65
    assert judged["macro"]["auroc"]["low"] > 0.55

    hilum.retrieve(str(run), data=str(data), out=str(tmp_path / "found"), examples=0, draws=200)
    found = json.loads((tmp_path / "found" / "results.json").read_text())
    recall = found["directions"]["image_to_report"]["study"]["recall"]["10"]
    assert recall["value"] > 1.5 * recall["chance"]
