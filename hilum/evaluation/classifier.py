"""A trained classifier: backbone, pooling, head, and the record of what its scores mean.

The checkpoint folder holds both, so `load_classifier(RUN)` gives scores from films without knowing how it was
trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hilum.checkpoint import CONFIG, WEIGHTS, load_checkpoint, read_config, save_checkpoint
from hilum.config import override, to_json
from hilum.encoder import Pool, pool_tokens
from hilum.errors import CheckpointError
from hilum.evaluation.card import classifier_card
from hilum.heads import HEADS
from hilum.labels import Targets
from hilum.lookup import lookup
from hilum.models.backbone import (
    Architecture,
    Backbone,
    architecture_from_json,
    architecture_to_json,
    build_backbone,
)
from hilum.models.fill import fill
from hilum.schema import Preprocessing

Mode = Literal["frozen", "finetune"]


@dataclass(frozen=True)
class Record:
    """What a classifier's scores mean and where they come from; plain JSON values beside the weights."""

    findings: tuple[str, ...]
    targets: Targets = "multilabel"
    mode: Mode = "frozen"
    pool: Pool = "mean"
    head: str = "linear"  # name in hilum.heads.HEADS
    head_config: dict[str, Any] = field(default_factory=dict)  # the head's own options
    fc_norm: bool = False  # MAE's fine-tuning: no final norm in the backbone, a LayerNorm after the mean
    policy: dict[str, Any] = field(default_factory=dict)  # uncertain labels; LabelPolicy.to_json
    thresholds: dict[str, float] = field(default_factory=dict)  # finding -> largest F1 on validation films
    threshold_notes: dict[str, str] = field(default_factory=dict)  # findings whose threshold was not chosen
    validation: dict[str, Any] = field(default_factory=dict)  # auroc (macro), films, where it was reached
    origin: dict[str, Any] = field(default_factory=dict)  # encoder, data, fraction, seed


class Classifier(nn.Module):
    """Normalised films (B, C, H, W) -> logits (B, K)."""

    def __init__(self, backbone: Backbone, head: nn.Module, *, pool: Pool, fc_norm: bool = False) -> None:
        super().__init__()
        self.pool = pool
        self.backbone = backbone
        self.fc_norm = nn.LayerNorm(backbone.config.width, eps=1e-6) if fc_norm else None
        self.head = head

    def features(self, images: Tensor) -> Tensor:
        """What the head sees: (B, D), or (B, 2D) for "cls+mean"."""
        pooled = pool_tokens(self.backbone.forward_features(images), self.backbone.num_prefix_tokens, self.pool)
        return pooled if self.fc_norm is None else self.fc_norm(pooled)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of normalised films (B, C, H, W)."""
        logits: Tensor = self.head(self.features(images))
        return logits


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier that is ready to score films."""

    model: Classifier
    preprocessing: Preprocessing
    record: Record

    def describe(self) -> dict[str, Any]:
        """What goes into config.json beside the weights."""
        return describe(self.model.backbone.config, self.preprocessing, self.record)

    def save(self, folder: Path) -> Path:
        """Write model.safetensors, config.json and the model card; whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        card = classifier_card(self.record, self.preprocessing)
        return save_checkpoint(folder, self.model.state_dict(), self.describe(), card)


def feature_width(architecture: Architecture, pool: Pool) -> int:
    """Features a film: D, or 2D for "cls+mean"."""
    return architecture.width * (2 if pool == "cls+mean" else 1)


def describe(architecture: Architecture, preprocessing: Preprocessing, record: Record) -> dict[str, Any]:
    """config.json of a classifier."""
    return {
        "kind": "classifier",
        "architecture": architecture_to_json(architecture),
        "preprocessing": preprocessing.to_json(),
        **to_json(record),
    }


def build_classifier(architecture: Architecture, record: Record) -> Classifier:
    """The network of a record, with random weights."""
    factory = lookup(HEADS, record.head, kind="head")
    config = override(factory.Config(), record.head_config, where="head")
    head = factory(feature_width(architecture, record.pool), len(record.findings), config)
    return Classifier(build_backbone(architecture), head, pool=record.pool, fc_norm=record.fc_norm)


def load_classifier(source: str | Path) -> TrainedClassifier:
    """Read a classifier from a run of `hilum adapt`, or from its `model/` folder.

    Raises:
        CheckpointError: nothing there, not finished, damaged, or of another kind.
    """
    path = Path(source)
    folder = path / "model" if (path / "model" / CONFIG).is_file() else path
    if not (folder / WEIGHTS).is_file():
        what = "holds no classifier" if path.is_dir() else "no such folder"
        raise CheckpointError(what, where=path, fix="Give a finished run of `hilum adapt`")
    kind = read_config(folder).get("kind", "foreign")
    if kind != "classifier":
        raise CheckpointError(
            f"is a {kind} checkpoint, not a classifier",
            where=folder,
            fix="Make one with `hilum adapt classify --encoder ...`",
        )
    weights, config = load_checkpoint(folder)
    record = _record(config)
    architecture = architecture_from_json(config["architecture"], where=str(folder / CONFIG))
    model = build_classifier(architecture, record)
    fill(model, weights, where=folder / WEIGHTS)
    return TrainedClassifier(model.eval(), Preprocessing.from_json(config["preprocessing"]), record)


def random_backbone(architecture: Architecture, seed: int) -> Backbone:
    """The same network from random weights, which pretraining must beat; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_backbone(architecture)


def _record(config: Mapping[str, Any]) -> Record:
    names = {field.name for field in fields(Record)}
    values = {key: value for key, value in config.items() if key in names}
    return Record(**{**values, "findings": tuple(values["findings"])})
