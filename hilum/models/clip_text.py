"""CLIP's report encoder: a transformer whose words see only what stands before them, read at the end token.

Paper: Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 2.4. It has the face of
`models.text.ReportEncoder`, so towers hold either. The network is ours and not transformers' `CLIPTextModel`, whose
names changed between its versions 4 and 5: an encoder saved with one could not be read with the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.onednn import Linear
from hilum.models.text import TextFeatures


@dataclass(frozen=True)
class ClipTextConfig:
    """Sizes of CLIP's report encoder; the vocabulary comes with the tokenizer."""

    width: int = 512
    depth: int = 12  # blocks
    heads: int = 8
    hidden: int = 2048  # width inside the feed-forward layers
    positions: int = 77  # longest report in byte pairs
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"  # x sigmoid(1.702 x), or the exact one
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse sizes that make no network."""
        if min(self.width, self.depth, self.heads, self.hidden, self.positions) < 1 or self.width % self.heads:
            what = f"width {self.width}, {self.depth} blocks and {self.heads} heads make no text encoder"
            raise ConfigError(what, where="text", fix="Give positive sizes with a width that the heads divide")


class ClipText(nn.Module):
    """Byte pairs to vectors.

    Args:
        config: sizes.
        vocabulary: V, entries of the tokenizer; the end token has the largest number.
    """

    def __init__(self, config: ClipTextConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(vocabulary, config.width)
        self.positions = nn.Parameter(torch.empty(config.positions, config.width).normal_(std=0.01))
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, ids: Tensor, mask: Tensor) -> TextFeatures:
        """Read a batch of reports.

        Args:
            ids: (B, T) int64 entries of the vocabulary, each row with the end token in it.
            mask: (B, T) 1 where there is a byte pair; no word sees what follows it, so padding needs no hiding.

        Returns:
            tokens (B, T, W) after the final norm; pooled (B, W), the one at the end token.
        """
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        ends = ids.argmax(dim=1)
        return TextFeatures(x, x[torch.arange(len(x), device=x.device), ends], None, mask)


class _Block(nn.Module):
    """Norm, causal attention, norm, feed-forward; each added to what came in."""

    def __init__(self, config: ClipTextConfig) -> None:
        super().__init__()
        self.heads, self.quick = config.heads, config.activation == "quick_gelu"
        self.norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.qkv = Linear(config.width, 3 * config.width)
        self.proj = Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.fc1 = Linear(config.width, config.hidden)
        self.fc2 = Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        b, t, w = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(seen.transpose(1, 2).reshape(b, t, w))
        inner = self.fc1(self.norm2(x))
        out: Tensor = x + self.fc2(inner * torch.sigmoid(1.702 * inner) if self.quick else F.gelu(inner))
        return out
