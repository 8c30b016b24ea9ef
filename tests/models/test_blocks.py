"""The transformer block: tails, attention rows, stochastic depth, the gated MLP, gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hilum.models.blocks import Attention, Block, LayerScale, drop_path
from hilum.models.rotary import rotation
from tests.oracles.mae import block as oracle_block

OPTIONS: list[dict[str, Any]] = [
    {},
    {"mlp": "swiglu", "layer_scale": 0.5, "qkv_bias": False},
    {"key_bias": False, "attention_norm": True, "mlp": "swiglu_split", "mlp_norm": True},
    {"mlp": "quick_gelu", "qkv_bias": False, "key_bias": False},
]


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
@pytest.mark.parametrize("options", OPTIONS)
def test_the_tail_alone_equals_the_tail_of_the_whole(options: dict[str, Any], start: int) -> None:
    block = _randomised(Block(12, 3, **options).double())
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    for turn in (None, rotation("eva", 4, (2, 3), prefix=1), rotation("dinov3", 4, (1, 4), prefix=3)):
        torch.testing.assert_close(block(x, start, turn), block(x, 0, turn)[:, start:])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_every_way_to_the_weights_gives_the_same(options: dict[str, Any], turned: bool) -> None:
    attention = _randomised(Block(12, 3, **options).double()).attn
    turn = rotation("dinov3", 4, (2, 3), prefix=1) if turned else None
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    out, weights = attention.forward_with_weights(x, turn)
    torch.testing.assert_close(out, attention(x, 0, turn))
    torch.testing.assert_close(weights, attention.weights(x, turn))
    torch.testing.assert_close(weights[:, :, 0], attention.first_weights(x, turn))


def test_biases_apart_are_one_bias_with_zeros_for_the_keys() -> None:
    apart, whole = Attention(12, 3, True, key_bias=False), Attention(12, 3, True)
    assert {name for name, _ in apart.named_parameters()} == {
        "qkv.weight",
        "q_bias",
        "v_bias",
        "proj.weight",
        "proj.bias",
    }
    _randomised(apart)
    state = apart.state_dict()
    bias = torch.cat([state.pop("q_bias"), torch.zeros(12), state.pop("v_bias")])
    whole.load_state_dict({**state, "qkv.bias": bias})
    x = torch.randn(2, 5, 12)
    for start in (0, 2):
        assert torch.equal(apart(x, start), whole(x, start))


def test_a_norm_inside_stands_before_the_last_layer() -> None:
    plain, normed = Attention(12, 3, True), _randomised(Attention(12, 3, True, norm_eps=1e-5))
    plain.load_state_dict({key: value for key, value in normed.state_dict().items() if not key.startswith("norm.")})
    mixed: list[torch.Tensor] = []
    hook = plain.proj.register_forward_pre_hook(lambda part, given: mixed.append(given[0]))
    x = torch.randn(2, 5, 12)
    plain(x)
    hook.remove()
    inside = torch.nn.functional.layer_norm(mixed[0], (12,), normed.norm.weight, normed.norm.bias, 1e-5)
    torch.testing.assert_close(normed(x), plain.proj(inside))


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
