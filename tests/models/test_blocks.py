"""The transformer block: tails, attention rows, stochastic depth, the gated MLP, gradients."""

from __future__ import annotations

import pytest
import torch

from hilum.models.blocks import Attention, Block, LayerScale, drop_path
from tests.oracles.mae import block as oracle_block


def _randomised(module: torch.nn.Module) -> torch.nn.Module:
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


@pytest.mark.parametrize(("width", "heads"), [(4, 1), (12, 3), (16, 4)])
def test_value_and_gradients_equal_the_loops(width: int, heads: int) -> None:
    torch.manual_seed(width)
    block = _randomised(Block(width, heads).double())
    x = torch.randn(2, 5, width, dtype=torch.float64, requires_grad=True)
    weights = {f"b.{key}": value for key, value in block.named_parameters()}
    got = block(x)
    want = torch.stack([oracle_block(sample, weights, "b", heads) for sample in x])
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)
    probe = torch.randn_like(got)
    inputs = [x, *block.parameters()]
    for mine, theirs in zip(
        torch.autograd.grad((got * probe).sum(), inputs),
        torch.autograd.grad((want * probe).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("start", [1, 3, 6])
def test_the_tail_alone_equals_the_tail_of_the_whole(start: int) -> None:
    block = _randomised(Block(12, 3, mlp="swiglu", layer_scale=0.5, qkv_bias=False).double())
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    torch.testing.assert_close(block(x, start), block(x)[:, start:])


def test_attention_weights_are_what_attention_uses() -> None:
    attention = _randomised(Attention(8, 2, True).double())
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    rows = attention.weights(x)
    assert rows.shape == (2, 2, 6, 6)
    torch.testing.assert_close(rows.sum(-1), torch.ones(2, 2, 6, dtype=torch.float64))
    value = attention.qkv(x)[..., 16:].view(2, 6, 2, 4).transpose(1, 2)
    mixed = (rows @ value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(x), attention.proj(mixed))


def test_drop_path_keeps_the_mean_and_drops_whole_samples() -> None:
    torch.manual_seed(0)
    branch = torch.ones(20_000, 2, 3)
    out = drop_path(branch, 0.3, training=True)
    per_sample = out.flatten(1)
    assert ((per_sample == 0).all(1) | (per_sample == per_sample[:, :1]).all(1)).all()
    assert (out[:, 0, 0] == 0).float().mean().item() == pytest.approx(0.3, abs=0.015)
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert drop_path(branch, 0.3, training=False) is branch
    assert drop_path(branch, 0.0, training=True) is branch


def test_layer_scale_starts_where_told() -> None:
    assert torch.equal(LayerScale(3, 1e-5)(torch.ones(2, 3)), torch.full((2, 3), 1e-5))


def test_weights_beside_the_output_change_nothing() -> None:
    torch.manual_seed(0)
    attention = Attention(24, 3, True)
    x = torch.randn(2, 7, 24)
    out, weights = attention.forward_with_weights(x)
    torch.testing.assert_close(out, attention(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights, attention.weights(x))
    assert weights.shape == (2, 3, 7, 7)
    assert weights.requires_grad
