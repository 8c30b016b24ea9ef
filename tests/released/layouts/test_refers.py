"""REFERS: every token by a plain forward pass, the file for fine-tuning, the parts that meet three views."""

from __future__ import annotations

from pathlib import Path

import torch

import hilum
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.refers import LAYOUT
from hilum.released.pixels import record
from tests.oracles.report_encoders import jeonsworld_vit
from tests.released.report_files import Maker, source_of
from tests.released.stand_ins import refers

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@torch.no_grad()
def test_every_token_of_the_training_file(tmp_path: Path) -> None:
    file = refers(Maker())
    torch.save({"model": file, "iteration": 7}, tmp_path / "checkpoint.pth")
    encoder = hilum.load(tmp_path / "checkpoint.pth", heads=4)
    assert encoder.origin["layout"] == "refers"
    assert encoder.preprocessing == record("refers", size=48)
    images = torch.randn(2, 3, 48, 48)
    tokens = jeonsworld_vit(file, "visual.vit.", images, heads=4)
    torch.testing.assert_close(encoder.model.forward_features(images), tokens, **CLOSE)
    torch.testing.assert_close(encoder.embed(images), tokens[:, 0], **CLOSE)


def test_the_file_for_fine_tuning_is_the_same_encoder() -> None:
    whole = refers(Maker())
    bare = {key.removeprefix("visual.vit."): value for key, value in whole.items() if key.startswith("visual.vit.")}
    bare |= Maker().linear("head", 16, 14)
    assert layout_of(source_of(bare)) == "refers"
    first, second = (LAYOUT.read(source_of(file), Asked()) for file in (whole, bare))
    assert first.image.keys() == second.image.keys()
    assert all(torch.equal(value, second.image[key]) for key, value in first.image.items())
    assert dict(second.dropped)["head.weight"] == "the classifier of a fine-tuned file"
    assert any("1 heads" in note for note in second.notes)


def test_why_views_and_reports_stay_behind() -> None:
    why = dict(LAYOUT.read(source_of(refers(Maker())), Asked()).dropped)
    assert "views of one study" in why["fusion.fc1.weight"]
    assert "three views" in why["contrastive_bert.bert.embeddings.LayerNorm.bias"]
    assert why["backward_textual.output.bias"] == why["textual.output.bias"]
