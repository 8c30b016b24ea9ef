"""Focal and soft Dice loss of drawn masks, in the two conventions of the papers' released code.

Focal loss: Lin et al., https://arxiv.org/abs/1708.02002, eq. 4-5. Soft Dice: Milletari et al.,
https://arxiv.org/abs/1606.04797, section 3.

`focal-dice` (MRM's and MaCo's segmentation, mmsegmentation): two maps a finding, background and finding. 2 x the
sigmoid focal loss of both maps (gamma 2, alpha 0.5) + the Dice loss of their softmax, film by film, squares in the
denominator, smooth 1, of the finding alone but divided by the two classes.
`focal-log-dice` (MedIM's and MGCA's): one map a finding. 10 x the focal loss (gamma 2, no alpha) - log of the Dice of
the sigmoid over the whole batch, no squares, smooth 1.

Departures: with several findings each of them has its own loss and the mean counts; pixels and masks that are unknown
enter neither part (mmsegmentation leaves predictions on padding in the denominator of the Dice).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

UNKNOWN: Final = 255  # value of a mask's pixel whose truth nobody knows
Convention = Literal["focal-dice", "focal-log-dice"]


@dataclass(frozen=True)
class MaskLoss:
    """The numbers of one convention."""

    maps: int  # a finding: 2 are background and finding, of which the softmax is taken; 1 has a sigmoid
    focal: float  # weight of the focal part
    gamma: float  # of the focal part
    alpha: float | None  # its weight of positives; negatives have 1 - alpha; None: both 1
    dice: float  # weight of the Dice part
    squared: bool  # squares of probability and truth in the denominator of the Dice
    smooth: float  # added to its numerator and denominator
    over: Literal["film", "batch"]  # what one Dice spans
    log: bool  # -log(Dice) instead of 1 - Dice
    classes: int  # by which the Dice part is divided


CONVENTIONS: Final[dict[Convention, MaskLoss]] = {
    "focal-dice": MaskLoss(2, 2.0, 2.0, 0.5, 1.0, squared=True, smooth=1.0, over="film", log=False, classes=2),
    "focal-log-dice": MaskLoss(1, 10.0, 2.0, None, 1.0, squared=False, smooth=1.0, over="batch", log=True, classes=1),
}


def mask_probabilities(maps: Tensor) -> Tensor:
    """Maps (B, K, M, H, W) of raw values -> probability of each finding (B, K, H, W): sigmoid, or softmax of two."""
    return maps[:, :, 0].sigmoid() if maps.shape[2] == 1 else (maps[:, :, 1] - maps[:, :, 0]).sigmoid()


def mask_loss(maps: Tensor, truth: Tensor, convention: Convention) -> Tensor:
    """The loss of a batch, a scalar; 0 where no pixel is known.

    Args:
        maps: (B, K, M, H, W) raw values, M as the convention has it.
        truth: (B, K, H, W) uint8 of 0, 1 and `UNKNOWN`.
        convention: a name of `CONVENTIONS`.
    """
    rule = CONVENTIONS[convention]
    assert maps.shape[2] == rule.maps, f"{convention} takes {rule.maps} maps a finding, not {maps.shape[2]}"
    maps = maps.float()
    known = (truth != UNKNOWN).float()
    true = (truth == 1).float()
    focal = focal_loss(maps, true, known, gamma=rule.gamma, alpha=rule.alpha)
    dice, counted = soft_dice(
        mask_probabilities(maps), true, known, smooth=rule.smooth, squared=rule.squared, over=rule.over
    )
    missed = -torch.log(dice) if rule.log else 1 - dice
    part = (missed * counted).sum() / counted.sum().clamp(min=1) / rule.classes
    return rule.focal * focal + rule.dice * part


def focal_loss(maps: Tensor, true: Tensor, known: Tensor, *, gamma: float, alpha: float | None) -> Tensor:
    """Mean over known pixels, and over both maps where there are two, of the sigmoid focal loss.

    Args:
        maps: (B, K, M, H, W) raw values; of two maps the first is the background.
        true: (B, K, H, W) of 0 and 1.
        known: (B, K, H, W) of 0 and 1.
        gamma: how fast pixels that are right lose weight.
        alpha: weight of ones; zeros have 1 - alpha; None: no weights.
    """
    target = true[:, :, None] if maps.shape[2] == 1 else torch.stack([1 - true, true], dim=2)
    plain = F.binary_cross_entropy_with_logits(maps, target, reduction="none")
    wrong = torch.where(target == 1, 1 - maps.sigmoid(), maps.sigmoid())
    weighted = plain * wrong**gamma
    if alpha is not None:
        weighted = weighted * torch.where(target == 1, alpha, 1 - alpha)
    return (weighted * known[:, :, None]).sum() / (known.sum() * maps.shape[2]).clamp(min=1)


def soft_dice(
    probability: Tensor, true: Tensor, known: Tensor, *, smooth: float, squared: bool, over: Literal["film", "batch"]
) -> tuple[Tensor, Tensor]:
    """(2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), with squares where asked.

    Args:
        probability: (B, K, H, W) in [0, 1].
        true: (B, K, H, W) of 0 and 1.
        known: (B, K, H, W) of 0 and 1; unknown pixels are left out of every sum.
        smooth: above 0, so that two empty masks have Dice 1.
        squared: p^2 and t^2 in the denominator (V-Net).
        over: one Dice a film and finding, or one a finding over the batch.

    Returns:
        Dice and whether it counts (some pixel is known): (B, K) each, or (K,).
    """
    across = (2, 3) if over == "film" else (0, 2, 3)
    probability, true = probability * known, true * known
    both = (probability * true).sum(across)
    whole = (probability**2 + true**2 if squared else probability + true).sum(across)
    return (2 * both + smooth) / (whole + smooth), (known.sum(across) > 0).float()
