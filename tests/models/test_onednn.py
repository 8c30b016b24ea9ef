"""The oneDNN product against PyTorch's own, values and gradients, and when it steps aside."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hilum.models import onednn
from hilum.models.onednn import Linear, adopt, linear


@pytest.mark.parametrize("shape", [(1, 8), (7, 8), (2, 5, 8), (2, 3, 4, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(*shape, requires_grad=True)
    weight = torch.randn(11, 8, requires_grad=True)
    offset = torch.randn(11, requires_grad=True) if bias else None
    inputs = [value for value in (x, weight, offset) if value is not None]
    got, want = linear(x, weight, offset), F.linear(x, weight, offset)
    torch.testing.assert_close(got, want)
    probe = torch.randn_like(want)
    for mine, theirs in zip(
        torch.autograd.grad(got, inputs, probe), torch.autograd.grad(want, inputs, probe), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_strided_operands() -> None:
    x = torch.randn(4, 6, 10)[:, 1:, ::2]
    weight = torch.randn(5, 7).t()
    torch.testing.assert_close(linear(x, weight, None), F.linear(x, weight))


def test_only_the_gradients_asked_for() -> None:
    x, weight = torch.randn(3, 8), torch.randn(5, 8, requires_grad=True)
    linear(x, weight, torch.zeros(5)).sum().backward()
    assert x.grad is None
    assert weight.grad is not None


@pytest.mark.parametrize(("dtype", "fits"), [(torch.float32, True), (torch.float64, False), (torch.bfloat16, False)])
def test_it_applies_to_float32_only(dtype: torch.dtype, fits: bool) -> None:
    if fits and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this PyTorch has no oneDNN product")
    x = torch.randn(3, 8, dtype=dtype)
    assert onednn._has_onednn(x, torch.randn(5, 8, dtype=dtype)) is fits


def test_it_steps_aside_under_autocast_and_when_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Linear(8, 5)
    x = torch.randn(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not onednn._has_onednn(x, layer.weight)
        assert layer(x).dtype is torch.bfloat16
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert not onednn._has_onednn(x, layer.weight)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))


def test_state_dict_is_that_of_a_linear_layer() -> None:
    assert list(Linear(2, 3).state_dict()) == ["weight", "bias"]


def test_a_foreign_network_is_adopted_with_its_weights_and_names() -> None:
    foreign = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 4)))
    x, names = torch.randn(3, 6), list(foreign.state_dict())
    before = foreign(x)
    adopt(foreign)
    assert [type(part) for part in foreign.modules() if isinstance(part, nn.Linear)] == [Linear, Linear]
    assert list(foreign.state_dict()) == names
    torch.testing.assert_close(foreign(x), before)
