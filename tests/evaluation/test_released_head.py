"""A released GLoRI file on an encoder is a classifier like any other: written, read, judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hilum.cli import main
from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.classifier import load_classifier
from hilum.evaluation.released_head import released_classifier
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing

GREY = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))
NAMES = ("Mass", "Effusion", "Edema", "Hernia", "Nodule")


def encoder_of(width: int) -> Encoder:
    torch.manual_seed(0)
    sizes = ViTConfig(image_size=64, patch_size=16, channels=1, width=width, depth=4, heads=2)
    return Encoder(VisionTransformer(sizes), GREY)


@pytest.fixture
def file(shared: Path, tmp_path: Path) -> Path:
    golden = np.load(shared / "golden/chexfound/glori.npz")
    keys = [key for key in golden.files if key.startswith("ckpt/model/")]
    save_file(
        {key.removeprefix("ckpt/model/"): torch.from_numpy(golden[key]) for key in keys}, tmp_path / "g.safetensors"
    )
    return tmp_path / "g.safetensors"


def test_it_is_judged_like_a_head_of_ours(file: Path, films: Path, tmp_path: Path) -> None:
    encoder = encoder_of(32)
    trained = released_classifier(encoder, file, findings=NAMES)
    images = torch.randn(2, 1, 64, 64)
    taps = encoder.taps(images, 4)
    with torch.no_grad():
        expected = trained.model.head(taps)
        assert expected.std() > 0
        torch.testing.assert_close(trained.model(images), expected)
    trained.save(tmp_path / "run" / "model")
    assert "released without one" in (tmp_path / "run" / "model" / "README.md").read_text()
    loaded = load_classifier(tmp_path / "run")
    assert loaded.record == trained.record
    out = tmp_path / "results"
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(films), "--out", str(out), "--draws", "20"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert set(results["findings"]) >= {"Mass", "Effusion"}


def test_another_encoder_or_other_names_are_refused(file: Path) -> None:
    with pytest.raises(CheckpointError, match="reads 128 channels of 4 blocks, and the encoder is 16 wide"):
        released_classifier(encoder_of(16), file, findings=NAMES)
    with pytest.raises(ConfigError, match="40 names for 5 outputs"):
        released_classifier(encoder_of(32), file)
