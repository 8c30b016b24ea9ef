"""Cutting and gluing patches, and the embedding against the convolution it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.models.patches import PatchEmbed, patchify, unpatchify
from tests.oracles.mae import patch_pixels


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4))
def test_gluing_undoes_cutting(batch: int, rows: int, columns: int, channels: int, patch: int) -> None:
    images = torch.randn(batch, channels, rows * patch, columns * patch)
    assert torch.equal(unpatchify(patchify(images, patch), patch, (rows, columns)), images)


def test_pixel_order_is_row_column_channel() -> None:
    images = torch.randn(2, 3, 4, 6)
    wanted = torch.stack([torch.tensor(patch_pixels(image, 2)) for image in images])
    assert torch.equal(patchify(images, 2), wanted)


def test_chosen_patches_are_the_rows_asked_for() -> None:
    images = torch.randn(2, 3, 8, 12)
    chosen = torch.tensor([[5, 0, 3], [1, 1, 4]])
    everything = patchify(images, 4)
    wanted = torch.stack([everything[sample][chosen[sample]] for sample in range(2)])
    assert torch.equal(patchify(images, 4, chosen), wanted)


def test_embedding_is_the_strided_convolution() -> None:
    embed = PatchEmbed(4, 3, 10).double()
    images = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    wanted = F.conv2d(images, embed.proj.weight, embed.proj.bias, stride=4).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(images), wanted)
    torch.testing.assert_close(embed(images, torch.tensor([[4], [2]])), wanted[[0, 1], [4, 2]][:, None])


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_overlapping_patches_are_the_convolution_with_that_stride(stride: int) -> None:
    embed = PatchEmbed(4, 3, 10, stride=stride, bias=False).double()
    images = torch.randn(2, 3, 4 + 2 * stride, 4 + 3 * stride, dtype=torch.float64)
    wanted = F.conv2d(images, embed.proj.weight, None, stride=stride).flatten(2).transpose(1, 2)
    assert wanted.shape[1] == 12
    torch.testing.assert_close(embed(images), wanted)
    torch.testing.assert_close(embed(images, torch.tensor([[4], [11]])), wanted[[0, 1], [4, 11]][:, None])


def test_overlapping_patches_that_do_not_reach_the_edge_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"8 x 9 pixels .* patches of 4.*4 \+ a multiple of 2"):
        patchify(torch.zeros(1, 1, 8, 9), 4, stride=2)
    with pytest.raises(ConfigError, match="2 x 8 pixels"):
        patchify(torch.zeros(1, 1, 2, 8), 4, stride=2)


def test_a_side_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"8 x 10 pixels .* patches of 4.*a multiple of 4"):
        patchify(torch.zeros(1, 1, 8, 10), 4)
