"""A linear layer that takes the fast matrix product of the processor it runs on.

PyTorch sends float32 products on x86 to MKL, whose AVX-512 kernels are not taken on AMD processors; oneDNN,
which is inside the same PyTorch, takes them: 2.0 to 2.2 times the rate on a Zen 5 core for every shape of
these networks (`benchmarks/mae_step.py`). PyTorch's own compiler calls oneDNN through the operator used
here. Wherever the operator does not apply (other devices, dtypes, autocast, a build without it) this is
`torch.nn.functional.linear`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """X weight^T + bias: x (..., K), weight (N, K), bias (N,) -> (..., N)."""
    if _has_onednn(x, weight):
        out: Tensor = _OneDnnLinear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return out
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """`nn.Linear` through `linear`: same weights, same names."""

    def forward(self, x: Tensor) -> Tensor:
        """Transform the last axis: (..., in) -> (..., out)."""
        return linear(x, self.weight, self.bias)


def adopt(module: nn.Module) -> None:
    """Let every `nn.Linear` inside a foreign network compute through `linear`; weights and names stay."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = Linear


class _OneDnnLinear(torch.autograd.Function):
    """The three products of a linear layer through oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _product(gradient, weight.t(), None)
        rows = gradient.reshape(-1, gradient.shape[-1])
        if ctx.needs_input_grad[1]:
            of_weight = _product(rows.t(), x.reshape(-1, x.shape[-1]).t(), None)
        if ctx.has_bias and ctx.needs_input_grad[2]:
            of_bias = rows.sum(0)
        return of_x, of_weight, of_bias


def _has_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's float32 product applies to these operands."""
    return bool(
        x.device.type == "cpu"
        and x.dtype is torch.float32
        and weight.dtype is torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.mkldnn.enabled
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """X weight^T + bias by oneDNN; any strides."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out
