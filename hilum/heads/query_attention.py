"""Multi-head attention of a few queries over many tokens, without forming keys and values.

The usual form (arXiv 1706.03762, 3.2.2) projects every token to a key and a value. With M queries that are the same for
every film it is cheaper to project the queries back: `q . (K t) = (K^T q) . t`, and `sum a (V t) = V (sum a t)`. The
numbers are those of `nn.MultiheadAttention`; a token costs 2 M heads instead of 2 dim multiplications a channel, and
nothing of a token but itself is kept for the backward pass.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from hilum.errors import ConfigError


class QueryAttention(nn.Module):
    """Queries (M, D) over tokens (B, P, D) -> (B, M, D).

    Args:
        dim: D channels.
        heads: of attention; divides D.
        dropout: of the attention weights, in [0, 1).

    Raises:
        ConfigError: the heads do not divide the channels.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ConfigError(f"{heads} heads do not divide {dim} channels", where="heads")
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.query, self.key, self.value):
            bound = math.sqrt(6 / (4 * dim))  # Xavier over the three at once, as nn.MultiheadAttention
            nn.init.uniform_(layer.weight, -bound, bound)
        for layer in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(layer.bias)

    def weights(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Attention weights of every head: (M, D), (B, P, D) -> (B, heads, M, P), rows sum to 1."""
        q = self._apart(self.query(queries).T).transpose(1, 2)  # (h, M, D / h)
        q = q / math.sqrt(q.shape[-1])
        back = q @ self._apart(self.key.weight)  # (h, M, D): what each query looks for among tokens
        same = q @ self._apart(self.key.bias[:, None])  # (h, M, 1): equal for all tokens, so no softmax sees it
        scores = (tokens @ back.flatten(0, 1).T).transpose(1, 2)  # (B, h * M, P)
        return (scores.reshape(len(tokens), *back.shape[:2], -1) + same).softmax(dim=-1)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """What each query gathers: (M, D), (B, P, D) -> (B, M, D)."""
        weights = self.dropout(self.weights(queries, tokens))
        gathered = (weights.flatten(1, 2) @ tokens).reshape(*weights.shape[:3], -1)  # (B, h, M, D)
        value = gathered @ self._apart(self.value.weight).transpose(1, 2)  # (B, h, M, D / h)
        value = value + weights.sum(dim=-1, keepdim=True) * self._apart(self.value.bias[:, None]).transpose(1, 2)
        joined: Tensor = self.out(value.transpose(1, 2).flatten(2))
        return joined

    def _apart(self, rows: Tensor) -> Tensor:
        """Rows of all heads, (D, n), head by head: (h, D / h, n)."""
        return rows.reshape(self.heads, -1, rows.shape[-1])
