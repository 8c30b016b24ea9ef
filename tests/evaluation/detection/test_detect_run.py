"""`hilum adapt detect` and `hilum evaluate` of it: plans that can start, runs that resume, pages that say what is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum import adapt, evaluate
from hilum import checkpoint as ckpt
from hilum.datasets.phantom.write import write_phantom
from hilum.encoder import load
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.detection import run as run_module
from hilum.evaluation.detection.judge import judge_boxes
from hilum.evaluation.detection.method import Config, Detect, detection_method
from hilum.evaluation.detection.model import load_detector
from hilum.evaluation.detection.plan import Options, make_plan
from hilum.evaluation.detection.presets import PRESETS
from hilum.evaluation.detection.run import run_detection
from hilum.evaluation.detection.views import BOXES
from hilum.evaluation.tasks import TASKS, task_of
from hilum.heads.detection import DetectorConfig
from hilum.methods.method import Method
from hilum.optim import parameter_groups
from hilum.results.judgement import open_judgement
from hilum.schema import IMAGE
from tests.evaluation.detection.conftest import CPU, SMALL, make_options


def weights(run: Path) -> dict[str, torch.Tensor]:
    return ckpt.load_checkpoint(run / "model")[0]


def test_a_run_leaves_a_detector_that_loads_again(box_run: Path) -> None:
    config = json.loads((box_run / "config.json").read_text())
    assert (config["verb"], config["task"], config["findings"]) == ("adapt", "detect", ["Effusion", "Mass"])
    assert config["films"] == {"train": 48, "val": 16}
    patients = json.loads((box_run / "fraction.json").read_text())
    assert (patients["n_patients"], len(patients["val_patients"])) == (24, 8)
    trained = load_detector(box_run)
    assert set(trained.record.prior) == {"Mass", "Effusion"}
    assert 0 <= trained.record.validation["ap50"] <= 1
    assert trained.record.headline.startswith("AP50 ")
    assert "shown from this score" in (box_run / "model" / "README.md").read_text()
    assert task_of(box_run) is TASKS["detect"]
    images = torch.randn(2, 1, 64, 64)
    again = load_detector(box_run / "model")
    with torch.no_grad():
        torch.testing.assert_close(trained.model(images), again.model(images))


def test_a_run_broken_off_ends_the_same(
    box_run: Path, box_encoder: Path, boxed_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(make_options(box_encoder, boxed_data, steps=6))
    real = run_module.validation

    def broken(*args: object, **options: object) -> object:
        evaluate = real(*args, **options)  # type: ignore[arg-type]

        def once(method: torch.nn.Module, step: int) -> object:
            if step == 5:
                raise KeyboardInterrupt
            return evaluate(method, step)

        return once

    training = replace(plan.options.training(48, workers=0, device="cpu"), save_every=1)
    monkeypatch.setattr(Options, "training", lambda self, films, **where: training)
    run_detection(plan, tmp_path / "steady", runner=CPU)
    monkeypatch.setattr(run_module, "validation", broken)
    with pytest.raises(KeyboardInterrupt):
        run_detection(plan, tmp_path / "broken", runner=CPU)
    assert not (tmp_path / "broken" / "model").exists()
    monkeypatch.setattr(run_module, "validation", real)
    run_detection(plan, tmp_path / "broken", resume=True, runner=CPU)
    expected, found = weights(tmp_path / "steady"), weights(tmp_path / "broken")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    with pytest.raises(ConfigError, match="differs from the run"):
        run_detection(make_plan(make_options(box_encoder, boxed_data, lr=0.1)), box_run, resume=True, runner=CPU)


def test_the_page_says_numbers_baseline_and_notes(box_run: Path, boxed_data: Path, tmp_path: Path) -> None:
    judged = judge_boxes(str(box_run), str(boxed_data), out=str(tmp_path / "out"), draws=40, runner=CPU, command="told")
    results = json.loads(judged.page.with_name("results.json").read_text())
    assert results["task"] == "detection"
    assert results["counts"]["images"] == 16
    assert set(results["findings"]) == {"Effusion", "Mass"}
    for entry in results["findings"].values():
        assert 0 <= entry["model"]["ap50"]["value"] <= 1
        assert entry["difference"]["ap50"]["value"] == pytest.approx(
            entry["model"]["ap50"]["value"] - entry["baseline"]["ap50"]["value"]
        )
    found, truth = (pd.read_parquet(judged.folder / f"{name}.parquet") for name in ("found", "truth"))
    assert truth["image_id"].nunique() == 16
    assert set(found["image_id"]) <= set(truth["image_id"])
    assert found.groupby("image_id").size().max() <= 24  # 12 queries, two findings
    assert ((found["x"] >= 0) & (found["x"] + found["w"] <= 64 + 1e-6) & (found["w"] > 0)).all()
    page, text = judged.page.read_text(), (judged.folder / "results.md").read_text()
    for said in ("told", "ONLY 40 BOOTSTRAP DRAWS", "Free-response ROC", "data:image/jpeg"):
        assert said in page
    assert "Detector" not in text
    assert "detector minus baseline" in text
    assert (judged.folder / "boxes.png").stat().st_size > 1000
    assert "macro AP50" in judged.lines[0]
    opened = open_judgement(judged.folder)
    assert opened.replicates("ap50", 40, 0).points[0] == pytest.approx(
        results["findings"]["Effusion"]["model"]["ap50"]["value"]
    )


def test_from_the_shell(
    box_run: Path, box_encoder: Path, boxed_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new"
    asked: dict[str, object] = {"encoder": str(box_encoder), "data": str(boxed_data), "out": str(out)}
    adapt("detect", **asked, preset="cxrbase-50-shot", shots=2, head_set={"queries": 9}, dry_run=True)
    planned = json.loads(capsys.readouterr().out)
    assert (planned["shots"], planned["batch_size"], planned["head_config"]["queries"]) == (2, 16, 9)
    assert not out.exists()
    evaluate(str(box_run), data=str(boxed_data), out=str(out), draws=3, baselines=("none",), device="cpu")
    assert "macro AP50" in capsys.readouterr().out
    assert "baseline" not in json.loads((out / "results.json").read_text())["macro"]


def test_judging_guards(box_run: Path, boxed_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not judged on the split it learned from"):
        judge_boxes(str(box_run), str(boxed_data), split="train", runner=CPU)
    with pytest.raises(ConfigError, match="hog finds no boxes"):
        judge_boxes(str(box_run), str(boxed_data), baselines=("hog",), runner=CPU)
    with pytest.raises(CheckpointError, match="holds no detector"):
        judge_boxes(str(tmp_path), str(boxed_data), runner=CPU)
    bare = judge_boxes(
        str(box_run), str(boxed_data), split="train", allow_train=True, baselines=(), draws=0,
        out=str(tmp_path / "train"), runner=CPU,
    )  # fmt: skip
    assert "NOT AN HONEST RESULT" in " ".join(bare.results["notes"])
    assert "baseline" not in bare.results["macro"]
    assert bare.results["macro"]["model"]["ap50"]["reason"] == "no usable draw: no interval"


def test_a_finding_without_a_test_box_is_undefined_not_zero(box_run: Path, boxed_data: Path, tmp_path: Path) -> None:
    content = json.loads((boxed_data / "boxes.json").read_text())
    content["annotations"] = [note for note in content["annotations"] if note["category_id"] == 1]
    (tmp_path / "b.json").write_text(json.dumps(content))
    judged = judge_boxes(
        str(box_run), str(boxed_data), boxes=str(tmp_path / "b.json"), out=str(tmp_path / "o"), draws=20, runner=CPU
    )
    assert judged.results["undefined"] == [{"finding": "Effusion", "reason": "no true box of this finding"}]
    assert judged.results["findings"]["Effusion"]["model"]["ap"]["value"] is None
    assert judged.results["macro"]["findings"] == ["Mass"]
    assert "The file has no boxes of Effusion." in judged.results["notes"]
    assert "Effusion undefined: no true box of this finding" in judged.lines


def test_shots_are_nested_and_by_patient(box_encoder: Path, boxed_data: Path) -> None:
    plans = {k: make_plan(make_options(box_encoder, boxed_data, shots=k)) for k in (1, 3)}
    few, more = (set(plans[k].train.manifest.table["patient_id"]) for k in (1, 3))
    assert few < more
    for k, plan in plans.items():
        assert all(counts["patients"] >= k for counts in plan.train.counts().values())
        whole = make_plan(make_options(box_encoder, boxed_data)).train.manifest.table
        kept = set(plan.train.manifest.table["patient_id"])
        assert len(plan.train) == whole["patient_id"].isin(kept).sum()  # all films of a patient
    assert plans[3].record.origin["shots"] == 3
    with pytest.raises(ManifestError, match="fewer than 50 training patients"):
        make_plan(make_options(box_encoder, boxed_data, preset="cxrbase-50-shot", **PRESETS["cxrbase-50-shot"]))
    with pytest.raises(ConfigError, match="shots"):
        make_plan(make_options(box_encoder, boxed_data, shots=1, fraction=0.5))


def test_the_presets_are_the_published_protocols() -> None:
    """Section 8 of the fact sheets of MaCo and CXRBase, field by field."""
    maco = Options("e", "d", preset="maco-rsna-boxes", **PRESETS["maco-rsna-boxes"]).resolved()
    assert (maco.size, maco.flip, maco.scale, maco.batch_size, maco.layer_decay) == (1024, 0.5, (0.8, 1.2), 32, 0.7)
    settings = maco.training(3584, workers=0, device="cpu")
    assert settings.max_steps == 50 * 3584 // 32
    assert settings.epochs == pytest.approx(50)
    assert settings.warmup * settings.max_steps == pytest.approx(250)
    assert (settings.peak_lr, settings.min_lr, settings.weight_decay) == (5e-4, pytest.approx(5e-6), 0.05)
    shots = Options("e", "d", **PRESETS["cxrbase-50-shot"])
    assert (shots.shots, shots.batch_size, shots.epochs) == (50, 16, 50)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": ("Masss",)}, "unknown category"),
        ({"size": 60}, "multiple of 8"),
        ({"lr": 0.0}, "more than 0"),
        ({"steps": 0}, "at least 1"),
        ({"flip": 2.0}, "flip"),
        ({"scale": (1.2, 0.8)}, "scale"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"head_set": {"querys": 3}}, "Did you mean 'queries'"),
        ({"boxes": "nowhere.json"}, "no such file"),
    ],
)
def test_nonsense_is_refused_before_anything_is_written(
    wrong: dict[str, object], message: str, box_encoder: Path, boxed_data: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plan(make_options(box_encoder, boxed_data, **wrong))


def test_a_split_without_boxes_is_refused(box_encoder: Path, boxed_data: Path, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("image_id,category,x,y,w,h\nfilm00,Mass,1,1,9,9\nfilm06,,,,,\n")
    with pytest.raises(ManifestError, match="val split has no box of Mass on its 1 known films"):
        make_plan(make_options(box_encoder, boxed_data, boxes=str(tmp_path / "b.csv")))


def test_the_method_meets_the_contract(box_encoder: Path, boxed_data: Path) -> None:
    plan = make_plan(make_options(box_encoder, boxed_data))

    def made(**options: object) -> Detect:
        config = Config(**{"drop_path": 0.0, "most_boxes": 3, **options})  # type: ignore[arg-type]
        head = DetectorConfig(**SMALL)  # type: ignore[arg-type]
        return detection_method(plan.encoder, plan.preprocessing, plan.train, head, config, seed=0)

    method = made()
    assert isinstance(method, Method)
    sample = method.views()(np.full((48, 64), 90, np.uint8), np.random.default_rng(0), plan.train.boxes[0])
    batch = {IMAGE: sample[IMAGE][None].repeat(2, 1, 1, 1), BOXES: torch.full((2, 3, 5), torch.nan)}
    batch[BOXES][0, 1] = torch.tensor([0.5, 0.5, 0.2, 0.2, 1.0])
    output = method(batch, 0.0)
    output.loss.backward()
    assert torch.isfinite(output.loss.detach())
    assert set(output.scalars) == {"loss", "loss_class", "loss_l1", "loss_giou"}
    groups = parameter_groups(method.named_parameters(), weight_decay=0.05, layer_decay=0.5, depth=2)
    scale = {name: group.lr_scale for group in groups for name in group.names}
    assert scale["detector.backbone.blocks.0.attn.qkv.weight"] == 0.25
    assert scale["detector.backbone.patch_embed.proj.weight"] == 0.125
    assert {rate for name, rate in scale.items() if "backbone" not in name} == {1.0}
    still = made(frozen=True)
    still(batch, 0.0).loss.backward()
    assert all(part.grad is None for part in still.detector.backbone.parameters())
    before = load(str(box_encoder)).model.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in still.backbone.state_dict().items())


def test_eight_phantom_films_are_learned_by_heart(box_encoder: Path, tmp_path: Path) -> None:
    """A detector from random weights finds all boxes of its eight training films."""
    data = write_phantom(tmp_path / "phantom", patients=60, size=64, seed=5, progress=False)
    table = pd.read_parquet(data / "manifest.parquet")
    content = json.loads((data / "boxes.json").read_text())
    kinds = {kind["id"] for kind in content["categories"] if kind["name"] in ("Cardiomegaly", "Effusion")}
    with_box = {note["image_id"] for note in content["annotations"] if note["category_id"] in kinds}
    frontal = table[table["view_position"].isin(["PA", "AP"]) & table["image_id"].isin(with_box)]
    chosen = frontal.drop_duplicates("patient_id")["image_id"].tolist()
    table = table[table["image_id"].isin(chosen)].assign(split=lambda rows: ["train"] * 8 + ["val"] * (len(rows) - 8))
    table.to_parquet(data / "manifest.parquet")
    options = make_options(
        box_encoder, data, labels=("Cardiomegaly", "Effusion"), steps=80, batch_size=8, lr=3e-3, scale=(1.0, 1.0),
        weight_decay=0.0, layer_decay=1.0, head_set={**SMALL, "width": 64, "feedforward": 128},
    )  # fmt: skip
    plan = make_plan(options)
    assert len(plan.train) == 8
    last = replace(plan, val=plan.train)  # chosen by the films it learns: this is about learning, not about quality
    record = run_detection(last, tmp_path / "run", runner=CPU)
    assert record.validation["ap50"] > 0.8
