"""What one loss needs from every device: tensors gathered, or summed, with their gradient.

A contrast wants the whole global batch as negatives, and a mean over masked words wants the count of all devices, so
such losses are computed on every rank from the same gathered tensors. `gather` and `total` are differentiated as what
they are, functions of the tensors of all ranks: backward adds up what every rank's loss says about a tensor. With W
ranks that each return the same global loss, a rank's gradient is W times its share of the true one, and the mean that
DDP and FSDP take over ranks makes it exact.

Works with gloo and NCCL; without a process group every function is the identity.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx


def world() -> int:
    """Number of processes that train together; 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them; 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def gather(x: Tensor) -> Tensor:
    """The batches of all ranks, one after another, which is the film order of one process.

    Args:
        x: (B, ...) any dtype, the same shape on every rank.

    Returns:
        (world * B, ...), with gradient to every rank's `x` where it is floating point.
    """
    if world() == 1:
        return x
    return _Gather.apply(x) if x.is_floating_point() else _concatenated(x)  # type: ignore[no-untyped-call]


def total(x: Tensor) -> Tensor:
    """The sum of `x` (any shape, the same on every rank) over ranks, with gradient to every rank's `x`."""
    if world() == 1:
        return x
    return _Total.apply(x) if x.is_floating_point() else _summed(x)  # type: ignore[no-untyped-call]


def _concatenated(x: Tensor) -> Tensor:
    """All ranks' `x` along dimension 0; booleans travel as bytes, which every backend knows."""
    own = (x.to(torch.uint8) if x.dtype == torch.bool else x).contiguous()
    parts = [torch.empty_like(own) for _ in range(world())]
    dist.all_gather(parts, own)
    return torch.cat(parts).to(x.dtype)


def _summed(x: Tensor) -> Tensor:
    """The sum of all ranks' `x`, in new memory."""
    summed = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(summed)
    return summed


class _Gather(torch.autograd.Function):
    """Forward: concatenate. Backward: add up every rank's gradient, keep the own slice."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return _concatenated(x)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Tensor:
        rows = gradients[0].shape[0] // world()
        return _summed(gradients[0])[rank() * rows : (rank() + 1) * rows]


class _Total(torch.autograd.Function):
    """Forward: sum over ranks. Backward: the same sum, of every rank's gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Any) -> Tensor:
        return _summed(gradients[0])
