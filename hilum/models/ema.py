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

    @torch.no_grad()
    def update(self, source: nn.Module, decay: float | None = None) -> None:
        """Move towards `source`, by `decay` where given (a schedule) and the stored one otherwise."""
        rate = self.decay if decay is None else decay
        averages: list[Tensor] = list(self.module.parameters())
        currents: list[Tensor] = list(source.parameters())
        torch._foreach_lerp_(averages, currents, 1.0 - rate)
        for average, current in zip(self.module.buffers(), source.buffers(), strict=True):
            average.copy_(current)
