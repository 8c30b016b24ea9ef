"""What a head is trained for and judged by: how many numbers it gives, their loss, and what validation maximises.

Targets are a table (N, T) with NaN for unknown. A grid of heads hands over all its logits at once, (G, B, outputs), and
gets one loss a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from hilum.heads.choose import check_choosable, macro_auroc
from hilum.heads.targets import probabilities, target_loss
from hilum.labels import Targets


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
    """Findings, independent or exclusive: cross-entropy over the known labels, chosen by macro AUROC."""

    outputs: int  # K findings
    kind: Targets = "multilabel"
    smoothing: float = 0.0  # label smoothing in [0, 1)
    loss_sum: bool = False  # the sum over the known labels of a batch instead of their mean
    name: str = "auroc"

    def check(self, targets: Tensor) -> None:
        """Refuse targets in which no finding has both classes."""
        check_choosable(targets.numpy())

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, mean or sum over the known labels: (..., B, K), (B, K) -> (...)."""
        mean = target_loss(logits, targets, kind=self.kind, smoothing=self.smoothing)
        if not self.loss_sum:
            return mean
        known = ~targets.isnan()
        return mean * (known if self.kind == "multilabel" else known.all(dim=-1)).sum()

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        """Macro AUROC over the findings with both classes."""
        return macro_auroc(targets.numpy(), self.scores(logits).numpy())

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (N, K)."""
        return probabilities(logits, self.kind)
