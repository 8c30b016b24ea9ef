"""A trained model as its maps need it: what answers, to which names, and what of the tokens it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from hilum.encoder import Pool
from hilum.evaluation.classifier import Record, TrainedClassifier, load_classifier
from hilum.evaluation.survival.model import TrainedRisk, is_risk_run, load_risk
from hilum.heads.glori import GLoRIHead
from hilum.heads.taps import Taps, taps_of
from hilum.models.backbone import Backbone, Convolutional
from hilum.schema import Preprocessing


@dataclass(frozen=True)
class Explained:
    """A classifier, or a model of risk, whose answers can be traced to places."""

    network: nn.Module  # with `backbone`, `head` and `pool`
    preprocessing: Preprocessing
    names: tuple[str, ...]  # M findings, then endpoints
    record: Record  # findings, label policy, origin, thresholds
    scores: Callable[[Tensor], Tensor] | None = None  # logits -> (B, M); None: they are one a name
    beside: Callable[[pd.DataFrame], Tensor] | None = None  # manifest rows -> covariates (N, C)

    @property
    def backbone(self) -> Backbone:
        """The encoder inside."""
        found: Any = self.network.backbone
        return found  # type: ignore[no-any-return]

    @property
    def head(self) -> Any:
        """The head on it."""
        return self.network.head

    @property
    def prefix(self) -> int:
        """Tokens before the patches."""
        return self.backbone.num_prefix_tokens

    @property
    def has_queries(self) -> bool:
        """Whether the head weighs patches anew for each finding."""
        return isinstance(self.head, GLoRIHead)

    @property
    def pool(self) -> Pool | None:
        """What a head on one vector reads; None for a head on taps."""
        found: Any = self.network.pool if self.head.reads == "pooled" else None
        return found  # type: ignore[no-any-return]

    @property
    def reads_patches(self) -> bool:
        """Whether patch tokens reach the head, and not a class token alone."""
        return self.pool != "cls" if self.pool is not None else "patch" in self.head.config.parts

    @property
    def blocks(self) -> int:
        """How many of the last blocks the head reads."""
        return 1 if self.pool is not None else int(self.head.config.blocks)

    def answer(self, images: Tensor, beside: Tensor | None = None) -> Tensor:
        """What is explained: logits of findings, scores of risk; (B, C, H, W) normalised -> (B, M)."""
        logits: Tensor = self.network(images) if beside is None else self.network(images, beside)
        return logits if self.scores is None else self.scores(logits)

    def taps(self, images: Tensor) -> Taps:
        """What a head on taps sees."""
        return taps_of(self.backbone, images, self.head.config.blocks, self.head.config.parts)

    def reading(self, tokens: int) -> Tensor:
        """How much of each token a head without queries takes: (1, tokens), summing to 1."""
        whole, patches = torch.zeros(1, tokens), torch.zeros(1, tokens)
        whole[0, 0], patches[0, self.prefix :] = 1.0, 1.0 / (tokens - self.prefix)
        if not self.reads_patches:
            return whole
        return patches if self.pool == "mean" else (whole + patches) / 2


def explained(trained: TrainedClassifier | TrainedRisk) -> Explained:
    """A loaded model as its maps need it."""
    record = trained.record
    if isinstance(record, Record):
        return Explained(trained.model, trained.preprocessing, record.findings, record)
    assert isinstance(trained, TrainedRisk)
    plain = Record(record.findings, policy=record.policy, origin=record.origin, head=record.head, pool=record.pool)
    covariates = trained.covariates
    return Explained(
        trained.model,
        trained.preprocessing,
        (*record.findings, *record.endpoints),
        plain,
        scores=record.objective().scores,
        beside=(lambda table: torch.from_numpy(covariates.encode(table))) if covariates.width else None,
    )


def load_explained(run: str | Path) -> Explained:
    """A run of `hilum adapt classify` or `survive`.

    Raises:
        CheckpointError: nothing there, not finished, damaged, or of another kind.
    """
    return explained(load_risk(run) if is_risk_run(run) else load_classifier(run))


def is_convolution(model: Explained) -> bool:
    """Whether the encoder is convolutional, and has no attention over its patches."""
    return isinstance(model.backbone, Convolutional)
