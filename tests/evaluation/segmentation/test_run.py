"""A run of `hilum adapt segment`: it learns, leaves what it should, and survives being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from hilum.encoder import Encoder, load
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.segmentation.choose import THRESHOLDS
from hilum.evaluation.segmentation.decoder_start import decoder_sizes, pretrained_decoder
from hilum.evaluation.segmentation.judge import judge_masks
from hilum.evaluation.segmentation.method import Settings, segment_method
from hilum.evaluation.segmentation.model import load_segmenter
from hilum.evaluation.segmentation.plan import make_plan
from hilum.evaluation.segmentation.run import run_segmentation
from hilum.evaluation.segmentation.views import MaskViews
from hilum.evaluation.tasks import task_of
from hilum.heads.segmentation import Config
from hilum.manifest import Manifest
from hilum.methods.method import Method
from hilum.models.positions import resize_table
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.restoration_decoder import RestorationDecoder
from hilum.schema import Preprocessing
from tests.evaluation.conftest import make_encoder
from tests.evaluation.segmentation.conftest import QUICK, QUIET, options, write_masked_films

CRASH = Path(__file__).parents[2] / "trainer" / "crash.py"


def test_eight_films_are_overfitted(tmp_path: Path, tiny_encoder: Path) -> None:
    data = write_masked_films(tmp_path / "data", 12)
    table = pd.read_csv(data / "manifest.csv").assign(split=["train"] * 8 + ["val"] * 4)
    table.to_csv(data / "manifest.csv", index=False)
    still = {"crop": 1.0, "flip": 0.0, "contrast": 0.0, "brightness": 0.0, "dropout": 0.0}
    plan = make_plan(options(tiny_encoder, data, head="medim", steps=120, batch_size=8, **still))
    assert len(plan.train) == 8
    run_segmentation(plan, tmp_path / "run", runner=QUIET)
    judged = judge_masks(str(tmp_path / "run"), str(data), split="train", allow_train=True, draws=50, runner=QUIET)
    for name in ("Mass", "Effusion"):
        assert judged.results["findings"][name]["scores"]["dice_positive"]["model"]["value"] > 0.85


def test_a_run_leaves_a_segmenter_with_thresholds_and_patients(trained_run: Path, masked_data: Path) -> None:
    config = json.loads((trained_run / "config.json").read_text())
    assert (config["verb"], config["task"], config["size"]) == ("adapt", "segment", 64)
    assert task_of(trained_run).kind == "segmenter"
    assert task_of(trained_run / "model").kind == "segmenter"
    trained = load_segmenter(trained_run)
    assert set(trained.record.thresholds.values()) <= set(THRESHOLDS)
    assert trained.record.validation["films"] == 12
    assert trained.record.headline.startswith("dice pooled 0.")
    assert "Intended use" in (trained_run / "model" / "README.md").read_text()
    patients = trained_patients(trained_run)
    assert patients is not None
    table = Manifest.read(masked_data).table
    assert patients["patients"] == sorted(set(table.loc[table["split"] == "train", "patient_id"]))
    assert patients["val_patients"] == sorted(set(table.loc[table["split"] == "val", "patient_id"]))
    records = [json.loads(line) for line in (trained_run / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "loss" in record] == list(range(1, 31))
    values = [record["val/dice_pooled"] for record in records if "val/dice_pooled" in record]
    assert max(values) == trained.record.validation["value"]
    assert all("val/loss" in record for record in records if "val/dice_all" in record)


def test_killed_and_resumed_is_the_run_that_was_never_killed(
    trained_run: Path, tiny_encoder: Path, masked_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    words = [f"--{key.replace('_', '-')}={value}" for key, value in QUICK.items()]
    asked = [f"--encoder={tiny_encoder}", f"--data={masked_data}", "--labels=Mass,Effusion", f"--out={out}", *words]
    command = [sys.executable, str(CRASH), "step", "14", "--", "adapt", "segment", *asked, "--device=cpu"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "model").exists()
    plan = make_plan(options(tiny_encoder, masked_data))
    record = run_segmentation(plan, out, resume=True, runner=QUIET)
    assert record == load_segmenter(trained_run).record
    one, other = (load_file(folder / "model" / "model.safetensors") for folder in (trained_run, out))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    again = run_segmentation(plan, out, resume=True, runner=QUIET)  # a finished run gives its record
    assert again == record
    with pytest.raises(ConfigError, match="differs from the run that is to be resumed: lr"):
        run_segmentation(make_plan(options(tiny_encoder, masked_data, lr=1e-4)), out, resume=True, runner=QUIET)


def method_of(encoder: Encoder, **more: object) -> object:
    head = Config(width=16, auxiliary_width=8)
    record = Preprocessing(size=96, channels=1, mean=(0.5,), std=(0.25,), resize="pad")
    asked = {"drop_path": 0.2, "layer_scale": None, "decoder": None, "seed": 0, **more}
    return segment_method(encoder, 1, head, Settings(views=MaskViews(96)), preprocessing=record, **asked)  # type: ignore[arg-type]


def test_the_encoder_is_adapted_once_and_not_changed() -> None:
    encoder = make_encoder()
    with torch.no_grad():
        encoder.model.pos_embed.normal_()
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    method = method_of(encoder)
    assert isinstance(method, Method)
    backbone = method.backbone
    assert backbone.norm is None
    assert backbone.pos_embed.requires_grad
    expected = resize_table(before["pos_embed"], (4, 4), (6, 6), prefix=1, rule="bicubic")
    torch.testing.assert_close(backbone.pos_embed.detach(), expected)
    assert backbone.config.drop_path == 0.2
    assert torch.equal(backbone.blocks[0].attn.qkv.weight, before["blocks.0.attn.qkv.weight"])
    assert all(torch.equal(before[name], value) for name, value in encoder.model.state_dict().items())


def test_a_layer_scale_of_one_changes_nothing_at_the_start() -> None:
    encoder = make_encoder()
    plain, scaled = (method_of(encoder, layer_scale=start) for start in (None, 1.0))
    x = torch.randn(2, 1, 96, 96)
    for method in (plain, scaled):
        method.eval()  # type: ignore[attr-defined]
    assert scaled.backbone.blocks[0].ls1 is not None  # type: ignore[attr-defined]
    torch.testing.assert_close(
        plain.backbone.forward_intermediates(x, 1)[0],  # type: ignore[attr-defined]
        scaled.backbone.forward_intermediates(x, 1)[0],  # type: ignore[attr-defined]
    )


def test_a_convolutional_encoder_learns_too(masked_data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = ResNetConfig(image_size=64, enlarged=64, channels=1, stem=8, planes=8, blocks=(1, 1, 1, 1))
    grey = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))
    folder = Encoder(ResNet(sizes), grey, {"method": "none"}).save(tmp_path / "resnet")
    plan = make_plan(options(folder, masked_data, steps=4, fraction=0.5))
    assert len(plan.train) == 12
    record = run_segmentation(plan, tmp_path / "run", runner=QUIET)
    assert record.validation["step"] <= 4
    assert load_segmenter(tmp_path / "run").model.backbone.config == sizes


def test_medims_decoder_is_found_in_its_run(tmp_path: Path) -> None:
    from hilum.checkpoint import save_checkpoint, step_folder

    decoder = RestorationDecoder(48, (24, 16, 8, 8), 1)
    weights = {f"decoder.{name}": value for name, value in decoder.state_dict().items()}
    run = tmp_path / "medim"
    (run / "checkpoints").mkdir(parents=True)
    make_encoder().save(run / "encoder")
    assert pretrained_decoder(run) is None
    save_checkpoint(step_folder(run, 7), weights, {"kind": "method", "method": "medim"}, "card")
    found = pretrained_decoder(run)
    assert found is not None
    assert decoder_sizes(found) == (24, 16, 8, 8)
    assert all(torch.equal(found[name], value) for name, value in decoder.state_dict().items())


def test_medims_decoder_goes_into_the_plan(tmp_path: Path, masked_data: Path) -> None:
    from hilum.checkpoint import save_checkpoint, step_folder

    run = tmp_path / "medim"
    (run / "checkpoints").mkdir(parents=True)
    make_encoder().save(run / "encoder")
    weights = {f"decoder.{name}": v for name, v in RestorationDecoder(48, (24, 16, 8, 8), 1).state_dict().items()}
    save_checkpoint(step_folder(run, 7), weights, {"kind": "method", "method": "medim"}, "card")
    plan = make_plan(options(run, masked_data, head="medim"))
    assert plan.options.decoder == (24, 16, 8, 8)
    assert plan.to_json()["decoder_pretrained"] is True
    fresh = make_plan(options(run, masked_data, head="medim", decoder_start="fresh"))
    assert fresh.decoder is None
    assert fresh.options.decoder == (48, 24, 12, 8)


def test_what_is_no_segmenter_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a encoder checkpoint, not a segmenter"):
        load_segmenter(tiny_encoder)
    with pytest.raises(CheckpointError, match="no such folder"):
        load_segmenter(tmp_path / "nowhere")
    assert load(tiny_encoder).width == 48


def test_a_split_without_masks_is_refused(masked_data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).symlink_to(masked_data / name)
    table = pd.read_csv(masked_data / "manifest.csv")
    kept = (table["split"] != "val") | (table["label.Mass"] == 0)
    table[kept].to_csv(tmp_path / "manifest.csv", index=False)
    with pytest.raises(ManifestError, match="the val split has no mask of Mass"):
        make_plan(options(tiny_encoder, tmp_path))


def test_masks_of_another_size_teach_the_same(masked_data: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.mkdir()
    for path in (masked_data / "masks").iterdir():
        mask = np.array(Image.open(path)).repeat(2, axis=0).repeat(2, axis=1)
        Image.fromarray(mask).save(large / path.name)
    runs = []
    for name, masks in (("one", None), ("two", str(large))):
        plan = make_plan(options(tiny_encoder, masked_data, steps=2, masks=masks))
        run_segmentation(plan, tmp_path / name, runner=QUIET)
        runs.append(load_file(tmp_path / name / "model" / "model.safetensors"))
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])
