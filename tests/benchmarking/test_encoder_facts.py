"""Facts of encoders: ours from their record and run, others from the table; what is told comes first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.benchmarking.encoder_facts import EncoderSpec, encoder_facts
from tests.benchmarking.conftest import make_encoder

ORIGIN = {
    "method": "mae", "films": 200, "patients": 100, "sources": "NIH, our hospital", "steps": 50, "batch_size": 8,
    "init": None, "hours_of_last_session": 0.5,
}  # fmt: skip


def run_around(folder: Path, speed: float, *, torch: str, devices: int = 1) -> Path:
    """What a pretraining run leaves beside its encoder."""
    (folder / "encoder").mkdir(parents=True)
    settings = {"devices": devices, "nodes": 1, "accelerator": "auto", "seed": 0}
    config = {"verb": "pretrain", "data": "films", "manifest_sha256": "x", "views": [], "where": [], "data_fraction": 1}
    (folder / "config.json").write_text(json.dumps({**config, "settings": settings}))
    (folder / "env.json").write_text(json.dumps({"packages": {"torch": torch}}))
    (folder / "metrics.jsonl").write_text(
        "".join(f'{{"step": {k}, "images_per_second": {speed}}}\n' for k in range(50))
    )
    return folder


def test_an_encoder_of_ours_says_what_it_saw_and_its_run_how_long(tmp_path: Path) -> None:
    run = run_around(tmp_path / "mae", 8 / 36, torch="2.13.0+cpu")  # 36 s a step, 50 steps
    facts = encoder_facts(EncoderSpec("mae", str(run)), make_encoder(0, ORIGIN))
    assert (facts.known, facts.images, facts.images_seen, facts.epochs) == ("own", 200, 400, 2.0)
    assert facts.pretrained_on == ("nih-chestxray14", "our hospital")
    assert facts.hours == "0.5 hours of a CPU"
    assert facts.films is not None
    assert facts.films["data"] == "films"
    assert facts.network == "ViT 2 × 24, patch 8"
    on_gpus = run_around(tmp_path / "two", 8 / 36, torch="2.13.0+cu130", devices=2)
    assert encoder_facts(EncoderSpec("a", str(on_gpus / "encoder")), make_encoder(0, ORIGIN)).hours == "1 device-hours"


def test_without_its_run_only_the_last_session_is_known(tmp_path: Path) -> None:
    facts = encoder_facts(EncoderSpec("mae", str(tmp_path)), make_encoder(0, ORIGIN))
    assert (facts.hours, facts.films) == ("0.5 hours (its last session)", None)


@pytest.mark.parametrize(
    ("init", "start", "begun"),
    [
        (None, None, ()),
        ("w/mae_pretrain_vit_base.pth", "MAE, ImageNet", ("imagenet-1k",)),
        ("w/mine.pth", "mine.pth", None),
    ],
)
def test_what_it_started_from(init: str | None, start: str | None, begun: tuple[str, ...] | None) -> None:
    facts = encoder_facts(EncoderSpec("mae", "nowhere"), make_encoder(0, {**ORIGIN, "init": init}))
    assert (facts.starts_from, facts.begun_on) == (start, begun)
    assert set(begun or ()) <= set(facts.pretrained_on)


def test_others_are_found_by_layout_by_name_and_by_file() -> None:
    by_layout = encoder_facts(EncoderSpec("x", "y.pth"), make_encoder(0, {"layout": "mrm"}))
    by_name = encoder_facts(EncoderSpec("rad-dino", "y.pth"), make_encoder(0, {"layout": "dinov2"}))
    by_file = encoder_facts(EncoderSpec("x", "weights/EVA-X.pth"), make_encoder(0))
    assert [facts.method for facts in (by_layout, by_name, by_file)] == ["MRM", "RAD-DINO", "EVA-X"]
    assert by_layout.supervision == "reports"
    assert by_layout.starts_from == "MAE, ImageNet"
    nobody = encoder_facts(EncoderSpec("x", "y.pth"), make_encoder(0, {"layout": "MAE"}))
    assert (nobody.known, nobody.images, nobody.hours) == ("nothing", None, None)


def test_what_the_user_tells_comes_first() -> None:
    told = {"pretrained_on": ["mimic-cxr"], "epochs": 7, "hours": "3 GPU-hours"}
    facts = encoder_facts(EncoderSpec("mae", "y"), make_encoder(0, ORIGIN), told)
    assert (facts.known, facts.pretrained_on, facts.epochs, facts.hours) == ("told", ("mimic-cxr",), 7, "3 GPU-hours")
    named = encoder_facts(EncoderSpec("mine", "y"), make_encoder(0), {"public": "mrm"})
    assert named.method == "MRM"


def test_random_weights_have_seen_nothing() -> None:
    facts = encoder_facts(EncoderSpec("mrm", "y", "random"), make_encoder(0, ORIGIN))
    assert (facts.known, facts.images_seen, facts.pretrained_on) == ("random", 0, ())
    assert "films" not in facts.to_json()
