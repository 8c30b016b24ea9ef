"""One hidden layer: what the CXRBase paper puts on its encoder (arXiv 2410.08861, "multilayer perceptron").

The paper gives neither width nor activation; a GELU layer of 256 units is our choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from hilum.heads.standardise import Standardise
from hilum.heads.taps import Reads


@dataclass(frozen=True)
class MLPConfig:
    """Options of the multilayer perceptron."""

    hidden: int = 256  # units of the hidden layer
    init_std: float = 0.02  # of the truncated normal weights of the hidden layer; the output layer starts at 2e-5


class MLPHead(nn.Module):
    """Standardised features (..., width) -> hidden GELU layer -> logits (..., outputs)."""

    Config = MLPConfig
    reads: ClassVar[Reads] = "pooled"

    def __init__(self, width: int, outputs: int, config: MLPConfig | None = None) -> None:
        super().__init__()
        self.config = config or MLPConfig()
        self.standardise = Standardise(width)
        self.hidden = nn.Linear(width, self.config.hidden)
        self.classify = nn.Linear(self.config.hidden, outputs)
        nn.init.trunc_normal_(self.hidden.weight, std=self.config.init_std)
        nn.init.trunc_normal_(self.classify.weight, std=2e-5)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.classify.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Features (..., width) -> logits (..., outputs)."""
        logits: Tensor = self.classify(F.gelu(self.hidden(self.standardise(x))))
        return logits
