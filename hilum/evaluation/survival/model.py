"""A model of risk: backbone, head, and the record of what its scores mean; a folder that loads again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hilum.checkpoint import CONFIG, WEIGHTS, load_checkpoint, read_config, save_checkpoint
from hilum.config import override, to_json
from hilum.encoder import Pool
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.classifier import feature_width
from hilum.evaluation.survival.card import risk_card
from hilum.evaluation.survival.covariates import Covariates
from hilum.evaluation.survival.subjects import Reduce
from hilum.heads import HEADS
from hilum.heads.glori import GLoRIHead
from hilum.heads.inputs import Features
from hilum.heads.objective import ClassificationObjective, Objective
from hilum.heads.survival import BinaryObjective, CoxObjective, DiscreteObjective, Form, JointObjective, Query
from hilum.heads.taps import Taps, taps_of
from hilum.lookup import lookup
from hilum.models.backbone import Architecture, Backbone, architecture_from_json, architecture_to_json, build_backbone
from hilum.models.fill import fill
from hilum.models.pooling import pool_tokens
from hilum.schema import Preprocessing

KIND = "survival"  # of config.json


@dataclass(frozen=True)
class RiskRecord:
    """What a model's scores mean and where they come from; plain JSON values beside the weights."""

    endpoints: tuple[str, ...]
    form: Form
    horizon: float  # days
    edges: dict[str, list[float]] = field(default_factory=dict)  # discrete: endpoint -> days that part the intervals
    findings: tuple[str, ...] = ()  # further queries of the same head; they stand before the endpoints
    policy: dict[str, Any] = field(default_factory=dict)  # uncertain labels; LabelPolicy.to_json
    reduce: Reduce = "first"  # films of a person
    covariates: list[dict[str, Any]] = field(default_factory=list)  # Covariates.to_json
    pool: Pool = "mean"  # what a head on pooled tokens reads
    head: str = "linear"  # name in hilum.heads.HEADS
    head_config: dict[str, Any] = field(default_factory=dict)
    thresholds: dict[str, float] = field(
        default_factory=dict
    )  # endpoint -> high risk from here, by validation subjects
    threshold_notes: dict[str, str] = field(default_factory=dict)  # endpoint -> how that was chosen
    finding_thresholds: dict[str, float] = field(default_factory=dict)  # finding -> largest F1 on validation films
    validation: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """What validation says, in one line."""
        named = {"c_index": "C-index", "auroc": "AUROC"}
        return f"{named.get(str(self.validation['name']), 'mean of AUROC and C-index')} {self.validation['value']:.3f}"

    def objective(self) -> JointObjective:
        """What the head is trained for: findings first, then each endpoint."""
        labels: list[Query] = []
        if self.findings:
            labels = [Query(ClassificationObjective(len(self.findings)), len(self.findings))]
        return JointObjective((*labels, *(Query(self._of(endpoint), 2) for endpoint in self.endpoints)))

    @property
    def outputs_per_query(self) -> tuple[int, ...]:
        """Logits of each query: one a finding, and what the form needs an endpoint."""
        return (1,) * len(self.findings) + tuple(self._of(endpoint).outputs for endpoint in self.endpoints)

    def _of(self, endpoint: str) -> Objective:
        if self.form == "cox":
            return CoxObjective(endpoint)
        if self.form == "discrete":
            return DiscreteObjective(endpoint, tuple(self.edges[endpoint]), self.horizon)
        return BinaryObjective(endpoint, self.horizon)


