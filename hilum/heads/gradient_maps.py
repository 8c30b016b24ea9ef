"""Where a score comes from, by its gradient: relevance through the attention of all blocks, and Grad-CAM.

- Relevance (Chefer, Gur and Wolf, https://arxiv.org/abs/2103.15679, section 3.2, equations 5 and 6): of each block's
  attention A only what raises the score counts, `mean over heads of (dy/dA * A)+`; it is gathered through the stack
  as `R <- R + A R`, from the identity. A row of R says which tokens of the input that token's answer rests on.
- Grad-CAM (Selvaraju et al., https://arxiv.org/abs/1610.02391, section 3, equations 1 and 2): channels of a map
  weighted by the mean of their gradient over its places, `relu(sum_d mean_p(dy/da_pd) a_pd)`. Where the mean of the map
  is read by a linear layer this is the class activation map, exactly.

Departures: the relevance of a block is divided by nothing, as in equation 6 (the authors' normalised rule, 8 and 9, is
for two modalities); negative evidence is left out of both, as published.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def relevance(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """Tokens of the input (columns) that each token's part in a score rests on (rows).

    Args:
        weights: attention of every block, first block first, (B, heads, N, N).
        gradients: of the score by each of them, the same shapes.

    Returns:
        (B, N, N), at least 0; the identity where nothing raises the score.
    """
    first = weights[0]
    joint = torch.eye(first.shape[-1], dtype=first.dtype, device=first.device).expand(len(first), -1, -1)
    for attention, gradient in zip(weights, gradients, strict=True):
        joint = joint + (gradient * attention).clamp(min=0).mean(dim=1) @ joint
    return joint


def grad_cam(places: Tensor, gradient: Tensor) -> Tensor:
    """Grad-CAM of a map of features.

    Args:
        places: (B, P, D) features at P places.
        gradient: (B, P, D) of the score by them.

    Returns:
        (B, P), at least 0.
    """
    channels = gradient.mean(dim=1, keepdim=True)
    return (places * channels).sum(dim=-1).clamp(min=0)
