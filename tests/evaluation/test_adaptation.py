"""Plans: the defaults of each mode, and every fault that is found before anything is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.encoder import load
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.adaptation import Options, make_plan
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.features import Runner
from hilum.heads.glori import GLoRIHead
from hilum.manifest import Manifest


@pytest.fixture
def options(encoder_folder: Path, films: Path) -> Options:
    return Options(encoder=str(encoder_folder), data=str(films), labels=("Mass", "Effusion"))


def test_defaults_follow_the_mode(options: Options) -> None:
    frozen = options.resolved()
    assert (frozen.batch_size, frozen.weight_decay, frozen.label_smoothing) == (256, 0.01, 0.0)
    assert len(frozen.lrs) > 1
    tuned = replace(options, mode="finetune").resolved()
    assert (tuned.batch_size, tuned.weight_decay, tuned.label_smoothing) == (16, 0.05, 0.1)
    assert tuned.layer_decay == 0.75
    assert tuned.lrs == (5e-3 * 16 / 256,)
    assert replace(options, mode="finetune", weights="random").resolved().layer_decay == 1.0
    given = replace(options, mode="finetune", lrs=(0.1,), label_smoothing=0.0, layer_decay=0.9, batch_size=8)
    assert given.resolved() == replace(given, weight_decay=0.05, warmup=0.1, augment="weak", fraction_seed=0)


def test_a_plan_holds_what_will_run(options: Options) -> None:
    plan = make_plan(replace(options, fraction=0.25, views=("PA",), policy="zeros,Mass=ones"))
    assert plan.record.findings == ("Mass", "Effusion")
    assert plan.record.policy == {"default": "zeros", "rules": {"Mass": "ones"}}
    assert plan.record.origin["train_patients"] == 9  # a quarter of 36
    assert set(plan.train.manifest.table["view_position"]) == {"PA"}
    assert len(plan.val) == 12  # a fraction takes nothing from validation
    assert plan.to_json()["positives_negatives"]["train"]["Mass"] == plan.train.counts()["Mass"]


def test_runs_of_other_seeds_may_learn_from_the_same_films(options: Options) -> None:
    tenth = replace(options, fraction=0.25)
    patients = [
        set(make_plan(chosen).train.manifest.table["patient_id"])
        for chosen in (tenth, replace(tenth, seed=1), replace(tenth, seed=1, fraction_seed=0))
    ]
    assert patients[0] != patients[1]
    assert patients[0] == patients[2]


def test_forty_findings_of_a_long_tail_are_planned_and_counted(options: Options, films: Path, tmp_path: Path) -> None:
    table, rng = Manifest.read(films).table.copy(), np.random.default_rng(0)
    names = tuple(f"Finding{number:02d}" for number in range(40))
    for number, name in enumerate(names):
        column = np.zeros(len(table))
        column[rng.permutation(len(table))[: 60 - number]] = 1.0  # from half of the films to a sixth
        table[f"label.{name}"] = np.where(rng.random(len(table)) < 0.05, np.nan, column)
    (tmp_path / "images").symlink_to(films / "images")
    Manifest.from_table(table, tmp_path).write(tmp_path)
    tail = replace(options, data=str(tmp_path), labels=names, loss="asymmetric", head="mlp")
    plan = make_plan(tail)
    assert len(plan.record.counts) == 40
    train = plan.train.manifest.table
    assert plan.record.counts["Finding39"][0] == int((train["label.Finding39"] == 1).sum())
    with pytest.raises(ManifestError, match="lacks one of the two classes of"):
        make_plan(replace(tail, fraction=0.03))


def test_random_weights_are_another_network_of_the_same_shape(options: Options) -> None:
    one, two = (make_plan(replace(options, weights=weights, seed=1)) for weights in ("pretrained", "random"))
    assert one.encoder.model.config == two.encoder.model.config
    assert not torch.equal(one.encoder.model.patch_embed.proj.weight, two.encoder.model.patch_embed.proj.weight)
    assert two.record.origin["encoder"] == "random weights"


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"labels": ("Mas",)}, ConfigError, r"unknown finding 'Mas'\. Did you mean 'Mass'\? Known: Effusion, Mass"),
        ({"labels": ()}, ConfigError, "no finding named"),
        ({"head": "glory"}, ConfigError, "unknown head 'glory'.*Known: chexfound-probe, glori, linear, mlp"),
        ({"fraction": 2.0}, ConfigError, r"fraction must be in \(0, 1\]"),
        ({"policy": "maybe"}, ConfigError, "unknown rule for uncertain labels 'maybe'"),
        ({"policy": "Edema=ones"}, ConfigError, "policy: unknown finding 'Edema'"),
        ({"views": ("P",)}, ConfigError, "unknown view position 'P'"),
        ({"mode": "finetune", "lrs": (0.1, 0.2)}, ConfigError, "fine-tuning takes one peak learning rate, not 2"),
        ({"lrs": (-1.0,)}, ConfigError, "learning rates must be positive"),
        ({"mode": "finetune", "lrs": (-1.0,)}, ConfigError, "learning rates must be positive"),
        ({"epochs": 0}, ConfigError, "epochs and batch size must be at least 1"),
        ({"label_smoothing": 1.0}, ConfigError, "label smoothing must be in"),
        ({"layer_decay": 1.5}, ConfigError, r"layer_decay: must be in \(0, 1\], not 1.5"),
        ({"drop_path": 1.0}, ConfigError, r"drop_path: must be in \[0, 1\)"),
        ({"targets": "multiclass", "labels": ("Mass",)}, ConfigError, "multi-class needs at least two classes"),
        ({"targets": "multiclass"}, ManifestError, "films do not have exactly one of Mass, Effusion"),
        ({"encoder": "nowhere"}, CheckpointError, "nowhere: no such file or folder"),
        ({"data": "nowhere"}, ManifestError, "nowhere: no such file or folder"),
    ],
)
def test_faults_are_found_before_anything_is_written(
    options: Options, change: dict[str, object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make_plan(replace(options, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("split", "values", "text"),
    [
        ("train", 0.0, r"train split lacks one of the two classes of Mass \(0 positive, 72 negative\)"),
        ("train", None, "no training patient has a known label for Mass"),
        ("val", 1.0, r"val split \(24 films\) has both classes of no finding"),
        ("val", None, "val split has 24 films and none with a known label for Mass"),
    ],
)
def test_splits_that_cannot_teach_or_choose(
    options: Options, films: Path, tmp_path: Path, split: str, values: float | None, text: str
) -> None:
    table = Manifest.read(films).table.copy()
    table.loc[table["split"] == split, "label.Mass"] = values
    (tmp_path / "images").symlink_to(films / "images")
    Manifest.from_table(table, tmp_path).write(tmp_path)
    with pytest.raises(ManifestError, match=text):
        make_plan(replace(options, data=str(tmp_path), labels=("Mass",)))


def test_missing_films_are_named(options: Options, films: Path, tmp_path: Path) -> None:
    Manifest.read(films).write(tmp_path)
    with pytest.raises(ManifestError, match="image files are missing; the first is"):
        make_plan(replace(options, data=str(tmp_path)))


def test_heads_on_taps_have_defaults_of_their_own(options: Options) -> None:
    glori = replace(options, head="glori").resolved()
    assert (glori.lrs, glori.weight_decay) == (GLoRIHead.LRS, 1e-4)
    assert len(replace(options, head="glori", grid="chexfound-paper").resolved().lrs) == 9
    assert len(replace(options, head="linear", grid="chexfound-released").resolved().lrs) == 13
    assert replace(options, grid="chexfound-paper", lrs=(0.1,)).resolved().lrs == (0.1,)
    record = make_plan(replace(options, head="glori", head_variant="paper", second_round="warm")).record
    assert (record.head_variant, record.second_round, record.head_config["class_token"]) == ("paper", "warm", "token")
    assert record.head_config["blocks"] == 2  # the encoder has no more
    assert record.reading == "class and patch tokens of the last 2 blocks"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"mode": "finetune", "head": "glori"},
            "fine-tuning takes a head on pooled features, and glori reads the tokens",
        ),
        ({"mode": "finetune", "second_round": "fresh"}, "second_round is for --mode frozen"),
        ({"head": "glori", "blocks": 3}, "asked for the last 3 blocks of an encoder that gives 2"),
        ({"blocks": 1}, "the linear head reads one pooled vector"),
        ({"head": "glori", "head_variant": "ours"}, "unknown variant of glori 'ours'"),
        ({"token_memory": -1.0}, "must be 0 GiB or more"),
    ],
)
def test_faults_of_heads_on_taps(options: Options, change: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make_plan(replace(options, **change))  # type: ignore[arg-type]


def test_features_of_another_encoder_or_without_what_is_read_are_refused(options: Options, tmp_path: Path) -> None:
    encoder = load(options.encoder)
    run_embedding(
        plan_embedding(encoder, options.data, tmp_path / "store", kinds=("cls",), blocks=1),
        Runner(device="cpu", quiet=True),
    )
    stored = replace(options, features=str(tmp_path / "store"))
    assert make_plan(replace(stored, head="chexfound-probe", blocks=1)).store is not None
    with pytest.raises(CheckpointError, match="features of another encoder"):
        make_plan(replace(stored, weights="random", seed=1))
    with pytest.raises(ConfigError, match="asked for the last 2 blocks and holds 1"):
        make_plan(replace(stored, head="chexfound-probe", blocks=2))
    with pytest.raises(ConfigError, match="no patch tokens"):
        make_plan(replace(stored, head="glori", blocks=1))
    with pytest.raises(ConfigError, match="no mean tokens"):
        make_plan(stored)
