"""Masked language modelling: the cross-entropy of the hidden words, one mean over the words of all devices.

Papers: BERT, https://arxiv.org/abs/1810.04805, task 1; MRM, https://arxiv.org/abs/2301.13155, Eq. 1.
Departures: Eq. 1 is a sum over the hidden words of a report; this is the mean over the hidden words of the batch, so
that the weight of the image loss beside it does not depend on the length of reports.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.losses.gather import total, world


def masked_language_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over the chosen positions of all devices, in float32 under any autocast.

    The number of positions differs between devices, so a mean of means would weigh words unequally: each device
    divides its own sum by the count of all and multiplies by the number of devices. The mean of these values over
    devices is the loss of the global batch, and the mean of their gradients is its gradient.

    Args:
        logits: (N, V) scores of the vocabulary at this device's chosen positions; N may be 0.
        targets: (N,) int64 true entries.

    Returns:
        Scalar; 0 where no device has a position.
    """
    exact = torch.promote_types(logits.dtype, torch.float32)
    summed = F.cross_entropy(logits.to(exact), targets, reduction="sum")
    count = total(torch.tensor(len(targets), device=targets.device))
    return summed * world() / count.clamp(min=1)
