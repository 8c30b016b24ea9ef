"""Standardise features by the mean and spread of the training films; the two vectors travel inside the head.

A frozen encoder's features differ by orders of magnitude between dimensions and between encoders. Dividing
each by its own spread lets one grid of learning rates serve every encoder; MAE's linear probe reaches the
same with a BatchNorm that has no weights (arXiv 2111.06377, appendix A.1), whose statistics we take once,
from all training films.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from hilum.heads.taps import Part, Taps

TOKENS: Final = 2**14  # patch tokens that statistics are taken from, spread evenly over those given


class Standardise(nn.Module):
    """`(x - mean) / std` with buffers of shape (width,); the identity until `fit` was called."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def fit(self, features: Tensor) -> None:
        """Take mean and spread from training features (N, width); a constant dimension is only centred."""
        wide = features.double()
        std = wide.std(dim=0, correction=0)
        constant = std <= 1e-6 * wide.abs().amax(dim=0)
        self.mean.copy_(wide.mean(dim=0))
        self.std.copy_(torch.where(constant, torch.ones_like(std), std))

    def forward(self, x: Tensor) -> Tensor:
        """Features (..., width) -> the same shape, about zero mean and unit spread on training films."""
        return (x - self.mean) / self.std


class StandardiseTaps(nn.Module):
    """Statistics of class and patch tokens, apart: their channels differ in mean and spread."""

    def __init__(self, width: int, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({part: Standardise(width) for part in parts})

    def of(self, part: Part) -> Standardise:
        """The statistics of one part."""
        chosen = self.parts[part]
        assert isinstance(chosen, Standardise)
        return chosen

    def fit(self, taps: Taps) -> None:
        """Take mean and spread from training films."""
        for part, tokens in (("cls", taps.cls), ("patch", taps.patches)):
            if part in self.parts:
                assert tokens is not None, f"no {part} tokens were given"
                rows = tokens.flatten(0, -2)
                chosen = self.parts[part]
                assert isinstance(chosen, Standardise)
                chosen.fit(rows[:: -(-len(rows) // TOKENS)])


def folded(layer: nn.Linear, statistics: Standardise) -> tuple[Tensor, Tensor]:
    """Weight and bias that do on raw features what `layer` does on standardised ones."""
    weight = layer.weight / statistics.std
    shift = weight @ statistics.mean
    return weight, -shift if layer.bias is None else layer.bias - shift
