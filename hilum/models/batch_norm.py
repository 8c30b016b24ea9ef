"""Batch normalisation whose statistics may span all devices, on any backend.

Paper: Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167

Torch's own synchronised layer works on GPUs only, and then a run on two CPU processes could not equal a run on one.
Here every device gives its count, mean and sum of squared deviations; the parts are joined by the formula of Chan et
al. (1979), which loses no digits, and gradients flow back through the exchange.

Names in the state dict are torch's (`weight`, `bias`, `running_mean`, `running_var`), without `num_batches_tracked`:
with a fixed momentum nothing reads that counter, so it is neither stored nor asked for.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class BatchNorm(nn.Module):
    """Normalise each channel by its mean and variance over everything else; like `nn.BatchNorm1d` and `2d`.

    Args:
        channels: size of the channel axis.
        axis: 1 for (B, C) and (B, C, H, W), -1 for (..., C).
        affine: learn a factor and an offset per channel.
        sync: in training, statistics over the rows of all devices instead of this one's.
        eps: added to the variance.
        momentum: share of the newest batch in the running statistics.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        channels: int,
        *,
        axis: int = 1,
        affine: bool = True,
        sync: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels, self.axis, self.sync, self.eps, self.momentum = channels, axis, sync, eps, momentum
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x by batch statistics in training, by the running ones in evaluation; the shape stays.

        A batch of one row has no spread and comes out as the offset; a device without rows takes part in the exchange.
        """
        inner = x.movedim(self.axis, 1) if self.axis != 1 else x
        running = self.running_mean, self.running_var, self.weight, self.bias
        if not self.training:
            out = F.batch_norm(inner, *running, training=False, eps=self.eps)
        elif inner.numel() <= self.channels or (self.sync and _devices() > 1):
            out = self._normalise_jointly(inner)
        else:
            out = F.batch_norm(inner, *running, training=True, momentum=self.momentum, eps=self.eps)
        return out.movedim(1, self.axis) if self.axis != 1 else out

    def extra_repr(self) -> str:
        """What `print` shows."""
        return f"{self.channels}, axis={self.axis}, affine={self.weight is not None}, sync={self.sync}"

    def _normalise_jointly(self, x: Tensor) -> Tensor:
        """X (B, C, ...) by the statistics of all devices (of this one without `sync`)."""
        exact = torch.promote_types(x.dtype, torch.float32)
        rows = x.to(exact).movedim(1, 0).flatten(1)  # (C, N)
        mean = rows.sum(1) / max(rows.shape[1], 1)
        spread = (rows - mean[:, None]).square().sum(1)
        part = torch.cat([rows.new_tensor([float(rows.shape[1])]), mean, spread])
        parts = _gather(part) if self.sync and _devices() > 1 else part[None]
        counts, means, spreads = torch.split(parts, [1, self.channels, self.channels], dim=1)
        total = counts.sum().clamp(min=1)
        joint = (counts * means).sum(0) / total
        variance = (spreads + counts * (means - joint).square()).sum(0) / total
        self._remember(joint.detach(), variance.detach(), counts.sum())
        shape = (1, -1) + (1,) * (x.dim() - 2)
        out = (x - joint.view(shape)) * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is not None and self.bias is not None:
            out = out * self.weight.view(shape) + self.bias.view(shape)
        return out.type_as(x)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics towards a batch of `count` rows; not at all when it had none."""
        share = self.momentum * (count > 0).to(mean.dtype)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        with torch.no_grad():
            self.running_mean += share * (mean - self.running_mean)
            self.running_var += share * (unbiased - self.running_var)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)  # torch's files have it
        super()._load_from_state_dict(state_dict, prefix, *arguments)


class _Gather(torch.autograd.Function):
    """Rows of all devices, (K,) -> (devices, K); the gradient of a device's row is summed over devices."""

    @staticmethod
    def forward(ctx: Any, row: Tensor) -> Tensor:
        table = row.new_zeros(_devices(), len(row))
        table[torch.distributed.get_rank()] = row
        torch.distributed.all_reduce(table)
        return table

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        torch.distributed.all_reduce(gradient)
        return gradient[torch.distributed.get_rank()]


def _gather(row: Tensor) -> Tensor:
    out: Tensor = _Gather.apply(row)  # type: ignore[no-untyped-call]
    return out


def _devices() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1
