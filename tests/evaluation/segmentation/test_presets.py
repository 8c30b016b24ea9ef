"""The papers' protocols, field by field as the fact sheets have them (section 8), and as the loop gets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hilum.encoder import load
from hilum.errors import ConfigError
from hilum.evaluation.segmentation.plan import SELECT, Options, make_plan
from hilum.evaluation.segmentation.presets import BY_FRACTION, PRESETS
from hilum.evaluation.tasks import task_named
from hilum.losses.segmentation import CONVENTIONS


def resolved(encoder: Path, preset: str, **values: Any) -> Options:
    given = {"encoder": str(encoder), "data": "DATA", "labels": ("Pneumothorax",), **values}
    options: Options = task_named("segment").make_options(preset, given)
    loaded = load(encoder)
    return options.resolved(loaded.model.config, loaded.preprocessing)


def test_mrm(tiny_encoder: Path) -> None:
    options = resolved(tiny_encoder, "mrm-siim")
    head, loop = options.head_config(), options.training(7969, workers=0, device="cpu")
    assert (head.form, head.width, head.auxiliary_width, head.dropout, head.maps) == ("upernet", 768, 256, 0.1, 2)
    rule = CONVENTIONS[options.settings().loss]
    assert (rule.focal, rule.gamma, rule.alpha, rule.dice, rule.smooth, rule.classes) == (2.0, 2.0, 0.5, 1.0, 1.0, 2)
    assert rule.squared
    assert rule.over == "film"
    views = options.settings().views
    assert (views.size, views.resize, views.flip) == (512, "pad", 0.5)
    assert (views.crop, views.rotate, views.contrast, views.brightness) == (1.0, 0.0, 0.0, 0.0)
    assert (loop.optimizer, loop.peak_lr, loop.betas, loop.weight_decay) == ("adamw", 2e-5, (0.9, 0.999), 0.05)
    assert (loop.layer_decay, loop.decay, loop.min_lr, loop.precision) == (0.65, "poly", 0.0, "fp16")
    assert (loop.max_steps, loop.batch_size, loop.save_every) == (160_000, 8, 500)
    assert loop.warmup * 160_000 == pytest.approx(1500)
    assert (options.drop_path, options.layer_scale) == (0.1, 1.0)
    assert (SELECT[options.select], options.threshold) == ("val/dice_all", "given")


def test_label_shares_have_their_own_steps_and_rates(tiny_encoder: Path) -> None:
    tenth = resolved(tiny_encoder, "mrm-siim", fraction=0.1)
    assert (tenth.steps, tenth.warmup_steps, tenth.evaluate_every, tenth.lr) == (5000, 100, 50, 2e-5)
    maco = {share: resolved(tiny_encoder, "maco-siim", fraction=share) for share in (1.0, 0.1, 0.01)}
    assert {share: (o.lr, o.steps, o.warmup_steps) for share, o in maco.items()} == {
        1.0: (1.5e-5, 160_000, 1500),
        0.1: (2e-5, 5000, 100),
        0.01: (5e-6, 1000, 100),
    }
    mine = resolved(tiny_encoder, "maco-siim", fraction=0.1, steps=77)
    assert (mine.steps, mine.lr) == (77, 2e-5)  # what is given comes first
    assert {name: PRESETS[name] for name in BY_FRACTION}
    differs = {key for key in PRESETS["mrm-siim"] if PRESETS["mrm-siim"][key] != PRESETS["maco-siim"][key]}
    assert differs == {"lr"}


def test_medim(tiny_encoder: Path) -> None:
    options = resolved(tiny_encoder, "medim-siim")
    head, loop = options.head_config(), options.training(3738, workers=0, device="cpu")
    assert (head.form, head.decoder, head.maps) == ("medim", (512, 256, 128, 64), 1)
    rule = CONVENTIONS[options.settings().loss]
    assert (rule.focal, rule.gamma, rule.alpha, rule.smooth, rule.over, rule.log) == (
        10.0,
        2.0,
        None,
        1.0,
        "batch",
        True,
    )
    assert (options.size, options.balance, options.seed) == (224, True, 123)
    assert (loop.peak_lr, loop.weight_decay, loop.batch_size, loop.layer_decay) == (2e-5, 0.05, 32, 1.0)
    assert loop.max_steps == round(50 * 3738 / 32)
    assert (loop.decay, loop.warmup) == ("constant", 0.0)
    assert (SELECT[options.select], options.threshold) == ("val/loss", "given")


def test_defaults_follow_the_encoder(tiny_encoder: Path) -> None:
    loaded = load(tiny_encoder)
    plain = Options(str(tiny_encoder), "DATA", ("Mass",)).resolved(loaded.model.config, loaded.preprocessing)
    assert (plain.width, plain.auxiliary_width, plain.size, plain.resize) == (48, 48, 64, "squeeze")
    assert (plain.loss, plain.layer_decay, plain.decoder) == ("focal-dice", 0.75, (48, 24, 12, 8))
    other = Options(str(tiny_encoder), "DATA", ("Mass",), head="medim", weights="random")
    assert other.resolved(loaded.model.config, loaded.preprocessing).loss == "focal-log-dice"
    assert other.resolved(loaded.model.config, loaded.preprocessing).layer_decay == 1.0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_size": 1}, "batch_size.*2 or more"),
        ({"size": 70}, "images of 70 x 70 pixels do not divide into patches of 16"),
        ({"flip": 1.5}, "flip"),
        ({"crop": 0.0}, "keeps nothing"),
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"steps": 0}, "steps"),
        ({"width": -1}, "width"),
        ({"masks": "nowhere"}, "no such file or folder of masks"),
        ({"labels": ("Lung", "Heart")}, "no mask of Lung, Heart"),
        ({"fraction": 2.0}, "fraction"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_written(
    tiny_encoder: Path, masked_data: Path, wrong: dict[str, Any], said: str
) -> None:
    values = {"labels": ("Mass", "Effusion"), **wrong}
    with pytest.raises(ConfigError, match=said):
        make_plan(Options(str(tiny_encoder), str(masked_data), **values))
