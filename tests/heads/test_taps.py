"""Taps are the last blocks' tokens after the final norm, from either kind of encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.heads.taps import Taps, blocks_at_most, taps_of
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing

SIZES = ViTConfig(image_size=32, channels=1, patch_size=8, width=24, depth=3, heads=2, registers=2)
RESNET = ResNetConfig(image_size=32, enlarged=64, channels=1, stem=8, planes=4, blocks=(1, 1, 1, 1))


def films(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_channels_are_the_last_blocks_oldest_first_after_the_final_norm() -> None:
    torch.manual_seed(0)
    model = VisionTransformer(SIZES).eval()
    assert model.norm is not None
    model.norm.weight.normal_()
    taps = taps_of(model, films(), 2)
    older, last = (model.norm(x) for x in model.forward_intermediates(films(), 2))
    assert taps.cls is not None
    assert taps.patches is not None
    torch.testing.assert_close(taps.cls, torch.cat([older[:, 0], last[:, 0]], dim=-1))
    torch.testing.assert_close(taps.patches, torch.cat([older[:, 3:], last[:, 3:]], dim=-1))  # class, 2 registers
    torch.testing.assert_close(taps.patches[..., 24:], model.forward_features(films())[:, 3:])


@torch.no_grad()
def test_without_a_class_token_the_mean_of_the_patches_takes_its_place() -> None:
    torch.manual_seed(0)
    taps = taps_of(VisionTransformer(replace(SIZES, class_token=False, registers=0)).eval(), films(), 2)
    assert taps.cls is not None
    assert taps.patches is not None
    torch.testing.assert_close(taps.cls, taps.patches.mean(dim=1))


@torch.no_grad()
def test_a_convolution_map_counts_as_patches_and_its_mean_as_class_token() -> None:
    torch.manual_seed(0)
    model = ResNet(RESNET).eval()
    taps = taps_of(model, films(), 1)
    last = model.forward_maps(films())[1]
    assert taps.cls is not None
    assert taps.patches is not None
    torch.testing.assert_close(taps.patches, last.flatten(2).transpose(1, 2))
    torch.testing.assert_close(taps.cls, last.mean(dim=(2, 3)), rtol=1e-4, atol=1e-6)


def test_only_what_is_asked_for_is_kept() -> None:
    model = VisionTransformer(SIZES).eval()
    assert taps_of(model, films(), 1, ("cls",)).patches is None
    assert taps_of(model, films(), 1, ("patch",)).cls is None


def test_more_blocks_than_there_are() -> None:
    assert (blocks_at_most(SIZES, 4), blocks_at_most(SIZES, 2), blocks_at_most(RESNET, 4)) == (3, 2, 1)
    with pytest.raises(ConfigError, match="the last 4 blocks of an encoder that gives 3"):
        taps_of(VisionTransformer(SIZES), films(), 4)
    with pytest.raises(ConfigError, match="the last 2 blocks of an encoder that gives 1"):
        taps_of(ResNet(RESNET), films(), 2)
    with pytest.raises(ConfigError, match="the last 0 blocks"):
        taps_of(VisionTransformer(SIZES), films(), 0)


def test_an_encoder_gives_its_taps() -> None:
    torch.manual_seed(0)
    encoder = Encoder(VisionTransformer(SIZES), Preprocessing(size=32, channels=1, mean=(0.5,), std=(0.25,)))
    images = torch.stack([encoder.transform(np.full((32, 32), 90, np.uint8))])
    taps = encoder.taps(images, 2)
    assert taps.cls is not None
    assert taps.patches is not None
    assert (taps.cls.shape, taps.patches.shape, taps.cls.requires_grad) == ((1, 48), (1, 16, 48), False)
    torch.testing.assert_close(taps.cls[:, 24:], encoder.embed(images, "cls"))


def test_films_can_be_taken_and_moved() -> None:
    taps = Taps(torch.arange(6.0).reshape(3, 2), None)
    some = taps[torch.tensor([2, 0])].to(torch.float64)
    assert len(some) == 2
    assert some.patches is None
    assert some.cls is not None
    assert some.cls.tolist() == [[4, 5], [0, 1]]
    assert some.any.dtype == torch.float64
