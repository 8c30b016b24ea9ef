"""Attention rollout: how much of each input token is in each output token, by the attention of all blocks together.

Paper: Abnar and Zuidema, Quantifying Attention Flow in Transformers, https://arxiv.org/abs/2005.00928, section 3. A
block passes a token on by half through its attention and by half unchanged, around it (the residual connection), so
its matrix is `A = (W + I) / 2` with W the mean over its heads; rows sum to 1. The matrix of the whole stack is the
product `A_L ... A_2 A_1`: row i says which tokens of the input the i-th output token is made of.

It knows nothing of a finding: what a head reads (a class token, the mean of the patches) looks at one place whatever
is asked. Only a head whose queries weigh the patches themselves has a rollout a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

RESIDUAL: Final = 0.5  # share of a token that goes around the attention


def rollout(weights: Sequence[Tensor], residual: float = RESIDUAL) -> list[Tensor]:
    """What the tokens behind each block are made of.

    Args:
        weights: attention of every block, first block first: (B, N, N) means over heads, or (B, heads, N, N).
        residual: share that goes around the attention, in [0, 1).

    Returns:
        One (B, N, N) a block, rows sum to 1: tokens behind that block (rows) over tokens of the input (columns).
    """
    joint: Tensor | None = None
    found = []
    for block in weights:
        mean = block.mean(dim=1) if block.ndim == 4 else block
        same = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
        own = (1 - residual) * mean + residual * same
        joint = own if joint is None else own @ joint
        found.append(joint)
    return found


def read_rows(joint: Tensor, read: Tensor) -> Tensor:
    """The input tokens that a reading is made of.

    Args:
        joint: (B, N, N) of `rollout` or `relevance`.
        read: (M, N), or (B, M, N): how much of each output token each of M readings takes.

    Returns:
        (B, M, N).
    """
    return read.expand(len(joint), *read.shape[-2:]) @ joint
