"""Masks, boxes and risk go through the same cells and stand on the same page as classifiers."""

from __future__ import annotations

import html
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from hilum.benchmarking.cells import Benchmark, read_encoders
from hilum.benchmarking.run import prepare, run_benchmark
from hilum.benchmarking.task_file import read_task_file
from tests.benchmarking.conftest import make_encoder, write_films

TASKS = [
    {"name": "mass masks", "task": "segment", "labels": ["Mass"],
     "options": {"width": 8, "auxiliary_width": 0, "steps": 2, "batch_size": 4, "drop_path": 0.0}},
    {"name": "mass boxes", "task": "detect",
     "options": {"steps": 2, "batch_size": 4, "drop_path": 0.0,
                 "head_set": {"width": 16, "heads": 2, "feedforward": 16, "blocks": 1, "queries": 6, "layers": 1}}},
    {"name": "death", "task": "survive", "options": {"endpoints": ["Death"], "horizon": 300.0, "epochs": 5}},
]  # fmt: skip


def write_everything(root: Path) -> Path:
    """The films of a benchmark with masks and boxes of `Mass`, and a follow-up that depends on it."""
    write_films(root, patients=30, seed=4)
    rng = np.random.default_rng(0)
    (root / "masks").mkdir()
    table = pd.read_csv(root / "manifest.csv")
    table["image_id"] = [Path(image).stem for image in table["image"]]
    notes, images = [], []
    for name, mass in zip(table["image_id"], table["label.Mass"], strict=True):
        images.append({"id": name, "file_name": f"{name}.png", "width": 32, "height": 32})
        if mass:
            mask = np.zeros((32, 32), bool)
            mask[6:14, 6:14] = True
            Image.fromarray(mask).save(root / "masks" / f"{name}.Mass.png")
            notes.append({"image_id": name, "category_id": 1, "bbox": [6, 6, 8, 8]})
    said = {"images": images, "categories": [{"id": 1, "name": "Mass"}], "annotations": notes}
    (root / "boxes.json").write_text(json.dumps(said))
    ill = table.groupby("patient_id")["label.Mass"].transform("max")
    days = pd.Series(rng.integers(50, 900, 30).repeat(2)) / (1 + 2 * ill)
    table["time.Death"], table["event.Death"] = days.round(), (days < 500).astype(int)
    table.to_csv(root / "manifest.csv", index=False)
    return root


def test_masks_boxes_and_risk(tmp_path: Path) -> None:
    write_everything(tmp_path / "films")
    for seed, name in enumerate(("one", "two")):
        make_encoder(seed, {"method": "mae"}).save(tmp_path / name)
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump({"tasks": [{**task, "data": "films"} for task in TASKS]}))
    specs = read_encoders((f"one={tmp_path / 'one'}", f"two={tmp_path / 'two'}"))
    tasks = read_task_file(tmp_path / "tasks.yaml").tasks
    benchmark = Benchmark(specs, tasks, (1.0,), seeds=1, draws=100, permutations=100)
    results = run_benchmark(prepare(benchmark, tmp_path / "out"))
    assert results["failed"] == []
    assert [entry["task"] for entry in results["tasks"]] == ["segment", "detect", "survive"]
    for entry in results["tasks"]:
        rows = entry["tables"][0]["rows"]
        assert len(rows) == 2, entry["key"]
        assert rows[0]["spread"] is None
        assert entry["bins"] == []
    named = {entry["task"]: {row["name"] for row in entry["tables"][0]["baselines"]} for entry in results["tasks"]}
    assert named == {"segment": {"nothing", "mean_mask"}, "detect": {"centre-prior"}, "survive": set()}
    assert results["tasks"][1]["tables"][0]["baselines"][0]["beside"]["encoder"] == "one"
    tests = {entry["task"]: entry["tables"][0]["rows"][1]["test"] for entry in results["tasks"]}
    assert (tests["segment"], tests["survive"]) == ("permutation", "bootstrap")
    page = (tmp_path / "out" / "leaderboard.html").read_text()
    for entry in results["tasks"]:
        assert html.escape(entry["metric"]["title"]).replace("&#x27;", "&#39;") in page
