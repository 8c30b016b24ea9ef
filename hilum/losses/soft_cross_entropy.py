"""Cross-entropy against soft targets over very many classes, without a copy of the table it reads.

With targets t and logits s of a sample, temperature T:

    H = -sum_k t_k log softmax(s / T)_k = sum_k(t_k) logsumexp(s / T) - t . s / T
    dH / ds = (sum_k(t_k) softmax(s / T) - t) / T

Autograd through the first line would keep and make several (N, K) tables in float32; this keeps the logits as they came
(bf16 under autocast), the targets and two numbers a sample, and works through pieces of rows. For 4,000 masked patches
and 131,072 prototypes a table is 2 GB.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hilum.losses.sinkhorn import rows_at_a_time


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of every sample.

    Args:
        student: (N, K) logits, any floating type; takes the gradient.
        teacher: (N, K) targets, non-negative; takes none. Rows need not sum to 1: a sum of several targets gives the
            sum of their cross-entropies.
        temperature: divides the logits.

    Returns:
        (N,) float32 or better.
    """
    losses: Tensor = _SoftCrossEntropy.apply(student, teacher.detach(), temperature)  # type: ignore[no-untyped-call]
    return losses


class _SoftCrossEntropy(torch.autograd.Function):
    """The two formulas of the file, piece by piece; arithmetic in float32 or better."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        losses, normalisers, masses = [], [], []
        rows = rows_at_a_time(student)
        for logits, targets in zip(torch.split(student, rows), torch.split(teacher, rows), strict=True):
            scaled = _exact(logits) / temperature
            normalisers.append(scaled.logsumexp(1))
            masses.append(targets.sum(1, dtype=scaled.dtype))
            losses.append(masses[-1] * normalisers[-1] - scaled.mul_(targets).sum(1))
        ctx.save_for_backward(student, teacher, torch.cat(normalisers), torch.cat(masses))
        ctx.temperature = temperature
        return torch.cat(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        student, teacher, normalisers, masses = ctx.saved_tensors
        of_student = torch.empty_like(student)
        tables = (of_student, student, teacher, normalisers[:, None], masses[:, None], gradient[:, None])
        rows = rows_at_a_time(student)
        for out, logits, targets, normaliser, mass, share in zip(
            *(torch.split(table, rows) for table in tables), strict=True
        ):
            softmax = (_exact(logits) / ctx.temperature).sub_(normaliser).exp_()
            out.copy_(softmax.mul_(mass).sub_(targets).mul_(share / ctx.temperature))
        return of_student, None, None


def _exact(x: Tensor) -> Tensor:
    """`x` in float32 or better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
