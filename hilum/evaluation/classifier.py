"""A trained classifier: backbone, pooling, head, and the record of what its scores mean.

The checkpoint folder holds both, so `load_classifier(RUN)` gives scores from films without knowing how it was
trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.checkpoint import CONFIG, WEIGHTS, load_checkpoint, read_config, save_checkpoint
from hilum.config import override, to_json
from hilum.encoder import Pool
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.card import classifier_card
from hilum.heads import HEADS
from hilum.heads.calibrate import calibrated
from hilum.heads.choose import ThresholdRule
from hilum.heads.glori import GLoRIHead
from hilum.heads.taps import Taps, taps_of
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
from hilum.models.pooling import pool_tokens
from hilum.schema import Preprocessing

Mode = Literal["frozen", "finetune"]


@dataclass(frozen=True)
class Record:
    """What a classifier's scores mean and where they come from; plain JSON values beside the weights."""

    findings: tuple[str, ...]
    targets: Targets = "multilabel"
    mode: Mode = "frozen"
    pool: Pool = "mean"
    head: str = "linear"  # name in hilum.heads.HEADS; one that reads taps does not pool
    head_variant: str | None = None  # the name that its options go by; None is ours
    head_config: dict[str, Any] = field(default_factory=dict)  # the head's own options
    second_round: str = "none"  # whether validation films were learned from too, after they had chosen
    fc_norm: bool = False  # MAE's fine-tuning: no final norm in the backbone, a LayerNorm after the mean
    policy: dict[str, Any] = field(default_factory=dict)  # uncertain labels; LabelPolicy.to_json
    derived: list[str] = field(default_factory=list)  # labels that the training table did not have, each with its rule
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)  # finding -> positives, negatives of training
    select: str = "auroc"  # what chose the weights on validation films: best AUROC, or lowest loss
    calibration: dict[str, Any] = field(default_factory=dict)  # scaling of the scores (heads/calibrate.py); {}: none
    threshold_rule: str = "max-f1"  # how validation chose the thresholds; heads/choose.py
    thresholds: dict[str, float] = field(default_factory=dict)  # finding -> chosen on validation films, by that rule
    threshold_notes: dict[str, str] = field(default_factory=dict)  # findings whose threshold was not chosen
    validation: dict[str, Any] = field(default_factory=dict)  # auroc (macro), films, where it was reached
    origin: dict[str, Any] = field(default_factory=dict)  # encoder, data, fraction, seed

    @property
    def headline(self) -> str:
        """What validation says, in one line."""
        return f"AUROC {self.validation['auroc']:.3f}"

    @property
    def reading(self) -> str:
        """What the head reads, in words."""
        config = head_config(self)
        if not hasattr(config, "parts"):
            return f"{self.pool} of tokens"
        names = {"cls": "class", "patch": "patch"}
        return f"{' and '.join(names[part] for part in config.parts)} tokens of the last {config.blocks} blocks"

    @property
    def how_chosen(self) -> str:
        """How the thresholds were chosen, in words: "largest F1"."""
        return str(ThresholdRule.parse(self.threshold_rule))

    @property
    def chosen_on(self) -> str:
        """Which films chose thresholds, in words; scores of films that a head learned from choose none."""
        if not self.validation:
            return "no films of ours: weights and thresholds came with a release"
        films = f"{self.validation.get('films')} validation films"
        if self.second_round == "none":
            return films
        return f"{films}, scored in the first round; in the second ({self.second_round}) they were learned from"


class Classifier(nn.Module):
    """Normalised films (B, C, H, W) -> logits (B, K)."""

    def __init__(self, backbone: Backbone, head: nn.Module, *, pool: Pool, fc_norm: bool = False) -> None:
        super().__init__()
        self.pool = pool
        self.backbone = backbone
        self.fc_norm = nn.LayerNorm(backbone.config.width, eps=1e-6) if fc_norm else None
        self.head = head

    def features(self, images: Tensor) -> Tensor:
        """What a head on pooled features sees: (B, D), or (B, 2D) for "cls+mean"."""
        pooled = pool_tokens(self.backbone, self.backbone.forward_features(images), self.pool)
        return pooled if self.fc_norm is None else self.fc_norm(pooled)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of normalised films (B, C, H, W)."""
        logits: Tensor = self.head(self.features(images) if self.head.reads == "pooled" else self.taps(images))
        return logits

    def taps(self, images: Tensor) -> Taps:
        """What a head on taps sees."""
        config: Any = self.head.config
        return taps_of(self.backbone, images, config.blocks, config.parts)

    def attention(self, images: Tensor) -> Tensor:
        """Where each finding's query looks: (B, C, H, W) normalised -> (B, heads, M, P), rows sum to 1.

        Raises:
            ConfigError: the head has no queries.
        """
        if not isinstance(self.head, GLoRIHead):
            raise ConfigError("the classifier's head has no queries", where="head", fix="Train one with --head glori")
        return self.head.attention(self.taps(images))


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier that is ready to score films."""

    model: Classifier
    preprocessing: Preprocessing
    record: Record

    def calibrated(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """What users see of the head's probabilities (N, K): scaled as validation said, if it was asked."""
        return calibrated(scores, self.record.calibration, self.record.targets)

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


def head_config(record: Record) -> Any:
    """The head's own options, as it is built with."""
    return override(lookup(HEADS, record.head, kind="head").Config(), record.head_config, where="head")


def head_width(architecture: Architecture, record: Record) -> int:
    """Channels that the head reads: of a vector, or of the taps of its blocks."""
    config = head_config(record)
    if hasattr(config, "blocks"):
        return architecture.width * int(config.blocks)
    return feature_width(architecture, record.pool)


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
    head = factory(head_width(architecture, record), len(record.findings), head_config(record))
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
    if "counts" in values:
        values["counts"] = {finding: (pair[0], pair[1]) for finding, pair in values["counts"].items()}
    return Record(**{**values, "findings": tuple(values["findings"])})
