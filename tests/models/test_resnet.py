"""The ResNet: a file in torchvision's names with the official features, its face as a transformer, sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hilum.errors import ConfigError
from hilum.models.pretrained.tensors import read_tensors
from hilum.models.resnet import ResNet, ResNetConfig
from tests.models.tiny_convolutions import convolution, films

TINY = ResNetConfig(image_size=32, enlarged=64, channels=1, stem=8, planes=4, blocks=(1, 2, 1, 1))


def test_golden_features(shared: Path) -> None:
    folder = shared / "golden/checkpoints"
    golden = np.load(folder / "gloria_resnet50.npz")
    prefix = "gloria.img_encoder.model."
    tensors = read_tensors(folder / "gloria_resnet50.ckpt")
    weights = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    model = ResNet(ResNetConfig(image_size=64, enlarged=299, planes=4, blocks=(1, 2, 1, 1))).eval()
    model.load_state_dict(weights)
    images = torch.from_numpy(golden["in/imgs"])
    with torch.no_grad():
        local, last = model.forward_maps(images)
        tokens = model.forward_features(images)
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(tokens[:, 0], torch.from_numpy(golden["out/global_feature"]), **close)
    torch.testing.assert_close(tokens[:, 1:], last.flatten(2).transpose(1, 2))
    torch.testing.assert_close(local[..., :3, :3], torch.from_numpy(golden["out/local_feature_3x3corner"]), **close)
    torch.testing.assert_close(local.mean((2, 3)), torch.from_numpy(golden["out/local_feature_mean"]), **close)
    assert model.config.grid == tuple(local.shape[2:]) == (19, 19)


def test_resnet_50_has_its_names_and_size() -> None:
    with torch.device("meta"):
        model = ResNet(ResNetConfig(enlarged=320))
    names = model.state_dict()
    assert sum(parameter.numel() for parameter in model.parameters()) == 23_508_032  # torchvision's, without fc
    assert {"conv1.weight", "layer1.0.downsample.1.running_var", "layer4.2.bn3.bias"} <= set(names)
    assert (model.config.width, model.config.local_width, model.config.patches) == (2048, 1024, 400)


def test_shapes_gradients_and_prefix() -> None:
    torch.manual_seed(0)
    model = ResNet(TINY)
    images = torch.randn(2, 1, 32, 32)
    tokens = model(images)
    assert model.num_prefix_tokens == 1
    assert tokens.shape == (2, 1 + 4, TINY.width)
    assert model.forward_maps(images)[0].shape == (2, TINY.local_width, *TINY.grid)
    tokens.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    torch.testing.assert_close(tokens[:, 0], tokens[:, 1:].mean(1))


def test_basic_blocks_and_three_stages() -> None:
    with torch.device("meta"):
        small = ResNet(ResNetConfig(blocks=(2, 2, 2, 2), block="basic"))
        three = ResNet(ResNetConfig(blocks=(3, 4, 6)))
    assert sum(part.numel() for part in small.parameters()) == 11_689_512 - 513_000  # ResNet-18 without fc
    assert (small.config.width, small.config.local_width, small.config.grid) == (512, 256, (14, 14))
    assert (three.config.width, three.config.local_width, three.config.grid) == (1024, 1024, (14, 14))
    model = convolution("resnet", blocks=(1, 2, 1))
    with torch.no_grad():
        local, cells = model.forward_maps(films())
    assert torch.equal(local, cells)
    assert model(films()).shape == (2, 1 + 16, 64)


def test_rectified_blocks_add_nothing_negative() -> None:
    plain, rectified = convolution("resnet"), convolution("resnet", block="rectified", last_planes=3, last_stride=6)
    x = torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        block, other = plain.get_submodule("layer1.0"), rectified.get_submodule("layer1.0")
        other.load_state_dict(block.state_dict())
        inside = torch.relu(other.bn2(other.conv2(torch.relu(other.bn1(other.conv1(x))))))  # type: ignore[operator]
        added = torch.relu(other.bn3(other.conv3(inside)))  # type: ignore[operator]
        torch.testing.assert_close(other(x), torch.relu(added + other.downsample(x)))  # type: ignore[operator]
        assert not torch.equal(other(x), block(x))
        last = rectified.forward_stages(films(1, 224))[3]
    assert last.shape == (1, 12, 3, 3)
    assert (rectified.config.width, rectified.config.cells_at(224)) == (12, (3, 3))


def test_sizes_that_make_no_network_are_refused() -> None:
    for wrong in ({"enlarged": 0}, {"block": "wide"}, {"blocks": (1, 1)}, {"local_stage": 2}, {"last_stride": 0}):
        with pytest.raises(ConfigError, match="no ResNet"):
            ResNetConfig(**wrong)
