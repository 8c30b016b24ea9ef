"""What a head is trained for and judged by: how many numbers it gives, their loss, and what validation maximises.

Targets are a table (N, T) with NaN for unknown. A grid of heads hands over all its logits at once, (G, B, outputs), and
gets one loss a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from torch import Tensor

from hilum.heads.choose import check_choosable, macro_auroc
from hilum.heads.targets import LabelLoss, probabilities

Select = Literal["auroc", "loss"]  # which number of the validation films decides


class Objective(Protocol):
    """Anything a head can be trained for."""

    @property
    def name(self) -> str:
        """What `value` is, one word for logs and tables: "auroc"."""
        ...

    @property
    def outputs(self) -> int:
        """Columns of logits that the head must give."""
        ...

    def check(self, targets: Tensor) -> None:
        """Refuse validation targets (N, T) by which nothing can be chosen, with a `UserError`."""
        ...

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of each leading index: (..., B, outputs) and (B, T) with NaN -> (...); nothing known costs 0."""
        ...

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        """What validation maximises, from logits (N, outputs) float64 on the CPU; None where it is not defined."""
        ...

    def scores(self, logits: Tensor) -> Tensor:
        """What users see: (N, outputs) -> (N, T'), larger means more likely, or earlier."""
        ...


@dataclass(frozen=True)
class ClassificationObjective:
    """Findings, independent or exclusive: a loss over the known labels, chosen by macro AUROC or by that loss."""

    outputs: int  # K findings
    learn: LabelLoss = field(default_factory=LabelLoss)
    select: Select = "auroc"

    @property
    def name(self) -> str:
        """What is maximised: "auroc", or "negative_loss" where the loss decides."""
        return "auroc" if self.select == "auroc" else "negative_loss"

    def check(self, targets: Tensor) -> None:
        """Refuse targets in which no finding has both classes."""
        check_choosable(targets.numpy())

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss over the known labels: (..., B, K), (B, K) -> (...)."""
        return self.learn(logits, targets)

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        """Macro AUROC over the findings with both classes, or minus the mean loss without label smoothing."""
        if self.select == "auroc":
            return macro_auroc(targets.numpy(), self.scores(logits).numpy())
        loss = float(validation_loss(self.learn)(logits, targets.to(logits)))
        return -loss if math.isfinite(loss) else None

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (N, K)."""
        return probabilities(logits, self.learn.kind)


def validation_loss(learn: LabelLoss) -> LabelLoss:
    """The loss that validation films are measured by: a mean, of labels as they are."""
    return replace(learn, smoothing=0.0, total=False)
