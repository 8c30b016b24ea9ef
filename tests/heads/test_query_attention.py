"""Attention without keys and values is attention, and drops as it does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.errors import ConfigError
from hilum.heads.query_attention import QueryAttention


def test_attention_equals_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = QueryAttention(24, 4).double(), nn.MultiheadAttention(24, 4, batch_first=True).double()
    parts = torch.cat([layer.weight for layer in (ours.query, ours.key, ours.value)])
    theirs.in_proj_weight.data.copy_(parts)
    theirs.in_proj_bias.data.normal_()
    for layer, bias in zip((ours.query, ours.key, ours.value), theirs.in_proj_bias.chunk(3), strict=True):
        layer.bias.data.copy_(bias)
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    queries, tokens = torch.randn(5, 24).double(), torch.randn(2, 7, 24).double()
    out, weights = theirs(queries.expand(2, -1, -1), tokens, tokens, average_attn_weights=False)
    torch.testing.assert_close(ours(queries, tokens), out, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(ours.weights(queries, tokens), weights, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_pytorchs() -> None:
    torch.manual_seed(1)
    ours = QueryAttention(8, 2).double()
    theirs = nn.MultiheadAttention(8, 2, batch_first=True).double()
    layers = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.data.copy_(torch.cat([layer.weight for layer in layers]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    queries, tokens = torch.randn(3, 8).double().requires_grad_(), torch.randn(2, 5, 8).double()
    weigh = torch.randn(2, 3, 8).double()
    mine = torch.autograd.grad((ours(queries, tokens) * weigh).sum(), [queries, *(layer.weight for layer in layers)])
    out = theirs(queries.expand(2, -1, -1), tokens, tokens)[0]
    official = torch.autograd.grad((out * weigh).sum(), [queries, theirs.in_proj_weight])
    torch.testing.assert_close(mine[0], official[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(torch.cat(mine[1:]), official[1], rtol=1e-9, atol=1e-12)


def test_dropped_weights_take_the_values_bias_with_them() -> None:
    attend = QueryAttention(4, 1, dropout=0.5)
    nn.init.zeros_(attend.value.weight)
    nn.init.ones_(attend.value.bias)
    attend.out = nn.Identity()  # type: ignore[assignment]
    torch.manual_seed(0)
    out = attend(torch.randn(1, 4), torch.randn(200, 2, 4))[:, 0, 0].detach()
    assert {0.0, 2.0} <= {round(float(value), 3) for value in out}  # both dropped, or both kept and doubled
    assert float(out.mean()) == pytest.approx(1, abs=0.15)


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ConfigError, match="3 heads do not divide 8 channels"):
        QueryAttention(8, 3)