class RiskModel(nn.Module):
    """Normalised films (B, C, H, W), and covariates where it was trained with some, -> logits (B, outputs)."""

    def __init__(self, backbone: Backbone, head: nn.Module, *, pool: Pool) -> None:
        super().__init__()
        self.backbone, self.head, self.pool = backbone, head, pool

    def features(self, images: Tensor) -> Features:
        """What the head sees of the films: (B, D), or taps of the last blocks."""
        if self.head.reads == "taps":
            config: Any = self.head.config
            return taps_of(self.backbone, images, config.blocks, config.parts)
        return pool_tokens(self.backbone, self.backbone.forward_features(images), self.pool)

    def forward(self, images: Tensor, covariates: Tensor | None = None) -> Tensor:
        """Logits (B, outputs); covariates (B, C) as `Covariates.encode` gives them."""
        features = self.features(images)
        if covariates is not None and covariates.shape[-1]:
            assert isinstance(features, Tensor), "covariates join pooled features only"
            features = torch.cat([features, covariates.to(features)], dim=-1)
        logits: Tensor = self.head(features)
        return logits

    def attention(self, images: Tensor) -> Tensor:
        """Where each query looks, findings first: (B, C, H, W) normalised -> (B, heads, M, P), rows sum to 1.

        Raises:
            ConfigError: the head has no queries.
        """
        if not isinstance(self.head, GLoRIHead):
            raise ConfigError("the model's head has no queries", where="head", fix="Train one with --head glori")
        taps = self.features(images)
        assert isinstance(taps, Taps)
        return self.head.attention(taps)


@dataclass(frozen=True)
class TrainedRisk:
    """A model that is ready to score films."""

    model: RiskModel
    preprocessing: Preprocessing
    record: RiskRecord

    @property
    def covariates(self) -> Covariates:
        """How the manifest columns beside the image are coded."""
        return Covariates.from_json(self.record.covariates)

    def save(self, folder: Path) -> Path:
        """Write model.safetensors, config.json and the model card; whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        config = {
            "kind": KIND,
            "architecture": architecture_to_json(self.model.backbone.config),
            "preprocessing": self.preprocessing.to_json(),
            **to_json(self.record),
        }
        return save_checkpoint(folder, self.model.state_dict(), config, risk_card(self.record, self.preprocessing))


def head_width(architecture: Architecture, record: RiskRecord) -> int:
    """Channels the head reads: pooled tokens and covariates, or the taps of its blocks."""
    factory = lookup(HEADS, record.head, kind="head")
    if factory.reads == "taps":
        return architecture.width * int(record.head_config["blocks"])
    return feature_width(architecture, record.pool) + Covariates.from_json(record.covariates).width


def build_risk_model(architecture: Architecture, record: RiskRecord) -> RiskModel:
    """The network of a record, with random weights."""
    factory = lookup(HEADS, record.head, kind="head")
    config = override(factory.Config(), record.head_config, where="head")
    head = factory(head_width(architecture, record), sum(record.outputs_per_query), config)
    return RiskModel(build_backbone(architecture), head, pool=record.pool)


def is_risk_run(source: str | Path) -> bool:
    """Whether a folder is a run of `hilum adapt survive`, or its `model/`."""
    folder = _folder(Path(source))
    return (folder / CONFIG).is_file() and read_config(folder).get("kind") == KIND


def load_risk(source: str | Path) -> TrainedRisk:
    """Read a model of risk from a run of `hilum adapt survive`, or from its `model/` folder.

    Raises:
        CheckpointError: nothing there, not finished, damaged, or of another kind.
    """
    folder = _folder(Path(source))
    if not (folder / WEIGHTS).is_file() or not is_risk_run(folder):
        raise CheckpointError(
            "holds no model of risk", where=source, fix="Give a finished run of `hilum adapt survive`"
        )
    weights, config = load_checkpoint(folder)
    record = _record(config)
    model = build_risk_model(architecture_from_json(config["architecture"], where=str(folder / CONFIG)), record)
    fill(model, weights, where=folder / WEIGHTS)
    return TrainedRisk(model.eval(), Preprocessing.from_json(config["preprocessing"]), record)


def _folder(path: Path) -> Path:
    return path / "model" if (path / "model" / CONFIG).is_file() else path


def _record(config: Mapping[str, Any]) -> RiskRecord:
    names = {entry.name for entry in fields(RiskRecord)}
    values: dict[str, Any] = {key: value for key, value in config.items() if key in names}
    for name in ("endpoints", "findings"):
        values[name] = tuple(values[name])
    return RiskRecord(**values)
