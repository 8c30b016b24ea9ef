"""An encoder that works, one that is broken, and a text tower that waits for its tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hilum.checkup.encoders import encoder_files
from hilum.cli import main
from hilum.encoder import Encoder
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing
from hilum.transforms.text import WordPiece


def test_a_sound_encoder_and_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = VisionTransformer(ViTConfig(image_size=32, width=16, depth=1, heads=2))
    folder = Encoder(model, Preprocessing(size=32), {"method": "mae"}).save(tmp_path / "encoder")
    found = {check.name: check for check in encoder_files(str(folder), None)}
    assert {check.status for check in found.values()} == {"ok"}
    assert found["encoder features"].detail == "a film gives 16 features"
    (folder / "model.safetensors").write_bytes(b"rubbish")
    assert main(["doctor", "--encoder", str(folder)]) == 1
    assert "FAULT    encoder " in capsys.readouterr().out


def test_a_text_tower_waits_for_its_tokenizer(shared: Path) -> None:
    found = {check.name: check for check in encoder_files(str(shared / "golden/checkpoints/maco.pth"), None)}
    assert found["encoder"].detail == "maco, read whole"
    assert found["encoder text"].status == "warning"


def test_a_tokenizer_alone(tmp_path: Path) -> None:
    WordPiece.train(["A small effusion.", "No mass."], vocab_size=60).save(tmp_path / "tokenizer.json")
    (good,) = encoder_files(None, tmp_path / "tokenizer.json")
    assert good.status == "ok"
    (tmp_path / "tokenizer.json").write_text("<html>")
    (bad,) = encoder_files(None, tmp_path / "tokenizer.json")
    assert bad.status == "FAULT"


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    model = VisionTransformer(ViTConfig(image_size=32, width=16, depth=1, heads=2))
    with torch.no_grad():
        model.blocks[0].mlp.fc1.bias += 1e38  # finite in the file, not behind it
        model.blocks[0].mlp.fc2.weight += 1e38
    folder = Encoder(model, Preprocessing(size=32)).save(tmp_path / "encoder")
    statuses = {check.name: check.status for check in encoder_files(str(folder), None)}
    assert statuses["encoder features"] == "FAULT"
