"""What puts films and reports into one space: the report encoder and the projections of both sides.

A method that aligns films with reports (MaCo, MedIM) trains a `Towers` beside its backbone, and the exported encoder
keeps it: zero-shot, retrieval and grounding need nothing else. Vectors are raw; who compares them normalises them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

from torch import Tensor, nn

from hilum.errors import ConfigError
from hilum.models.batch_norm import BatchNorm
from hilum.models.onednn import Linear
from hilum.models.text import ReportEncoder, TextConfig, TextFeatures


@dataclass(frozen=True)
class TowersConfig:
    """Sizes and rules of the joint space; travels as JSON with the weights."""

    text: TextConfig = field(default_factory=TextConfig)
    dim: int = 768  # E, features of the joint space
    hidden: int = 2048  # width inside an mlp head
    head: Literal["linear", "mlp"] = "linear"  # MaCo: one linear layer for films, none for text; MGCA: an MLP each
    image_pool: Literal["mean", "cls"] = "mean"  # which tokens speak for the film
    text_pool: Literal["pooler", "first"] = "pooler"  # BERT's pooled vector, or position 0 as it is
    position_weight: bool = False  # MaCo's learned importance of each patch position
    preparation: str = "maco"  # how text is prepared: a name of transforms.text.PREPARATIONS
    length: int = 100  # word pieces of a report that are read
    sync_norm: bool = True  # batch statistics over all devices (mlp heads)

    def __post_init__(self) -> None:
        """A linear head projects films only, so the text must come in the joint width."""
        if self.head == "linear" and self.text.width != self.dim:
            raise ConfigError(
                f"the text encoder is {self.text.width} wide and films are projected to {self.dim}",
                where="towers",
                fix="Give both the same width, or use mlp heads",
            )


class Towers(nn.Module):
    """Report encoder and projections.

    Args:
        config: sizes and rules.
        image_width: D, features of the backbone's tokens.
        patches: P, patches of a film.
        vocabulary: entries of the tokenizer.
        pad_id: its padding entry.
        local_width: features of the local map where they differ from `image_width` (ResNet).
    """

    def __init__(
        self,
        config: TowersConfig,
        image_width: int,
        patches: int,
        vocabulary: int,
        *,
        pad_id: int = 0,
        local_width: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.text = ReportEncoder(config.text, vocabulary, pad_id=pad_id, pooler=config.text_pool == "pooler")
        if config.head == "linear":
            self.image_head: nn.Module = Linear(image_width, config.dim)
        else:
            self.image_head = _mlp(image_width, config)
            self.image_local_head = _mlp(local_width or image_width, config)
            self.text_head = _mlp(config.text.width, config)
            self.text_local_head = _mlp(config.text.width, config)
        self.position = nn.Linear(patches, 1) if config.position_weight else None

    def image_global(self, tokens: Tensor) -> Tensor:
        """One vector a film: tokens (B, 1 + P, D), class token first -> (B, E)."""
        if self.config.image_pool == "cls":
            return cast(Tensor, self.image_head(tokens[:, 0]))
        return cast(Tensor, self.image_head(tokens[:, 1:].mean(dim=1)))

    def image_local(self, patches: Tensor) -> Tensor:
        """One vector a patch: (B, P, D) -> (B, P, E)."""
        head = self.image_head if self.config.head == "linear" else self.image_local_head
        return cast(Tensor, head(patches))

    def text_global(self, features: TextFeatures) -> Tensor:
        """One vector a report: (B, E)."""
        vector = features.pooled if self.config.text_pool == "pooler" else features.tokens[:, 0]
        assert vector is not None  # the encoder was built with the pool that the configuration names
        return vector if self.config.head == "linear" else cast(Tensor, self.text_head(vector))

    def text_local(self, words: Tensor) -> Tensor:
        """One vector a word: (B, W, text width) -> (B, W, E)."""
        return words if self.config.head == "linear" else cast(Tensor, self.text_local_head(words))


def _mlp(width: int, config: TowersConfig) -> nn.Sequential:
    """MGCA's projection: linear, norm, ReLU, linear, norm without affine; norms over the batch."""
    return nn.Sequential(
        Linear(width, config.hidden),
        BatchNorm(config.hidden, axis=-1, sync=config.sync_norm),
        nn.ReLU(inplace=True),
        Linear(config.hidden, config.dim),
        BatchNorm(config.dim, axis=-1, affine=False, sync=config.sync_norm),
    )
