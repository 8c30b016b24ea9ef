"""Convolutional encoders against the packages they come from: files of torchxrayvision, torchvision and timm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import hilum
from tests.models.tiny_convolutions import films, stirred

pytestmark = pytest.mark.timm
Features = Callable[[Any, Tensor], Tensor]


def calm(network: Any) -> Any:
    """Drawn vectors and statistics, of a spread that a hundred layers bear."""
    stirred(network)
    with torch.no_grad():
        for name, value in network.named_buffers():
            if name.endswith("running_var"):
                value.add_(4.0)
    return network


def same_features(
    content: Any, network: Any, features: Features, folder: Path, name: str, *, channels: int, size: int
) -> Any:
    """Save what a release would hold, load it, and compare the film's vector."""
    path = folder / name
    torch.save(content, path)
    encoder = hilum.load(path)
    images = films(2, size, channels)
    with torch.no_grad():
        expected = features(network, images)
        torch.testing.assert_close(encoder.embed(images), expected, rtol=1e-4, atol=1e-4)
    assert expected.abs().max() > 0.01
    return encoder


def trunk(network: Any, images: Tensor) -> Tensor:
    """All but the classifier of torchvision's ResNets."""
    return torch.nn.Sequential(*list(network.children())[:-1])(images).flatten(1)


def headless(network: Any, images: Tensor) -> Tensor:
    """The vector that timm's classifier reads."""
    vector: Tensor = network.forward_head(network.forward_features(images), pre_logits=True)
    return vector


@pytest.mark.parametrize("kind", ["module", "state dict", "old names"])
def test_torchxrayvisions_densenet(kind: str, tmp_path: Path) -> None:
    import re

    from torchxrayvision.models import DenseNet

    network = calm(DenseNet(weights=None, num_classes=18))
    content: Any = network if kind == "module" else network.state_dict()
    if kind == "old names":
        content = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", k): v for k, v in content.items()}
    encoder = same_features(
        content, network, lambda model, x: model.features2(x), tmp_path, "nih-densenet121-d121.pt", channels=1, size=96
    )
    assert encoder.origin["layout"] == "torchxrayvision"
    assert "weights: densenet121-res224-nih, by the file's name; no tensor tells" in encoder.origin["notes"]
    assert (encoder.preprocessing.size, encoder.preprocessing.channels) == (224, 1)


def test_torchxrayvisions_resnets(tmp_path: Path) -> None:
    from torchvision.models import resnet50
    from torchxrayvision.autoencoders import ResNetAE

    network = resnet50(weights=None, num_classes=18)
    network.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    encoder = same_features(
        network.state_dict(), calm(network), trunk, tmp_path, "resnet50-res512-all.pt", channels=1, size=96
    )
    assert (encoder.origin["layout"], encoder.preprocessing.size) == ("torchxrayvision", 512)
    whole = calm(ResNetAE())
    encoder = same_features(
        whole.state_dict(), whole, lambda m, x: m.encode(x).mean((2, 3)), tmp_path, "ae.pt", channels=1, size=224
    )
    with torch.no_grad():
        code = whole.encode(films(2, 224))
        torch.testing.assert_close(encoder.model.forward_maps(films(2, 224))[1], code, rtol=1e-4, atol=1e-4)
    assert (encoder.origin["layout"], code.shape) == ("torchxrayvision", (2, 512, 3, 3))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121"])
def test_torchvisions_networks(name: str, tmp_path: Path) -> None:
    import torchvision

    network = calm(getattr(torchvision.models, name)(weights=None))
    read: Features = trunk
    if name.startswith("densenet"):
        read = lambda model, x: model.features(x).relu().mean((2, 3))  # noqa: E731
    same_features(network.state_dict(), network, read, tmp_path, "file.pth", channels=3, size=90)


@pytest.mark.parametrize(
    "name", ["resnet34", "resnet50", "densenet121", "convnext_tiny", "convnext_atto", "convnextv2_atto"]
)
def test_timms_networks(name: str, tmp_path: Path) -> None:
    import timm

    network = calm(timm.create_model(name))
    same_features(network.state_dict(), network, headless, tmp_path, "file.pth", channels=3, size=100)


@pytest.mark.parametrize("name", ["resnet26d", "resnet26t", "seresnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_timms_variants_are_refused(name: str, tmp_path: Path) -> None:
    import timm

    from hilum.errors import CheckpointError

    torch.save(timm.create_model(name).state_dict(), tmp_path / "file.pth")
    with pytest.raises(CheckpointError, match=r"is a ResNet with .*, which Hilum does not build"):
        hilum.load(tmp_path / "file.pth")
