"""The head of DINO and iBOT: a small network, a unit vector, and its cosine with very many prototypes.

Papers: DINO https://arxiv.org/abs/2104.14294, appendix C ("Projection head"); DINOv2 https://arxiv.org/abs/2304.07193,
section 4. Names of weights are those of the released checkpoints.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models.onednn import Linear, linear


class PrototypeHead(nn.Module):
    """Tokens to prototype scores: MLP, L2 normalisation, weight-normed linear layer without bias.

    Args:
        width: of the tokens.
        prototypes: K.
        hidden: width inside the MLP.
        bottleneck: width of the unit vector.
        layers: linear layers of the MLP, GELU between them; 1 is a single one, without hidden width.
    """

    def __init__(
        self, width: int, prototypes: int, *, hidden: int = 2048, bottleneck: int = 256, layers: int = 3
    ) -> None:
        super().__init__()
        widths = [width, *[hidden] * (layers - 1), bottleneck]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [nn.GELU()] if parts else []
            parts.append(_started(Linear(before, after)))
        self.mlp = nn.Sequential(*parts) if layers > 1 else parts[0]
        self.last_layer = Prototypes(bottleneck, prototypes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of tokens: (..., width) -> (..., K), each the cosine times that prototype's gain."""
        x = self.mlp(tokens)
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # 1e-12 is zero in float16
        scores: Tensor = self.last_layer(F.normalize(x, dim=-1, eps=1e-12))
        return scores


class Prototypes(nn.Module):
    """K directions `weight_v` (K, D) of any length but 0, with a gain each, `weight_g` (K, 1), which starts at 1."""

    def __init__(self, width: int, prototypes: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)  # how torch starts a linear layer; its length only sets how fast directions turn
        self.weight_g = nn.Parameter(torch.ones(prototypes, 1))
        self.weight_v = nn.Parameter(torch.empty(prototypes, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Product with the directions scaled to their gains: (..., D) -> (..., K)."""
        # torch's own scaling, one pass each way: with 131,072 prototypes the weights are larger than the batch
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        return linear(x.to(weight.dtype), weight, None)


def _started(layer: Linear) -> Linear:
    """A layer with small normal weights and no bias yet, as DINO starts its head."""
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
