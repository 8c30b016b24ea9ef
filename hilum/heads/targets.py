"""Losses for targets with holes: a NaN target is an unknown label and has no part in loss or gradient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hilum.config import override
from hilum.errors import ConfigError
from hilum.labels import Targets
from hilum.losses.asymmetric import Asymmetry, asymmetric_cells
from hilum.losses.class_balanced import Balance, class_balanced_weights

LossName = Literal["bce", "class-balanced", "asymmetric"]
PLAIN: Final[LossName] = "bce"  # cross-entropy; over the classes where they are exclusive


@dataclass(frozen=True)
class LabelLoss:
    """Which loss a classifier learns by; `make` reads its options, and the counts that weights are made of.

    Multi-label: binary cross-entropy of each known cell, with targets `y (1 - s) + s / 2`. Multi-class: softmax
    cross-entropy of each known row, with targets `y (1 - s) + s / K`. "class-balanced" weighs cells or rows by their
    class, "asymmetric" plays easy negatives down (`losses/class_balanced.py`, `losses/asymmetric.py`).
    """

    kind: Targets = "multilabel"
    name: LossName = PLAIN
    smoothing: float = 0.0  # s in [0, 1)
    total: bool = False  # the sum over a batch's known labels instead of their mean
    asymmetry: Asymmetry = field(default_factory=Asymmetry)
    weights: tuple[tuple[float, ...], ...] = ()  # class-balanced: of present and absent (2, K); of classes (1, K)

    @classmethod
    def make(
        cls,
        targets: NDArray[np.float32] | Tensor,
        *,
        kind: Targets = "multilabel",
        name: LossName = PLAIN,
        options: dict[str, Any] | None = None,
        smoothing: float = 0.0,
        total: bool = False,
    ) -> Self:
        """The loss of a name, for some training targets.

        Args:
            targets: (N, K) of 1, 0 and NaN, whose counts make class-balanced weights.
            kind: independent findings, or classes of which exactly one holds.
            name: of the loss.
            options: of the loss: beta, or positive, negative and margin.
            smoothing: in [0, 1).
            total: sum instead of mean.

        Raises:
            ConfigError: a value without meaning, or the asymmetric loss for exclusive classes.
        """
        check_loss(kind, name, options or {})
        if name == "asymmetric":
            return cls(kind, name, smoothing, total, override(Asymmetry(), options or {}, where="loss_set"))
        if name == PLAIN:
            return cls(kind, name, smoothing, total)
        table = np.asarray(targets)
        counts = [(table == 1).sum(axis=0), (table == 0).sum(axis=0)][: 2 if kind == "multilabel" else 1]
        beta = override(Balance(), options or {}, where="loss_set").beta
        weights = class_balanced_weights(np.concatenate(counts).astype(np.float64), beta)
        rows = weights.reshape(len(counts), -1).tolist()
        return cls(kind, name, smoothing, total, weights=tuple(map(tuple, rows)))

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean (or sum) over the known labels; leading dimensions of `logits` beyond those of `targets` are kept.

        Args:
            logits: (..., B, K).
            targets: (B, K) of 1, 0 and NaN, or soft targets in [0, 1] (mixup); for classes the rows are one-hot or
                all NaN.

        Returns:
            (...): one number a leading index. With nothing known it is 0 and so is its gradient.
        """
        known = ~targets.isnan()
        plain = torch.where(known, targets, torch.zeros_like(targets))
        if self.kind == "multilabel":
            cells = self._cells(logits, plain)
            whole = torch.where(known, cells, torch.zeros_like(cells)).sum(dim=(-2, -1))
        else:
            known = known.all(dim=-1)
            rows = self._rows(logits, plain)
            whole = torch.where(known, rows, torch.zeros_like(rows)).sum(dim=-1)
        return whole if self.total else whole / known.sum().clamp(min=1)

    def _cells(self, logits: Tensor, targets: Tensor) -> Tensor:
        soft = targets * (1 - self.smoothing) + self.smoothing / 2
        if self.name == "asymmetric":
            return asymmetric_cells(logits, soft, self.asymmetry)
        cells = F.binary_cross_entropy_with_logits(logits, soft.expand_as(logits), reduction="none")
        if not self.weights:
            return cells
        present, absent = logits.new_tensor(self.weights)
        weight: Tensor = targets * present + (1 - targets) * absent
        return cells * weight

    def _rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        soft = targets * (1 - self.smoothing) + self.smoothing / targets.shape[-1]
        rows: Tensor = -(soft * logits.log_softmax(dim=-1)).sum(dim=-1)
        if not self.weights:
            return rows
        weight: Tensor = (targets * logits.new_tensor(self.weights[0])).sum(dim=-1)
        return rows * weight


def check_loss(kind: Targets, name: LossName, options: dict[str, Any]) -> None:
    """Refuse a loss that does not exist, does not fit the targets, or whose options mean nothing.

    Raises:
        ConfigError: saying which.
    """
    configs: dict[str, Any] = {PLAIN: None, "class-balanced": Balance(), "asymmetric": Asymmetry()}
    if name not in configs:
        raise ConfigError(f"unknown loss {name!r}", where="loss", fix=f"Known: {', '.join(configs)}")
    if name == "asymmetric" and kind == "multiclass":
        what = "the asymmetric loss is for independent findings, not for classes of which exactly one holds"
        raise ConfigError(what, where="loss", fix="Use --loss class-balanced, or --targets multilabel")
    if configs[name] is not None:
        override(configs[name], options, where="loss_set")
    elif options:
        what = f"{', '.join(options)} belongs to another loss than {name}"
        raise ConfigError(what, where="loss_set", fix="Leave it out, or name --loss class-balanced or asymmetric")


def target_loss(logits: Tensor, targets: Tensor, *, kind: Targets = "multilabel", smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the known labels, as `LabelLoss` defines it: (..., B, K), (B, K) -> (...)."""
    return LabelLoss(kind, smoothing=smoothing)(logits, targets)


def probabilities(logits: Tensor, kind: Targets = "multilabel") -> Tensor:
    """Scores in [0, 1]: a sigmoid per finding, or a softmax over the classes; (..., K) -> (..., K)."""
    return logits.sigmoid() if kind == "multilabel" else logits.softmax(dim=-1)
