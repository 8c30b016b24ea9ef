"""Asymmetric loss: cross-entropy in which the many easy negatives of a rare finding weigh little.

Paper: Ridnik et al. 2021, https://arxiv.org/abs/2009.14119, equations 4 to 7. With p the probability of a finding and
p_m = max(p - m, 0):

    positive:  -(1 - p)^g+ log p          negative:  -(p_m)^g- log(1 - p_m)

g- focuses on hard negatives, g+ is small so that rare positives keep their gradient, and the margin m discards
negatives below it altogether. A target between 0 and 1 (label smoothing, mixup) weighs the two. m = 0 and g+ = g- is
the focal loss (https://arxiv.org/abs/1708.02002) without its alpha; all three 0 is cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from torch import Tensor
from torch.nn import functional as F

from hilum.errors import ConfigError

_LEAST: Final = 1e-8  # a base of powers is never 0, where the slope of a root is infinite


@dataclass(frozen=True)
class Asymmetry:
    """The three numbers of the loss; the paper's for multi-label data (section 4.2)."""

    positive: float = 0.0  # g+, exponent of positives
    negative: float = 4.0  # g-, exponent of negatives
    margin: float = 0.05  # m, probability below which a negative costs nothing

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        if self.positive < 0 or self.negative < 0:
            what = f"exponents must be 0 or more, not {self.positive} and {self.negative}"
            raise ConfigError(what, where="loss_set", fix="The paper has positive 0 and negative 4")
        if not 0 <= self.margin < 1:
            raise ConfigError(f"margin must be in [0, 1), not {self.margin}", where="loss_set", fix="0 switches it off")


def asymmetric_cells(logits: Tensor, targets: Tensor, asymmetry: Asymmetry) -> Tensor:
    """Loss of every cell, not reduced.

    Args:
        logits: (..., B, K).
        targets: (B, K) in [0, 1], without NaN.
        asymmetry: exponents and margin.

    Returns:
        (..., B, K), all 0 or more.
    """
    positive = -F.logsigmoid(logits)
    if asymmetry.positive:
        positive = positive * logits.neg().sigmoid().clamp(min=_LEAST) ** asymmetry.positive
    if asymmetry.margin:
        shifted = (logits.sigmoid() - asymmetry.margin).clamp(min=_LEAST)
        negative = -(1 - shifted).log()  # 1 - shifted is m at least
    else:
        shifted, negative = logits.sigmoid().clamp(min=_LEAST), -F.logsigmoid(-logits)
    if asymmetry.negative:
        negative = negative * shifted**asymmetry.negative
    return targets * positive + (1 - targets) * negative
