"""One vector a film: each pooling by hand, with and without a class token and a norm behind the mean."""

from __future__ import annotations

import pytest
import torch

from hilum.models.pooling import pool_patches, pool_tokens
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.vit import VisionTransformer, ViTConfig


@pytest.mark.parametrize("pool_norm", [False, True])
def test_each_pooling_of_a_vision_transformer(pool_norm: bool) -> None:
    vit = VisionTransformer(ViTConfig(image_size=32, width=8, depth=1, heads=2, registers=2, pool_norm=pool_norm))
    tokens = torch.randn(2, 7, 8)
    mean = tokens[:, 3:].mean(dim=1)
    if vit.fc_norm is not None:
        torch.nn.init.normal_(vit.fc_norm.weight)
        mean = vit.fc_norm(mean)
    assert torch.equal(pool_tokens(vit, tokens, "cls"), tokens[:, 0])
    assert torch.equal(pool_tokens(vit, tokens, "mean"), mean)
    assert torch.equal(pool_tokens(vit, tokens, "cls+mean"), torch.cat([tokens[:, 0], mean], dim=1))
    several = torch.stack([tokens, 2 * tokens], dim=1)[:, :, 3:]
    torch.testing.assert_close(pool_patches(vit, several)[:, 0], mean)


def test_without_a_class_token_the_mean_takes_its_place() -> None:
    vit = VisionTransformer(ViTConfig(image_size=32, width=8, depth=1, heads=2, class_token=False))
    tokens = torch.randn(2, 4, 8)
    assert torch.equal(pool_tokens(vit, tokens, "cls"), tokens.mean(dim=1))
    assert torch.equal(pool_tokens(vit, tokens, "cls+mean"), torch.cat([tokens.mean(dim=1)] * 2, dim=1))


def test_a_convolution_gives_its_vector_and_the_mean_of_its_cells() -> None:
    network = ResNet(ResNetConfig())
    tokens = torch.randn(2, 5, network.config.width)
    assert torch.equal(pool_tokens(network, tokens, "cls"), tokens[:, 0])
    assert torch.equal(pool_tokens(network, tokens, "mean"), tokens[:, 1:].mean(dim=1))
    assert torch.equal(pool_patches(network, tokens[:, 1:]), tokens[:, 1:].mean(dim=1))
