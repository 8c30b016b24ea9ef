"""The papers' protocols: values from their fact sheets, and what the loop makes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hilum.encoder import Encoder
from hilum.evaluation.adaptation import Options, make_plan
from hilum.evaluation.classifier import Record
from hilum.evaluation.classify_options import check_options
from hilum.evaluation.features import Runner
from hilum.evaluation.finetune import fine_tune_method
from hilum.evaluation.protocols import PROTOCOLS
from hilum.evaluation.run import run_adaptation
from hilum.evaluation.tasks import task_named
from hilum.films import FilmStore
from hilum.heads.chexfound_probe import PAPER_LRS, RELEASED_LRS
from hilum.manifest import Manifest
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.run_folder import RunFolder
from hilum.schema import Preprocessing
from hilum.trainer import TrainingFilms, fit, total_steps


def options(preset: str, **values: Any) -> Options:
    given = {"encoder": "encoder", "data": "data", "labels": ("Mass", "Effusion"), **values}
    made = task_named("classify").make_options(preset, given)
    assert isinstance(made, Options)
    return made.resolved()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_whole_and_goes_by_its_name(name: str) -> None:
    made = options(name)
    check_options(made)
    assert made.preset == name
    assert options(name, epochs=3, batch_size=7).batch_size == 7  # what is given beside it comes first


# RL4M/MRM-pytorch and SZUHvern/MaCo: warm-up steps, steps, rate
@pytest.mark.parametrize(
    ("name", "films", "warmup", "steps", "rate"),
    [
        ("mrm-finetune-nih-1", 785, 50, 3_000, 3e-2),
        ("mrm-finetune-nih-10", 7_847, 500, 30_000, 3e-3),
        ("mrm-finetune-nih-100", 78_468, 5_000, 200_000, 3e-3),
        ("mrm-finetune-rsna-1", 251, 50, 2_000, 3e-3),
        ("mrm-finetune-rsna-10", 2_518, 200, 10_000, 5e-4),
        ("mrm-finetune-rsna-100", 25_184, 2_000, 50_000, 5e-4),
        ("mrm-finetune-chexpert-1", 2_184, 150, 2_000, 3e-3),
        ("mrm-finetune-chexpert-10", 21_841, 1_500, 60_000, 5e-4),
        ("mrm-finetune-chexpert-100", 218_414, 15_000, 200_000, 5e-4),
        ("mrm-finetune-covid-100", 356, 50, 1_000, 3e-2),
        ("maco-finetune-nih-1", 785, 50, 2_000, 8.5e-3),
        ("maco-finetune-nih-10", 7_847, 500, 30_000, 3e-3),
        ("maco-finetune-nih-100", 78_468, 5_000, 200_000, 3e-3),
        ("maco-finetune-chexpert-1", 2_184, 50, 2_000, 8e-4),
        ("maco-finetune-chexpert-10", 21_841, 1_500, 60_000, 1e-4),
        ("maco-finetune-chexpert-100", 218_414, 15_000, 200_000, 1e-5),
        ("maco-finetune-rsna-1", 251, 50, 2_000, 6.5e-3),
        ("maco-finetune-rsna-10", 2_518, 200, 10_000, 6e-4),
        ("maco-finetune-rsna-100", 25_184, 2_000, 50_000, 5e-4),
    ],
)
def test_mrms_and_macos_budgets_reach_the_loop(name: str, films: int, warmup: int, steps: int, rate: float) -> None:
    made = options(name)
    loop = made.training(films, workers=0, device="cpu")
    assert total_steps(loop, films) == steps
    assert loop.warmup * steps == pytest.approx(warmup)
    assert (loop.peak_lr, loop.batch_size, loop.optimizer, loop.momentum, loop.clip_norm) == (rate, 96, "sgd", 0.9, 1.0)
    assert (loop.weight_decay, loop.layer_decay, loop.decay, loop.min_lr, loop.seed) == (0.0, 1.0, "cosine", 0.0, 42)
    epochs_between = 1 if name.startswith("mrm") else 10
    assert loop.save_every == round(epochs_between * films / 96)
    assert made.fraction == float(name.rsplit("-", 1)[1]) / 100


def test_medims_probe() -> None:
    made = options("medim-probe")
    assert (made.mode, made.pool, made.head, made.augment, made.select) == ("frozen", "cls", "linear", "medim", "loss")
    grid = made.grid_settings()
    assert (grid.lrs, grid.weight_decay, grid.decay, grid.epochs) == ((5e-4,), 1e-6, "constant", 50)
    assert (grid.batch_size, grid.smoothing, grid.seed) == (4096, 0.0, 123)
    covidx = options("medim-probe-covidx")
    assert (covidx.targets, covidx.batch_size, covidx.policy) == ("multiclass", 96, "ignore")


def test_chexfounds_heads() -> None:
    probe, glori = options("chexfound-probe"), options("chexfound-glori")
    assert probe.lrs == glori.lrs == RELEASED_LRS
    assert options("chexfound-probe-paper").lrs == options("chexfound-glori-paper").lrs == PAPER_LRS
    for made in (probe, glori):
        assert (made.epochs, made.batch_size, made.weight_decay, made.loss_sum) == (10, 256, 1e-4, True)
        assert (made.augment, made.second_round, made.select, made.decay) == ("chexfound", "warm", "auroc", "cosine")
    assert options("chexfound-glori-paper").second_round == "fresh"
    sizes = {name: options(f"chexfound-glori-{name}") for name in ("shenzhen", "montgomery", "jsrt")}
    assert [(made.epochs, made.batch_size) for made in sizes.values()] == [(100, 256), (100, 16), (100, 16)]


def test_cxrbases_fine_tuning() -> None:
    made = options("cxrbase-finetune")
    loop = made.training(1_600, workers=0, device="cpu")
    assert (made.head, made.pool, made.label_smoothing, made.drop_path, made.augment) == (
        *("mlp", "mean", 0.1, 0.2, "cxrbase"),
    )
    assert (loop.optimizer, loop.batch_size, loop.layer_decay, loop.weight_decay) == ("adamw", 16, 0.75, 0.05)
    assert total_steps(loop, 1_600) == 50 * 100
    assert loop.warmup * 50 == pytest.approx(5)
    assert loop.save_every == 100  # looked at once an epoch


@pytest.mark.parametrize(
    "name", ["mrm-finetune-nih-10", "maco-frozen", "cxrbase-finetune", "medim-probe", "chexfound-glori"]
)
def test_each_paper_trains_on_miniature_films(name: str, encoder_folder: Path, films: Path, tmp_path: Path) -> None:
    small: dict[str, Any] = {"steps": 3} if "steps" in PROTOCOLS[name] else {"epochs": 2}
    if name == "chexfound-glori":
        small |= {"head_set": {"dim": 16, "heads": 2, "feedforward": 16}, "lrs": (1e-4, 1e-3)}
    given = {"encoder": str(encoder_folder), "data": str(films), "fraction": 1.0, "batch_size": 24, **small}
    plan = make_plan(options(name, **given))
    before = {key: value.clone() for key, value in plan.encoder.model.state_dict().items()}
    record = run_adaptation(plan, tmp_path / "run", runner=Runner(device="cpu", batch_size=32, quiet=True))
    assert record.origin["preset"] == name
    assert 0 <= record.validation["auroc"] <= 1
    assert all(torch.equal(before[key], value) for key, value in plan.encoder.model.state_dict().items())


def test_a_frozen_encoder_stays_while_its_head_learns(encoder: Encoder) -> None:
    made = replace(options("maco-frozen"), labels=("Mass",))
    method = fine_tune_method(encoder, Record(("Mass",), mode="finetune", fc_norm=True), made.fine_tuning(), seed=0)
    names = {name for name, parameter in method.named_parameters() if parameter.requires_grad}
    assert names == {
        *(f"classifier.{part}.{kind}" for part in ("fc_norm", "head.classify") for kind in ("weight", "bias")),
    }
    assert method.train().classifier.head.training
    assert not method.train().classifier.backbone.training


@pytest.mark.parametrize("positions", [True, False])
def test_a_fixed_table_of_positions_learns_where_the_protocol_says(positions: bool) -> None:
    sizes = ViTConfig(image_size=32, patch_size=16, channels=1, width=16, depth=1, heads=2, position="sincos")
    small = Encoder(VisionTransformer(sizes), Preprocessing(size=32, channels=1, mean=(0.5,), std=(0.25,)))
    made = replace(options("mrm-finetune"), train_positions=positions)
    method = fine_tune_method(small, Record(("Mass",), mode="finetune", fc_norm=True), made.fine_tuning(), seed=0)
    table = method.classifier.backbone.pos_embed
    assert isinstance(table, torch.nn.Parameter)
    assert table.requires_grad == positions
    assert torch.equal(table, small.model.pos_embed)  # type: ignore[arg-type]


@pytest.mark.slow
def test_mrms_fine_tuning_takes_a_step_at_full_size(tmp_path: Path) -> None:
    """ViT-B/16, 224 pixels, 14 findings; a batch of 8 films in place of 96, in micro-batches of 4."""
    rng, findings = np.random.default_rng(0), tuple(f"Finding{number}" for number in range(14))
    (tmp_path / "images").mkdir()
    rows = []
    for number in range(8):
        film = rng.integers(0, 256, (240, 256), dtype=np.uint8)
        Image.fromarray(film).save(tmp_path / "images" / f"{number}.png")
        labels = {f"label.{name}": float(rng.random() < 0.3) for name in findings}
        rows.append({"image": f"images/{number}.png", "patient_id": f"p{number}", "split": "train", **labels})
    manifest = Manifest.from_table(pd.DataFrame(rows), tmp_path)
    torch.manual_seed(0)
    sizes = ViTConfig(position="sincos")
    encoder = Encoder(VisionTransformer(sizes), Preprocessing(mean=(0.4978,) * 3, std=(0.2449,) * 3))
    made = options("mrm-finetune-nih-1", labels=findings, steps=2, warmup=0.5)
    targets = manifest.labels(findings).astype(np.float32)
    method = fine_tune_method(
        encoder, Record(findings, mode="finetune", fc_norm=True), made.fine_tuning(targets), seed=made.seed
    )
    assert sum(parameter.numel() for parameter in method.parameters()) == 85_798_656 + 14 * 769
    before = {name: value.clone() for name, value in method.named_parameters()}
    loop = replace(made.training(8, workers=0, device="cpu"), micro_batch=4)
    run = RunFolder(tmp_path / "run")
    run.start({"verb": "adapt"})
    films = TrainingFilms(FilmStore(manifest), list(manifest.table["image_id"]), targets)
    at = fit(method, films, loop, run, describe={"kind": "method"})
    assert at.step == 2
    moved = {name for name, value in method.named_parameters() if not torch.equal(before[name], value)}
    assert {"classifier.backbone.pos_embed", "classifier.head.classify.weight", "classifier.fc_norm.bias"} <= moved
    step = pd.read_json(tmp_path / "run" / "metrics.jsonl", lines=True).iloc[-1]
    assert step["lr"] == pytest.approx(3e-2)  # the peak, after half of the run
    assert 0.5 < step["loss"] < 0.9  # about ln 2 at the start
