"""The transformer block of the ViT: pre-norm attention and MLP, with timm's names for the weights.

Every part is plain: attention through `scaled_dot_product_attention`, exact GELU, and nothing that is
switched off (dropout, identity layers) in the path. `start` lets a caller ask for the outputs of the tail
of the sequence only: keys and values still come from all tokens, so the result equals the tail of the full
one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models.onednn import Linear, linear


def keep_some(x: Tensor, rate: float, branch: Callable[[Tensor], Tensor]) -> Tensor:
    """Stochastic depth that skips work (DINOv2, arXiv 2304.07193, section 5): a branch of B (1 - rate) samples only.

    The rest of the batch is not computed; what is, counts B / kept, so that its mean is that of the whole batch.

    Args:
        x: (B, N, D) that the branch is added to.
        rate: share of samples in [0, 1) that go without; at least one is kept.
        branch: (kept, N, D) -> (kept, N, D).
    """
    batch = len(x)
    kept = max(1, int(batch * (1 - rate)))
    rows = torch.randperm(batch, device=x.device)[:kept]
    return torch.index_add(x, 0, rows, branch(x[rows]).to(x.dtype), alpha=batch / kept)


def drop_path(branch: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth per sample (Huang 2016): a branch is zero with probability `rate`, else / (1 - rate).

    Args:
        branch: (B, N, D) output of a residual branch.
        rate: probability in [0, 1).
        training: off means the branch is returned as it is.
    """
    if rate == 0.0 or not training:
        return branch
    kept = torch.empty(branch.shape[0], 1, 1, dtype=branch.dtype, device=branch.device).bernoulli_(1 - rate)
    return branch * (kept / (1 - rate))


class Attention(nn.Module):
    """Multi-head self-attention; keys `qkv`, `proj`."""

    def __init__(self, width: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width, bias=qkv_bias)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Attend: x (B, N, D) -> (B, N - start, D), the outputs of the tokens from `start` on."""
        query, key, value = self._split(x, start)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out

    def weights(self, x: Tensor) -> Tensor:
        """Attention of every token over all tokens: x (B, N, D) -> (B, heads, N, N), rows sum to 1."""
        query, key, _ = self._split(x, 0)
        scale = query.shape[-1] ** -0.5
        return torch.softmax((query * scale) @ key.transpose(-2, -1), dim=-1)

    def forward_with_weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attend, and keep the weights in the graph: x (B, N, D) -> (B, N, D), (B, heads, N, N).

        The output is that of `forward` but for rounding; the weights take N * N numbers a head, which the fused path
        never writes down.
        """
        query, key, value = self._split(x, 0)
        weights = torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1), dim=-1)
        out: Tensor = self.proj((weights @ value).transpose(1, 2).flatten(2))
        return out, weights

    @torch.no_grad()
    def first_weights(self, x: Tensor) -> Tensor:
        """Attention of the first token alone, without gradient: x (B, N, D) -> (B, heads, N), rows sum to 1."""
        width, weight, bias = x.shape[-1], self.qkv.weight, self.qkv.bias
        of_query, of_key = (None, None) if bias is None else (bias[:width], bias[width : 2 * width])
        query = linear(x[:, :1], weight[:width], of_query)
        key = linear(x, weight[width : 2 * width], of_key)
        query, key = (part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (query, key))
        return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1), dim=-1)[:, :, 0]

    def _split(self, x: Tensor, start: int) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each (B, heads, tokens, D / heads); queries from `start` on."""
        batch, tokens, width = x.shape
        if start == 0:
            joint = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads)
            query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)
            return query, key, value
        weight, bias = self.qkv.weight, self.qkv.bias
        of_tail = linear(x[:, start:], weight[:width], None if bias is None else bias[:width])
        of_all = linear(x, weight[width:], None if bias is None else bias[width:])
        query = of_tail.view(batch, tokens - start, self.heads, -1).transpose(1, 2)
        key, value = of_all.view(batch, tokens, 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value


class Mlp(nn.Module):
    """Two layers with exact GELU between; keys `fc1`, `fc2`."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token: (..., D) -> (..., D)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class SwiGlu(nn.Module):
    """Gated MLP of DINOv2, silu(first half) * second half; keys `w12`, `w3`.

    The hidden width is two thirds of the MLP's, rounded up to a multiple of 8, so both have about the same
    weights.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        gated = (int(hidden * 2 / 3) + 7) // 8 * 8
        self.w12 = Linear(width, 2 * gated)
        self.w3 = Linear(gated, width)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token: (..., D) -> (..., D)."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        out: Tensor = self.w3(F.silu(gate) * value)
        return out


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch (Touvron 2021); key `gamma`."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.initial = initial
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """Scale channels: (..., D) -> (..., D)."""
        return x * self.gamma


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); keys norm1, attn, [ls1], norm2, mlp, [ls2]."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        norm_eps: float = 1e-6,
        mlp: Literal["gelu", "swiglu"] = "gelu",
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        drop_path_skip: bool = False,
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.drop_path_skip = drop_path_skip
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        self.attn = Attention(width, heads, qkv_bias)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        kind = {"gelu": Mlp, "swiglu": SwiGlu}[mlp]
        self.mlp: nn.Module = kind(width, int(width * mlp_ratio))
        self.ls1 = None if layer_scale is None else LayerScale(width, layer_scale)
        self.ls2 = None if layer_scale is None else LayerScale(width, layer_scale)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Transform tokens: (B, N, D) -> (B, N - start, D); all are attended to, the tail comes out."""
        if self.drop_path_skip and self.training and self.drop_path > 0 and start == 0:
            x = keep_some(x, self.drop_path, self._attended)
            return keep_some(x, self.drop_path, self._transformed)
        x = x[:, start:] + drop_path(self._attended(x, start), self.drop_path, self.training)
        return x + drop_path(self._transformed(x), self.drop_path, self.training)

    def _attended(self, x: Tensor, start: int = 0) -> Tensor:
        out: Tensor = self.attn(self.norm1(x), start)
        return out if self.ls1 is None else self.ls1(out)

    def _transformed(self, x: Tensor) -> Tensor:
        out: Tensor = self.mlp(self.norm2(x))
        return out if self.ls2 is None else self.ls2(out)
