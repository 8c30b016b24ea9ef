"""CheXFound's linear probe: one linear layer on the class tokens of the last four blocks, side by side.

Paper: https://arxiv.org/abs/2502.05142, IV-A; code: RPIDIAL/CheXFound at a4bac49, after DINOv2 (arXiv 2304.07193). The
tokens are not standardised, so the rate that suits depends on the encoder, and the grid of rates is wide.

Departures: gradients that are not numbers are not set to 0 as in the released loop: a rate that diverges must lose the
choice, not go on with half of its weights trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from torch import Tensor, nn

from hilum.heads.taps import Part, Reads, Taps

PAPER_LRS: Final = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3)  # IV-A
RELEASED_LRS: Final = (*PAPER_LRS, 1e-2, 2e-2, 5e-2, 0.1)


@dataclass(frozen=True)
class CheXFoundProbeConfig:
    """Options of the probe."""

    blocks: int = 4  # of the encoder, counted from the end
    init_std: float = 0.01  # of the normal weights

    @property
    def parts(self) -> tuple[Part, ...]:
        """What of the tokens is read."""
        return ("cls",)


class CheXFoundProbe(nn.Module):
    """Class tokens of the last blocks -> logits (B, outputs).

    Args:
        width: channels of a tap: blocks times the encoder's width.
        outputs: columns of logits.
        config: options, the defaults when None.
    """

    Config = CheXFoundProbeConfig
    LRS: ClassVar[tuple[float, ...]] = PAPER_LRS
    reads: ClassVar[Reads] = "taps"

    def __init__(self, width: int, outputs: int, config: CheXFoundProbeConfig | None = None) -> None:
        super().__init__()
        self.config = config or CheXFoundProbeConfig()
        self.classify = nn.Linear(width, outputs)
        nn.init.normal_(self.classify.weight, std=self.config.init_std)
        nn.init.zeros_(self.classify.bias)

    def forward(self, taps: Taps) -> Tensor:
        """Logits (B, outputs)."""
        assert taps.cls is not None, "this head reads class tokens"
        logits: Tensor = self.classify(taps.cls)
        return logits
