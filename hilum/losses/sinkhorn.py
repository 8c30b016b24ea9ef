"""Codes of a batch: the assignment to prototypes nearest to softmax that uses every prototype alike.

Papers: Sinkhorn's iteration as SwAV https://arxiv.org/abs/2006.09882 uses it, for the teachers of DINOv2
    https://arxiv.org/abs/2304.07193, section 4, and the codes of MGCA https://arxiv.org/abs/2210.06044, section 3.4.
Departures: the iteration runs on logarithms, which cannot overflow at any epsilon; the factors that make the sums
1 / samples and 1 / prototypes are left out, because the last step divides by them again.

The batch may be spread over ranks: then every rank keeps its rows, and only K numbers travel a step. The plan is one
buffer changed in place, read in pieces of rows, since B x K is the largest tensor of a DINOv2 step (4,000 masked
patches x 131,072 prototypes are 2 GB).
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from hilum.losses.gather import world

PIECE = 2**20  # numbers held beside the plan at a time: what a processor's cache holds
DEVICE_PIECE = 2**25  # the same on other devices, where every piece costs a launch


@torch.no_grad()
def sinkhorn(scores: Tensor, *, epsilon: float, iterations: int = 3, gathered: bool = False) -> Tensor:
    """Codes of every sample.

    Args:
        scores: (B, K) similarity of samples and prototypes, any floating type.
        epsilon: temperature, positive; small is sharp.
        iterations: normalisations of columns (prototypes), then rows (samples); 0 is a softmax.
        gathered: the B rows are this rank's part of a batch over all ranks. Ranks may hold different numbers, and
            none; every rank must call.

    Returns:
        (B, K) float32 or better, rows sum to 1; no gradient.
    """
    log = scores.to(torch.promote_types(scores.dtype, torch.float32), copy=True).div_(epsilon)
    for step in range(iterations):
        if step:
            normalise_rows(log)
        log -= _columns(log, gathered and world() > 1)
    return normalise_rows(log).exp_()


def normalise_rows(log: Tensor) -> Tensor:
    """Make the exponentials of each row of (B, K) sum to 1, in place: the logarithm of a softmax."""
    for part in torch.split(log, rows_at_a_time(log)):
        part -= part.logsumexp(1, keepdim=True)
    return log


def _columns(log: Tensor, gathered: bool) -> Tensor:
    """Logarithm of the sum of exponentials of each column, over the rows of all ranks if `gathered`: (K,)."""
    largest = log.amax(0) if len(log) else log.new_full(log.shape[1:], -torch.inf)
    if gathered:
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    mass = torch.zeros_like(largest)
    for part in torch.split(log, rows_at_a_time(log)):
        mass += (part - largest).exp_().sum(0)
    if gathered:
        dist.all_reduce(mass)
    return mass.log_().add_(largest)


def rows_at_a_time(table: Tensor) -> int:
    """How many rows of a (B, K) table make a piece."""
    piece = PIECE if table.device.type == "cpu" else DEVICE_PIECE
    return max(1, piece // max(1, table.shape[1]))
