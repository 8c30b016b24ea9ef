"""torchxrayvision by its shapes: DenseNet-121, ResNet-50 at 512, the autoencoder; what a file's name tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.models.backbone import build_backbone
from hilum.models.densenet import DenseNet, DenseNetConfig
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.torchxrayvision_layout import LAYOUT, SETS
from hilum.released.source import Source
from tests.released.layouts.test_densenet import as_torchvision, of_old
from tests.released.layouts.test_resnet import as_torchvision as resnet_as_torchvision

AUTOENCODER = ResNetConfig(channels=1, blocks=(3, 4, 23, 2), block="rectified", last_planes=128, last_stride=6)


def densenet(outputs: int = 18) -> dict[str, Tensor]:
    with torch.device("meta"):
        model = DenseNet(DenseNetConfig())
        return {**as_torchvision(model, outputs), "op_threshs": torch.zeros(18)}


def resnet(outputs: int = 18) -> dict[str, Tensor]:
    with torch.device("meta"):
        weights = resnet_as_torchvision(ResNet(ResNetConfig(channels=1)))
        return {**weights, "fc.weight": torch.zeros(outputs, 2048), "fc.bias": torch.zeros(outputs)}


def autoencoder() -> dict[str, Tensor]:
    with torch.device("meta"):
        weights = resnet_as_torchvision(ResNet(AUTOENCODER))
        decoder = (
            "uplayer1.0.conv1.weight",
            "uplayer_top.conv1.weight",
            "uplayer4.2.bn1.running_var",
            "conv1_1.weight",
        )
        whole = {**weights, **{key: torch.zeros(1) for key in decoder}}
    return {key: value for key, value in whole.items() if not key.startswith("fc.")}


@pytest.mark.parametrize(
    ("tensors", "architecture", "size"),
    [
        (densenet(), DenseNetConfig(), 224),
        (of_old(densenet()), DenseNetConfig(), 224),
        ({f"model.{key}": value for key, value in densenet().items()}, DenseNetConfig(), 224),
        (resnet(), ResNetConfig(image_size=512, channels=1), 512),
        ({f"model.{key}": value for key, value in resnet().items()}, ResNetConfig(image_size=512, channels=1), 512),
        (autoencoder(), AUTOENCODER, 224),
    ],
)
def test_the_real_sizes(tensors: dict[str, Tensor], architecture: Any, size: int) -> None:
    source = Source(Path("weights.pt"), tensors)
    assert layout_of(source) == "torchxrayvision"
    found = LAYOUT.read(source, Asked())
    assert found.architecture == architecture
    with torch.device("meta"):
        names = build_backbone(found.architecture).state_dict()
    assert {k: v.shape for k, v in found.image.items()} == {k: v.shape for k, v in names.items()}
    assert len(found.image) + len(found.dropped) == len(tensors)
    pixels = found.preprocessing
    assert (pixels.size, pixels.channels, pixels.resize) == (size, 1, "square")
    assert ((0 - pixels.mean[0]) / pixels.std[0], (1 - pixels.mean[0]) / pixels.std[0]) == (-1024, 1024)
    why = {reason for _, reason in found.dropped}
    expected = (
        "the decoder, which draws the film again" if "conv1_1.weight" in tensors else "the classifier of 18 findings"
    )
    assert expected in why
    assert "no part of the encoder" not in why


def test_the_name_of_the_file_tells_the_set() -> None:
    tensors = densenet()
    for start, title in SETS.items():
        for name in (f"{start}-d121-tw-lr001-seed0-best.pt", f"{title}.pt"):
            notes = LAYOUT.read(Source(Path("a folder") / name, tensors), Asked()).notes
            assert f"weights: {title}, by the file's name; no tensor tells" in notes
    notes = LAYOUT.read(Source(Path("my-nih.pt"), tensors), Asked()).notes
    assert any("no tensor tells which of torchxrayvision's sets" in note for note in notes)
    assert any("order Atelectasis, Consolidation" in note for note in notes)
    told = Source(Path("a.pt"), tensors, extra={"pathologies": ["Atelectasis", "", "Edema"]})
    assert "left out: its outputs Atelectasis, (unused), Edema" in LAYOUT.read(told, Asked()).notes


def test_other_grey_networks_are_not_taken_for_it() -> None:
    assert layout_of(Source(Path("a.pt"), densenet(14))) == "densenet"
    assert layout_of(Source(Path("a.pt"), resnet(14))) == "resnet"


def test_a_forgotten_block_is_refused() -> None:
    tensors = {**densenet(), "features.denseblock5.denselayer1.conv1.weight": torch.zeros(1)}
    found = LAYOUT.read(Source(Path("a.pt"), tensors), Asked())
    assert "features.denseblock5.denselayer1.conv1.weight" in found.image  # which `fill` refuses
    with pytest.raises(CheckpointError, match=r"no place for: features\.3\.weight"):
        LAYOUT.read(Source(Path("a.pt"), {**autoencoder(), "features.3.weight": torch.zeros(1)}), Asked())
