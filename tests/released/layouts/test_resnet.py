"""Plain ResNets: every set of names and prefix to the same features, the real sizes, variants refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.backbone import build_backbone
from hilum.models.fill import check_fit
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.resnet import LAYOUT
from hilum.released.source import Source
from tests.models.tiny_convolutions import films, stirred

TINY = ResNetConfig(image_size=224, stem=8, planes=4, blocks=(1, 2, 1, 1))
NUMBERS = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def network(sizes: ResNetConfig = TINY) -> ResNet:
    torch.manual_seed(0)
    model: ResNet = stirred(ResNet(sizes))
    return model


def as_torchvision(model: ResNet) -> dict[str, Tensor]:
    """Names, counters and classifier of a supervised file."""
    weights = dict(model.state_dict())
    counters = {key.replace("running_var", "num_batches_tracked"): torch.tensor(7) for key in weights if "_var" in key}
    return {**weights, **counters, "fc.weight": torch.zeros(5, model.config.width), "fc.bias": torch.zeros(5)}


def numbered(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of a `Sequential` of torchvision's parts."""
    return {
        f"{NUMBERS[key.split('.')[0]]}.{key.split('.', 1)[1]}": value
        for key, value in weights.items()
        if "fc." not in key
    }


def under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


def load(tmp_path: Path, weights: dict[str, Tensor], **options: Any) -> hilum.Encoder:
    save_file({key: value.contiguous() for key, value in weights.items()}, tmp_path / "file.safetensors")
    return hilum.load(tmp_path / "file.safetensors", **options)


def files() -> dict[str, dict[str, Tensor]]:
    """One network in the names of different methods."""
    model = network()
    whole = as_torchvision(model)
    slower = {key: value + 1 for key, value in whole.items()}
    projection = {"module.encoder_q.fc.0.weight": torch.zeros(4, TINY.width)}
    trunk = {key: value for key, value in whole.items() if "fc." not in key}
    moco = {**under("module.encoder_k.", slower), **under("module.encoder_q.", trunk), **projection}
    return {
        "torchvision": whole,
        "module": under("module.", whole),
        "moco": {**moco, "module.queue": torch.zeros(4, 9)},
        "moco v3": {**under("module.momentum_encoder.", slower), **under("module.base_encoder.", whole)},
        "numbered": under("backbone.", numbered(whole)),
    }


@pytest.mark.parametrize("kind", sorted(files()))
def test_every_prefix_gives_the_same_features(kind: str, tmp_path: Path) -> None:
    encoder = load(tmp_path, files()[kind])
    assert encoder.model.config == TINY
    images = films(2, 70, 3)
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(images), network()(images)[:, 0], rtol=0, atol=0)
    notes = "\n".join(encoder.origin["notes"])
    assert encoder.origin["layout"] == "resnet"
    assert ("read from under" in notes) == (kind != "torchvision")
    assert ("a slower copy of the encoder" in notes) == kind.startswith("moco")
    assert "pixels: those of 'imagenet', assumed" in notes
    assert (encoder.preprocessing.size, encoder.preprocessing.mean) == (224, (0.485, 0.456, 0.406))


