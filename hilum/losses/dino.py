"""DINO: a student sorts one crop of a film into prototypes as its teacher sorts another crop.

Papers: DINO https://arxiv.org/abs/2104.14294, eq. 1 to 4 (cross-entropy, centre of the teacher); DINOv2
    https://arxiv.org/abs/2304.07193, section 4. Facts checked against RPIDIAL/CheXFound at a4bac49, nothing copied.
Departures: the cross-entropies of one student with all teachers are one cross-entropy with the sum of their targets;
the centre moves by the mean over all rows of all ranks, not by the mean of the means of ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hilum.losses.gather import total
from hilum.losses.sinkhorn import normalise_rows
from hilum.losses.soft_cross_entropy import soft_cross_entropy


def dino_loss(students: Sequence[Tensor], teachers: Sequence[Tensor], *, temperature: float = 0.1) -> Tensor:
    """Sum over all pairs of a student and a teacher of the mean cross-entropy over the batch.

    Args:
        students: logits of crops, each (B, K), any floating type.
        teachers: targets of crops, each (B, K) probabilities; at least one.
        temperature: of the student.

    Returns:
        Scalar in float32 or better, not divided by the number of pairs; zero without a student.
    """
    targets = sum(teachers[1:], start=teachers[0])
    loss = targets.new_zeros(())
    for student in students:
        loss = loss + soft_cross_entropy(student, targets, temperature).sum() / max(len(student), 1)
    return loss


class Center(nn.Module):
    """Softmax targets of a teacher around its running mean (DINO, eq. 4), so that no prototype takes all.

    Args:
        prototypes: K.
        momentum: share of the old centre that an update keeps.
    """

    center: Tensor

    def __init__(self, prototypes: int, *, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(1, prototypes))

    @torch.no_grad()
    def targets(self, logits: Tensor, temperature: float) -> Tensor:
        """softmax((logits - centre) / temperature): (B, K) -> (B, K) float32 or better, no gradient."""
        return normalise_rows((logits - self.center).div_(temperature)).exp_()

    @torch.no_grad()
    def update(self, logits: Tensor) -> None:
        """Move towards the mean of (B, K) logits over the rows of all ranks, which may differ in number.

        Ask for the targets of a batch before its update; without any row the centre stays.
        """
        rows = total(self.center.new_tensor(float(len(logits))))
        mean = total(logits.sum(0, keepdim=True, dtype=self.center.dtype)) / rows.clamp_min(1)
        self.center.lerp_(torch.where(rows > 0, mean, self.center), 1 - self.momentum)
