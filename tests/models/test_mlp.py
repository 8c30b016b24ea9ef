"""The MLPs of blocks: each against its formula, their keys and widths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hilum.models.mlp import (
    MLP_KINDS,
    SwiGlu,
    build_mlp,
    gated_width,
    hidden_width,
    quick_gelu,
    swiglu_ratio,
)

KEYS = {
    "gelu": {"fc1", "fc2"},
    "quick_gelu": {"fc1", "fc2"},
    "swiglu": {"w12", "w3"},
    "swiglu_split": {"fc1_g", "fc1_x", "fc2"},
}


def _randomised(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double()


def _formula(kind: str, w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The MLP spelled out with its weights."""

    def layer(name: str, value: Tensor) -> Tensor:
        return value @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def inner(value: Tensor) -> Tensor:
        if "norm.weight" not in w:
            return value
        centred = value - value.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return centred / (variance + 1e-5).sqrt() * w["norm.weight"] + w["norm.bias"]

    if kind == "gelu":
        hidden = layer("fc1", x)
        return layer("fc2", inner(hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))))
    if kind == "quick_gelu":
        hidden = layer("fc1", x)
        return layer("fc2", inner(hidden / (1 + torch.exp(-1.702 * hidden))))
    if kind == "swiglu":
        gate, value = layer("w12", x).chunk(2, -1)
        return layer("w3", inner(gate / (1 + torch.exp(-gate)) * value))
    gate, value = layer("fc1_g", x), layer("fc1_x", x)
    return layer("fc2", inner(gate / (1 + torch.exp(-gate)) * value))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("kind", MLP_KINDS)
def test_equals_its_formula(kind: Any, norm: bool) -> None:
    torch.manual_seed(0)
    mlp = _randomised(build_mlp(kind, 12, 4.0, norm_eps=1e-5 if norm else None))
    weights = dict(mlp.named_parameters())
    assert {name.split(".")[0] for name in weights} == KEYS[kind] | ({"norm"} if norm else set())
    x = torch.randn(3, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(mlp(x), _formula(kind, weights, x))


def test_quick_gelu_is_not_gelu_but_near() -> None:
    x = torch.linspace(-4, 4, 81)
    away = (quick_gelu(x) - nn.functional.gelu(x)).abs().max()
    assert 0.01 < away < 0.03


def test_swiglu_has_dinov2_widths() -> None:
    assert SwiGlu(1024, 4096).w3.in_features == 2736  # (int(4096 * 2 / 3) + 7) // 8 * 8


@pytest.mark.parametrize("width", [7, 48, 192, 384, 768, 1000, 4096])
def test_a_ratio_gives_back_the_width_it_is_of(width: int) -> None:
    for hidden in (1, width // 2 + 1, width * 8 // 3, 4 * width, 8191):
        assert hidden_width(width, hidden / width) == hidden
    assert hidden_width(width, 4.0) == 4 * width


def test_a_gated_width_has_a_ratio_where_it_is_a_multiple_of_8() -> None:
    assert swiglu_ratio(2736, 1024) == 4.0
    for width, gated in ((192, 512), (384, 1024), (48, 40), (1000, 8)):
        ratio = swiglu_ratio(gated, width)
        assert ratio is not None
        assert gated_width(hidden_width(width, ratio)) == gated
    assert swiglu_ratio(513, 192) is None
