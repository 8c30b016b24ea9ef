"""An exponential moving average of a network: a teacher, or smoother weights for evaluation."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class Ema(nn.Module):
    """A copy of a network that follows it: average <- decay * average + (1 - decay) * network.

    The copy is in `module`, takes no gradient and starts equal to the source. Buffers are copied, not
    averaged.
    """

    def __init__(self, source: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.module = deepcopy(source).requires_grad_(False).eval()

    def update(self, source: nn.Module, decay: float | None = None) -> None:
        """Move towards `source`, by `decay` where given (a schedule) and the stored one otherwise."""
        follow(self.module, source, self.decay if decay is None else decay)


@torch.no_grad()
def follow(average: nn.Module, source: nn.Module, decay: float) -> None:
    """Move the parameters of `average` towards those of `source`: decay * average + (1 - decay) * source."""
    averages: list[Tensor] = list(average.parameters())
    currents: list[Tensor] = list(source.parameters())
    torch._foreach_lerp_(averages, currents, 1.0 - decay)
    for old, new in zip(average.buffers(), source.buffers(), strict=True):
        old.copy_(new)
