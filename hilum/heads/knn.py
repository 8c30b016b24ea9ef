"""k nearest neighbours by cosine similarity: what an encoder's space knows before anything is trained on it.

Votes are weighted by `exp(similarity / temperature)` (Wu et al., arXiv 1805.01978, eq. 5-6, as in DINO's
evaluation). The search is an exact product in blocks.

Departures: a neighbour whose label for a finding is unknown has no vote on that finding.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def knn_scores(
    train: Tensor,
    targets: Tensor,
    queries: Tensor,
    *,
    k: int = 20,
    temperature: float = 0.07,
    block: int = 1024,
) -> Tensor:
    """Scores in [0, 1] of the queries from their nearest training films.

    Args:
        train: features (N, D) of the films that vote.
        targets: (N, K) of 1, 0, NaN.
        queries: features (M, D).
        k: neighbours; all films when there are fewer.
        temperature: of the weights, on cosine similarity in [-1, 1].
        block: queries a product; sets the memory, not the result.

    Returns:
        (M, K): the weighted share of present among the known labels of the k neighbours; where none of them
        is known, the share among all training films, or 0.5 when nobody knows.
    """
    bank = F.normalize(train, dim=1)
    known = (~targets.isnan()).to(bank)
    values = targets.nan_to_num(0.0).to(bank)
    total = known.sum(dim=0)
    prior = torch.where(total > 0, values.sum(dim=0) / total.clamp(min=1), torch.full_like(total, 0.5))
    parts = []
    for query in torch.split(queries, block):
        similarity, index = (F.normalize(query, dim=1) @ bank.T).topk(min(k, len(bank)), dim=1)
        weight = ((similarity - similarity[:, :1]) / temperature).exp()  # (b, k); the nearest has weight 1
        votes = torch.einsum("bk,bkc->bc", weight, known[index])
        present = torch.einsum("bk,bkc->bc", weight, values[index])
        tiny = torch.finfo(bank.dtype).tiny
        parts.append(torch.where(votes > 0, present / votes.clamp(min=tiny), prior))
    return torch.cat(parts) if parts else values.new_zeros((0, targets.shape[1]))
