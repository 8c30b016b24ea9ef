"""The MLPs of transformer blocks, by name.

| name | formula | keys | who |
|---|---|---|---|
| gelu | fc2(gelu(fc1 x)), exact GELU | fc1, fc2 | ViT, MAE, DINOv2 |
| quick_gelu | fc2(u sigmoid(1.702 u)), u = fc1 x | fc1, fc2 | OpenAI's CLIP |
| swiglu | w3(silu(first half) * second half of w12 x) | w12, w3 | DINOv2 giant; EVA-X tiny and small |
| swiglu_split | fc2(silu(fc1_g x) * fc1_x x) | fc1_g, fc1_x, fc2 | EVA-02, EVA-X base; DINOv3's largest |

Each may have a LayerNorm before its last layer (sub-LN, arXiv 2210.06423), key `norm`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models.onednn import Linear

MlpKind = Literal["gelu", "quick_gelu", "swiglu", "swiglu_split"]
MLP_KINDS: Final[tuple[str, ...]] = get_args(MlpKind)


def build_mlp(kind: MlpKind, width: int, ratio: float, *, norm_eps: float | None = None) -> nn.Module:
    """The MLP of this name.

    Args:
        kind: see the table of this file.
        width: D, features of a token.
        ratio: hidden width / D; "swiglu" takes two thirds of it, see `SwiGlu`.
        norm_eps: epsilon of the LayerNorm before the last layer; None leaves it out.
    """
    hidden = hidden_width(width, ratio)
    if kind == "swiglu":
        return SwiGlu(width, hidden, norm_eps)
    if kind == "swiglu_split":
        return SplitSwiGlu(width, hidden, norm_eps)
    return Mlp(width, hidden, quick_gelu if kind == "quick_gelu" else F.gelu, norm_eps)


def hidden_width(width: int, ratio: float) -> int:
    """Whole features of width * ratio, rounded down; a ratio that was a quotient n / width gives n again."""
    return int(width * ratio + 1e-6)


def gated_width(hidden: int) -> int:
    """What DINOv2's gated MLP makes of an MLP's hidden width: two thirds, rounded up to a multiple of 8."""
    return (int(hidden * 2 / 3) + 7) // 8 * 8


def swiglu_ratio(gated: int, width: int) -> float | None:
    """The `mlp_ratio` whose "swiglu" is `gated` wide: 4 where that fits, else 3/2 of gated / width; None if none is."""
    for ratio in (4.0, 1.5 * gated / width):
        if gated_width(hidden_width(width, ratio)) == gated:
            return ratio
    return None


def quick_gelu(x: Tensor) -> Tensor:
    """The approximation x sigmoid(1.702 x) of GELU (arXiv 1606.08415, section 2)."""
    return x * torch.sigmoid(1.702 * x)


class Mlp(nn.Module):
    """Two layers with an activation between; keys `fc1`, `fc2`, [`norm`]."""

    def __init__(
        self,
        width: int,
        hidden: int,
        activation: Callable[[Tensor], Tensor] = F.gelu,
        norm_eps: float | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.fc1 = Linear(width, hidden)
        self.norm = None if norm_eps is None else nn.LayerNorm(hidden, eps=norm_eps)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token: (..., D) -> (..., D)."""
        inner = self.activation(self.fc1(x))
        out: Tensor = self.fc2(inner if self.norm is None else self.norm(inner))
        return out


class SwiGlu(nn.Module):
    """Gated MLP of DINOv2, silu(first half) * second half; keys `w12`, `w3`, [`norm`].

    The hidden width is two thirds of the MLP's, rounded up to a multiple of 8, so both have about the same
    weights.
    """

    def __init__(self, width: int, hidden: int, norm_eps: float | None = None) -> None:
        super().__init__()
        gated = gated_width(hidden)
        self.w12 = Linear(width, 2 * gated)
        self.norm = None if norm_eps is None else nn.LayerNorm(gated, eps=norm_eps)
        self.w3 = Linear(gated, width)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token: (..., D) -> (..., D)."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        inner = F.silu(gate) * value
        out: Tensor = self.w3(inner if self.norm is None else self.norm(inner))
        return out


class SplitSwiGlu(nn.Module):
    """Gated MLP with two matrices for gate and value; keys `fc1_g`, `fc1_x`, [`norm`], `fc2`."""

    def __init__(self, width: int, hidden: int, norm_eps: float | None = None) -> None:
        super().__init__()
        self.fc1_g = Linear(width, hidden)
        self.fc1_x = Linear(width, hidden)
        self.norm = None if norm_eps is None else nn.LayerNorm(hidden, eps=norm_eps)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each token: (..., D) -> (..., D)."""
        inner = F.silu(self.fc1_g(x)) * self.fc1_x(x)
        out: Tensor = self.fc2(inner if self.norm is None else self.norm(inner))
        return out