def test_transformers_gives_the_same(tmp_path: Path) -> None:
    from transformers import ResNetConfig as Theirs
    from transformers import ResNetForImageClassification

    for kind, widths in (("bottleneck", [16, 32, 64, 128]), ("basic", [8, 16, 32, 64])):
        torch.manual_seed(1)
        config = Theirs(embedding_size=8, hidden_sizes=widths, depths=[1, 2, 1, 1], layer_type=kind, num_labels=3)
        theirs = stirred(ResNetForImageClassification(config))
        folder = tmp_path / kind
        theirs.save_pretrained(folder)
        pixels = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875,
                  "resample": 3, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}  # fmt: skip
        (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
        encoder = hilum.load(folder)
        with torch.no_grad():
            expected = theirs.resnet(films(2, 90, 3))
            torch.testing.assert_close(encoder.embed(films(2, 90, 3)), expected.pooler_output[..., 0, 0])
            cells = expected.last_hidden_state.flatten(2).transpose(1, 2)
            torch.testing.assert_close(encoder.tokens(films(2, 90, 3)), cells)
        assert encoder.origin["layout"] == "resnet"
        assert encoder.preprocessing.mean == (0.5, 0.4, 0.3)
        assert "assumed" not in "".join(encoder.origin["notes"])


@pytest.mark.parametrize(
    ("blocks", "kind", "parameters"),
    [
        ((2, 2, 2, 2), "basic", 11_176_512),
        ((3, 4, 6, 3), "basic", 21_284_672),
        ((3, 4, 6, 3), "bottleneck", 23_508_032),
        ((3, 4, 23, 3), "bottleneck", 42_500_160),
        ((3, 8, 36, 3), "bottleneck", 58_143_808),
    ],
)
def test_the_real_sizes(blocks: tuple[int, ...], kind: Any, parameters: int) -> None:
    with torch.device("meta"):
        tensors = as_torchvision(ResNet(ResNetConfig(blocks=blocks, block=kind)))
    source = Source(Path("resnet.pth"), tensors)
    assert layout_of(source) == "resnet"
    found = LAYOUT.read(source, Asked())
    with torch.device("meta"):
        model = build_backbone(found.architecture)
    assert {key: value.shape for key, value in found.image.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    assert sum(part.numel() for part in model.parameters()) == parameters
    assert {why for _, why in found.dropped} == {
        "a counter that a fixed momentum does not read", "the classifier or projection behind the film's vector",
    }  # fmt: skip
    assert len(found.image) + len(found.dropped) == len(tensors)


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    weights: dict[str, Any] = {**as_torchvision(network()), **{k.replace("__", "."): v for k, v in changes.items()}}
    return {key: value for key, value in weights.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed(conv1__weight=None, conv1__0__weight=torch.zeros(4, 3, 3, 3)), "a stem of three convolutions"),
        (changed(layer1__0__downsample__2__weight=torch.zeros(16)), r"shortcuts that take means \(ResNet-D\)"),
        (changed(layer1__0__se__fc1__weight=torch.zeros(4, 16, 1, 1)), "attention over channels"),
        (changed(layer1__0__conv2__weight=torch.zeros(4, 1, 3, 3)), r"grouped convolutions \(ResNeXt\)"),
        (changed(layer1__0__conv3__weight=torch.zeros(8, 4, 1, 1)), "blocks of another width"),
        (changed(bn1__running_mean=None), "another norm than batch normalisation"),
        (changed(conv2__weight=torch.zeros(4, 4, 3, 3)), "a stem of three convolutions, as CLIP's"),
    ],
)
def test_variants_are_refused_by_name(tensors: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"is a ResNet with {message}.*which Hilum does not build"):
        load(tmp_path, tensors)


def test_variants_that_only_their_name_tells(tmp_path: Path) -> None:
    folder = tmp_path / "timm"
    folder.mkdir()
    save_file(as_torchvision(network()), folder / "model.safetensors")
    config = {"architecture": "resnet26", "pretrained_cfg": {"input_size": [3, 176, 176], "crop_pct": 0.95}}
    for name in ("resnetaa50", "resnetblur50", "resnet50d"):
        (folder / "config.json").write_text(json.dumps({**config, "architecture": name}))
        with pytest.raises(CheckpointError, match=f"the changes of timm's {name}, which Hilum does not build"):
            hilum.load(folder)
    for name in ("resnet26", "tv_resnet34", "resnet50.a1_in1k", "gluon_resnet50_v1b"):
        (folder / "config.json").write_text(json.dumps({**config, "architecture": name}))
        encoder = hilum.load(folder)
        assert (encoder.preprocessing.size, encoder.preprocessing.resize_to) == (176, 185)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed(layer3__0__conv1__weight=None), "layer3.0.conv1.weight is missing"),
        (changed(layer4__0__bn3__bias=torch.zeros(3)), r"layer4.0.bn3.bias is \(3,\) and must be \(128,\)"),
        (changed(conv1__weight=None), "has a ResNet without its first convolution"),
        (changed(layer2__0__conv1__weights=torch.zeros(1)), "layer2.0.conv1.weights has no place"),
        (
            changed(encoder__layers__0__weight=torch.zeros(1)),
            "has tensors that this layout has no place for: encoder.lay",
        ),
    ],
)
def test_broken_files_are_refused(tensors: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path, tensors)


def test_one_channel_and_another_size(tmp_path: Path) -> None:
    encoder = load(
        tmp_path,
        as_torchvision(network(ResNetConfig(channels=1, stem=8, planes=4, blocks=(1, 1, 1, 1)))),
        image_size=320,
    )
    assert (encoder.preprocessing.size, encoder.preprocessing.channels, encoder.model.config.image_size) == (
        320,
        1,
        320,
    )
    assert "takes one channel" in "".join(encoder.origin["notes"])
    check_fit(encoder.model, encoder.model.state_dict(), where="here")
