"""KoLeo: the class tokens of a batch keep their distance from each other, so that they fill the sphere.

Paper: Spreading vectors for similarity search, https://arxiv.org/abs/1806.03198, eq. 2 (an estimate of differential
    entropy from nearest neighbours, after Kozachenko and Leonenko), as DINOv2 https://arxiv.org/abs/2304.07193, section
    4, uses it. Facts checked against RPIDIAL/CheXFound at a4bac49, nothing copied.
Departures: by default the neighbour is sought among all ranks' vectors, so the loss does not depend on the number of
devices (the released codes look among each rank's own: `gathered=False`). A lone vector has no neighbour and loses 0;
no vector is its own neighbour (in the released codes it can be, where every other vector is its opposite).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.losses.gather import gather, rank

EPSILON = 1e-8  # of the length, of the distance and of its logarithm, as in the released codes


def koleo_loss(x: Tensor, *, gathered: bool = True) -> Tensor:
    """-mean(log(distance to the nearest neighbour)) of unit vectors.

    Args:
        x: (B, D) vectors of any length and floating type, B the same on every rank.
        gathered: seek neighbours among the vectors of all ranks; the mean of the ranks' losses is then the loss of the
            global batch, and the mean of their gradients its gradient.

    Returns:
        Scalar in float32 or better; zero of fewer than two vectors.
    """
    distances = nearest_distance(x, gathered=gathered)
    return -(distances + EPSILON).log().sum() / max(len(distances), 1)


def nearest_distance(x: Tensor, *, gathered: bool = True) -> Tensor:
    """Distance of each unit vector to its nearest neighbour, in [0, 2].

    Args:
        x: (B, D) vectors of any length and floating type, B the same on every rank.
        gathered: seek among the vectors of all ranks.

    Returns:
        (B,) float32 or better, with gradient to both ends; (0,) of fewer than two vectors.
    """
    with torch.autocast(x.device.type, enabled=False):
        own = F.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=1, eps=EPSILON)
        everyone = gather(own) if gathered else own
        if len(everyone) < 2:
            return own.sum(1)[:0]
        with torch.no_grad():
            cosine = own @ everyone.T
            cosine.diagonal(rank() * len(own) if gathered else 0).fill_(
                -2
            )  # below every cosine, so that opposite vectors are neighbours, too
            nearest = cosine.argmax(1)
        return F.pairwise_distance(own, everyone[nearest], eps=EPSILON)
