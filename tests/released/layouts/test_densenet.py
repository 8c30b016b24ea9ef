"""Plain DenseNets: today's names and those of old, a supervised file's size, what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.densenet import DenseNet, DenseNetConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.densenet import LAYOUT
from hilum.released.source import Source
from tests.models.tiny_convolutions import films, stirred


def network(channels: int = 3) -> DenseNet:
    torch.manual_seed(0)
    sizes = DenseNetConfig(channels=channels, stem=8, growth=4, blocks=(2, 1, 2, 1))
    model: DenseNet = stirred(DenseNet(sizes))
    return model


def as_torchvision(model: DenseNet, outputs: int = 14) -> dict[str, Tensor]:
    """Names, counters and classifier of a file."""
    weights = dict(model.state_dict())
    counters = {key.replace("running_var", "num_batches_tracked"): torch.tensor(7) for key in weights if "_var" in key}
    head = {"classifier.weight": torch.zeros(outputs, model.config.width), "classifier.bias": torch.zeros(outputs)}
    return {**weights, **counters, **head}


def of_old(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of torchvision before 0.4."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in weights.items()}


def load(folder: Path, weights: dict[str, Tensor]) -> hilum.Encoder:
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "file.safetensors")
    return hilum.load(folder / "file.safetensors")


@pytest.mark.parametrize("kind", ["today", "old", "wrapped"])
def test_every_set_of_names_gives_the_same_features(kind: str, tmp_path: Path) -> None:
    weights = as_torchvision(network())
    if kind == "old":
        weights = of_old(weights)
        assert "features.denseblock1.denselayer1.norm.1.weight" in weights
    if kind == "wrapped":  # as the re-implementations of CheXNet
        weights = {f"module.densenet121.{key}": value for key, value in of_old(weights).items()}
    encoder = load(tmp_path, weights)
    assert encoder.model.config == network().config
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(films(2, 70, 3)), network()(films(2, 70, 3))[:, 0], rtol=0, atol=0)
    assert encoder.origin["layout"] == "densenet"
    assert any("the classifier or projection" in note for note in encoder.origin["notes"])


def test_the_real_size() -> None:
    with torch.device("meta"):
        model = DenseNet(DenseNetConfig(channels=3))
        tensors = as_torchvision(model, 1000)
    source = Source(Path("densenet121.pth"), tensors)
    assert layout_of(source) == "densenet"
    found = LAYOUT.read(source, Asked())
    assert found.architecture == DenseNetConfig(channels=3)
    assert {k: v.shape for k, v in found.image.items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert len(found.image) + len(found.dropped) == len(tensors)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    def changed(**changes: Tensor | None) -> dict[str, Tensor]:
        weights: dict[str, Any] = {**as_torchvision(network()), **{k.replace("__", "."): v for k, v in changes.items()}}
        return {key: value for key, value in weights.items() if value is not None}

    last = "features.denseblock3.denselayer2"
    for tensors, message in (
        (changed(features__conv0__weight=None), "has a DenseNet without features.conv0"),
        (changed(features__norm5__bias=None), "features.norm5.bias is missing"),
        (
            changed(features__denseblock1__denselayer1__conv2__weight=torch.zeros(4, 9, 3, 3)),
            "9 features inside a layer",
        ),
        ({k: v for k, v in changed().items() if "denseblock4" not in k}, r"\[2, 1, 2, 0\] layers a block"),
        ({k.replace(f"{last}.norm1.bias", f"{last}.norm1.b"): v for k, v in changed().items()}, f"{last}.norm1.b"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path, tensors)


def test_timms_variants_are_refused_by_name(tmp_path: Path) -> None:
    save_file(as_torchvision(network()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "densenetblur121d"}))
    with pytest.raises(CheckpointError, match="is timm's densenetblur121d, which Hilum does not build"):
        hilum.load(tmp_path)
