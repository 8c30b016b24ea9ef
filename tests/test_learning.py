"""Learning bars for `make slow`: what the phantom teaches without labels of what is asked for.

MaCo names findings that nobody labelled; GLoRI finds places that nobody marked. Developed on other populations
(docs/methods/maco.md, docs/phantom_dinov2.md); the bars of the full comparisons are in docs/phantom_*.md.
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


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_queries_that_learned_from_labels_of_films_hit_boxes_that_nobody_showed_them(tmp_path: Path) -> None:
    data, run, head = tmp_path / "data", tmp_path / "run", tmp_path / "head"
    write_phantom(data, patients=800, size=128, seed=7, progress=False)
    small = {"vit": {"width": 96, "depth": 4, "heads": 3}}
    loop = {"batch_size": 32, "lr": 1e-3, "warmup": 0.1, "probe": False, "accelerator": "cpu", "save_every": 500}
    hilum.pretrain(
        "mae", data=str(data), out=str(run), preset="phantom", max_steps=1500, epochs=100.0, set=small, **loop
    )

    sizes = {"dim": 96, "heads": 4, "feedforward": 192}
    asked = {"labels": FINDINGS[:4], "head": "glori", "head_set": sizes, "epochs": 15, "batch_size": 32}
    hilum.adapt("classify", encoder=str(run), data=str(data), out=str(head), **asked)
    hilum.ground(str(head), data=str(data), out=str(tmp_path / "maps"), examples=0, draws=200)
    told = json.loads((tmp_path / "maps" / "results.json").read_text())
    (against_class_token,) = (
        row for row in told["differences"] if (row["first"], row["second"]) == ("query", "class_token")
    )
    assert against_class_token["pointing"]["micro"]["low"] > 0
