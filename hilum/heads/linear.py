"""One linear layer: logistic regression on features, the usual yardstick of a representation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from hilum.heads.standardise import Standardise
from hilum.heads.taps import Reads


@dataclass(frozen=True)
class LinearConfig:
    """Options of the linear head."""

    init_std: float = 2e-5  # of the truncated normal weights, as in MAE's fine-tuning; the first scores are about 0.5
    standardise: bool = True  # by the training films' mean and spread; off: features as they are, as MedIM's probe


class LinearHead(nn.Module):
    """Features (..., width), standardised unless told otherwise -> logits (..., outputs)."""

    Config = LinearConfig
    reads: ClassVar[Reads] = "pooled"

    def __init__(self, width: int, outputs: int, config: LinearConfig | None = None) -> None:
        super().__init__()
        self.config = config or LinearConfig()
        self.standardise = Standardise(width) if self.config.standardise else None
        self.classify = nn.Linear(width, outputs)
        nn.init.trunc_normal_(self.classify.weight, std=self.config.init_std)
        nn.init.zeros_(self.classify.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Features (..., width) -> logits (..., outputs)."""
        logits: Tensor = self.classify(x if self.standardise is None else self.standardise(x))
        return logits
