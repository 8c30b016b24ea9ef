"""The transformer block of the ViT: pre-norm attention and MLP, with timm's names for the weights.

Every part is plain: attention through `scaled_dot_product_attention`, one of the MLPs of `mlp.py`, and
nothing that is switched off (dropout, identity layers) in the path. `start` lets a caller ask for the outputs
of the tail of the sequence only: keys and values still come from all tokens, so the result equals the tail of
the full one. `rotation` turns queries and keys by their places (rotary.py).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models.mlp import MlpKind, build_mlp
from hilum.models.onednn import Linear, linear
from hilum.models.rotary import Rotation


def keep_some(x: Tensor, rate: float, branch: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Stochastic depth that skips work (DINOv2, arXiv 2304.07193, section 5): a branch of B (1 - rate) samples only.

    The rest of the batch is not computed; what is, counts B / kept, so that its mean is that of the whole batch.

    Args:
        x: (B, N, D) that the branch is added to.
        rate: share of samples in [0, 1) that go without; at least one is kept.
        branch: (kept, N, D) and their numbers in the batch (kept,) -> (kept, N, D).
    """
    batch = len(x)
    kept = max(1, int(batch * (1 - rate)))
    rows = torch.randperm(batch, device=x.device)[:kept]
    return torch.index_add(x, 0, rows, branch(x[rows], rows).to(x.dtype), alpha=batch / kept)


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
    """Multi-head self-attention; keys `qkv`, `proj`, [`q_bias`, `v_bias`], [`norm`].

    Args:
        width: D, features of a token.
        heads: D must divide by it.
        qkv_bias: whether queries, keys and values have a bias.
        key_bias: with `qkv_bias` off for the keys alone, the other two are `q_bias` and `v_bias` (BEiT, EVA). A bias
            of the keys adds the same to a query's every score, which the softmax does not see.
        norm_eps: epsilon of a LayerNorm over the mixed values, before `proj` (sub-LN of EVA-02); None leaves it out.
    """

    def __init__(
        self, width: int, heads: int, qkv_bias: bool, *, key_bias: bool = True, norm_eps: float | None = None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(width, 3 * width, bias=qkv_bias and key_bias)
        apart = qkv_bias and not key_bias
        self.q_bias = nn.Parameter(torch.zeros(width)) if apart else None
        self.v_bias = nn.Parameter(torch.zeros(width)) if apart else None
        self.norm = None if norm_eps is None else nn.LayerNorm(width, eps=norm_eps)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor, start: int = 0, rotation: Rotation | None = None) -> Tensor:
        """Attend: x (B, N, D) -> (B, N - start, D), the outputs of the tokens from `start` on."""
        query, key, value = self._split(x, start, rotation)
        return self._out(F.scaled_dot_product_attention(query, key, value))

    def weights(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """Attention of every token over all tokens: x (B, N, D) -> (B, heads, N, N), rows sum to 1."""
        query, key, _ = self._split(x, 0, rotation)
        scale = query.shape[-1] ** -0.5
        return torch.softmax((query * scale) @ key.transpose(-2, -1), dim=-1)

    def forward_with_weights(self, x: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, Tensor]:
        """Attend, and keep the weights in the graph: x (B, N, D) -> (B, N, D), (B, heads, N, N).

        The output is that of `forward` but for rounding; the weights take N * N numbers a head, which the fused path
        never writes down.
        """
        query, key, value = self._split(x, 0, rotation)
        weights = torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1), dim=-1)
        return self._out(weights @ value), weights

    @torch.no_grad()
    def first_weights(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """Attention of the first token alone, without gradient: x (B, N, D) -> (B, heads, N), rows sum to 1."""
        width, weight, bias = x.shape[-1], self.qkv.weight, self._bias()
        of_query, of_key = (None, None) if bias is None else (bias[:width], bias[width : 2 * width])
        query = linear(x[:, :1], weight[:width], of_query)
        key = linear(x, weight[width : 2 * width], of_key)
        query, key = (part.view(*part.shape[:2], self.heads, -1).transpose(1, 2) for part in (query, key))
        if rotation is not None:
            query, key = rotation.turn(query, slice(1)), rotation.turn(key)
        return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1), dim=-1)[:, :, 0]

    def _split(self, x: Tensor, start: int, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each (B, heads, tokens, D / heads); queries from `start` on."""
        batch, tokens, width = x.shape
        if start == 0:
            mixed = self.qkv(x) if self.q_bias is None else linear(x, self.qkv.weight, self._bias())
            joint = mixed.view(batch, tokens, 3, self.heads, width // self.heads)
            query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)
        else:
            weight, bias = self.qkv.weight, self._bias()
            of_tail = linear(x[:, start:], weight[:width], None if bias is None else bias[:width])
            of_all = linear(x, weight[width:], None if bias is None else bias[width:])
            query = of_tail.view(batch, tokens - start, self.heads, -1).transpose(1, 2)
            key, value = of_all.view(batch, tokens, 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        if rotation is not None:
            query, key = rotation.turn(query, slice(start, None)), rotation.turn(key)
        return query, key, value

    def _bias(self) -> Tensor | None:
        """The bias (3 D,) of queries, keys and values, zero for keys that have none."""
        if self.q_bias is None or self.v_bias is None:
            return self.qkv.bias
        return torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])

    def _out(self, mixed: Tensor) -> Tensor:
        """Heads side by side, normalised where asked, through `proj`: (B, heads, N, D / heads) -> (B, N, D)."""
        joint = mixed.transpose(1, 2).flatten(2)
        out: Tensor = self.proj(joint if self.norm is None else self.norm(joint))
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
        key_bias: bool = True,
        norm_eps: float = 1e-6,
        mlp: MlpKind = "gelu",
        mlp_norm: bool = False,
        attention_norm: bool = False,
        layer_scale: float | None = None,
        drop_path: float = 0.0,
        drop_path_skip: bool = False,
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.drop_path_skip = drop_path_skip
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        inner = norm_eps if attention_norm else None
        self.attn = Attention(width, heads, qkv_bias, key_bias=key_bias, norm_eps=inner)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        self.mlp = build_mlp(mlp, width, mlp_ratio, norm_eps=norm_eps if mlp_norm else None)
        self.ls1 = None if layer_scale is None else LayerScale(width, layer_scale)
        self.ls2 = None if layer_scale is None else LayerScale(width, layer_scale)

    def forward(self, x: Tensor, start: int = 0, rotation: Rotation | None = None) -> Tensor:
        """Transform tokens: (B, N, D) -> (B, N - start, D); all are attended to, the tail comes out."""
        if self.drop_path_skip and self.training and self.drop_path > 0 and start == 0:
            x = keep_some(x, self.drop_path, lambda some, rows: self._attended(some, 0, _of(rotation, rows)))
            return keep_some(x, self.drop_path, lambda some, rows: self._transformed(some))
        x = x[:, start:] + drop_path(self._attended(x, start, rotation), self.drop_path, self.training)
        return x + drop_path(self._transformed(x), self.drop_path, self.training)

    def _attended(self, x: Tensor, start: int, rotation: Rotation | None) -> Tensor:
        out: Tensor = self.attn(self.norm1(x), start, rotation)
        return out if self.ls1 is None else self.ls1(out)

    def _transformed(self, x: Tensor) -> Tensor:
        out: Tensor = self.mlp(self.norm2(x))
        return out if self.ls2 is None else self.ls2(out)


def _of(rotation: Rotation | None, rows: Tensor) -> Rotation | None:
    return None if rotation is None else rotation.of_samples(rows)
