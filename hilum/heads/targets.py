"""Losses for targets with holes: a NaN target is an unknown label and has no part in loss or gradient."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hilum.labels import Targets


def target_loss(logits: Tensor, targets: Tensor, *, kind: Targets = "multilabel", smoothing: float = 0.0) -> Tensor:
    """Mean loss over the known labels; leading dimensions of `logits` beyond those of `targets` are kept.

    Multi-label: binary cross-entropy, mean over the known cells, with targets `y (1 - s) + s / 2`.
    Multi-class: softmax cross-entropy, mean over the known rows, with targets `y (1 - s) + s / K`. With
    nothing known the loss is 0 and so is its gradient.

    Args:
        logits: (..., B, K).
        targets: (B, K) of 1, 0 and NaN, or soft targets in [0, 1] (mixup); for classes the rows are one-hot
            or all NaN.
        kind: independent findings, or classes of which exactly one holds.
        smoothing: s in [0, 1).

    Returns:
        (...): one mean a leading index.
    """
    known = ~targets.isnan()
    soft = torch.where(known, targets, torch.zeros_like(targets))
    if kind == "multilabel":
        soft = soft * (1 - smoothing) + smoothing / 2
        cells = F.binary_cross_entropy_with_logits(logits, soft.expand_as(logits), reduction="none")
        return torch.where(known, cells, torch.zeros_like(cells)).sum(dim=(-2, -1)) / known.sum().clamp(min=1)
    soft = soft * (1 - smoothing) + smoothing / targets.shape[-1]
    rows = known.all(dim=-1)
    cells = -(soft * logits.log_softmax(dim=-1)).sum(dim=-1)
    return torch.where(rows, cells, torch.zeros_like(cells)).sum(dim=-1) / rows.sum().clamp(min=1)


def probabilities(logits: Tensor, kind: Targets = "multilabel") -> Tensor:
    """Scores in [0, 1]: a sigmoid per finding, or a softmax over the classes; (..., K) -> (..., K)."""
    return logits.sigmoid() if kind == "multilabel" else logits.softmax(dim=-1)
