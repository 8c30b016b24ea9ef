"""What `hilum adapt survive` will do: options resolved and everything checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import torch

from hilum.config import override, to_json
from hilum.encoder import Encoder, Pool, load
from hilum.errors import ConfigError
from hilum.evaluation.classifier import random_backbone
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import weights_digest
from hilum.evaluation.frozen_inputs import TOKEN_MEMORY, Reading, head_options, stored_inputs
from hilum.evaluation.origin import origin_of
from hilum.evaluation.survival.covariates import Covariates
from hilum.evaluation.survival.endpoints import check_endpoints, check_learnable
from hilum.evaluation.survival.films import FollowedFilms, followed_films
from hilum.evaluation.survival.model import RiskRecord
from hilum.evaluation.survival.subjects import Reduce
from hilum.evaluation.survival.threshold import Rule
from hilum.heads import HEADS
from hilum.heads.grid import GridSettings
from hilum.heads.grids import Grid, grid_rates
from hilum.heads.survival import Form
from hilum.heads.survival_losses import interval_edges
from hilum.labels import LabelPolicy, check_both_classes, check_findings
from hilum.lookup import lookup
from hilum.manifest import Manifest
from hilum.models.backbone import Architecture

FULL_BATCH: Final = 65_536  # films: up to here Cox's risk set on pooled features is all of training, not a batch
FULL_BATCH_STEPS: Final = 100  # epochs then, each of one step; 300 gave the same on the phantom's true findings


PRESETS: Final[dict[str, Mapping[str, Any]]] = {
    # CheXFound V-D: death within the study's follow-up as a binary question, GLoRI, the classifiers' 10 epochs of 256
    "chexfound-mortality": {
        "form": "binary",
        "head": "glori",
        "head_variant": "paper",
        "grid": "chexfound-paper",
        "epochs": 10,
        "batch_size": 256,
        "weight_decay": 1e-4,
    },
}


@dataclass(frozen=True)
class Options:
    """What decides an adaptation to risk; None and () take the default (`resolved`)."""

    encoder: str
    data: str
    endpoints: tuple[str, ...]
    horizon: float | None = None  # days; it must be given
    form: Form = "cox"
    reduce: Reduce = "first"
    threshold: Rule = "median"
    intervals: int = 10  # discrete: parts into which the training events are cut
    labels: tuple[str, ...] = ()  # findings as further queries of the head
    policy: str = "ignore"
    covariates: tuple[str, ...] = ()
    head: str = "linear"
    head_variant: str | None = None  # a name of the head's VARIANTS
    head_set: Mapping[str, Any] = field(default_factory=dict)  # further options of the head
    blocks: int | None = None  # of the encoder, for heads that read taps
    pool: Pool = "mean"
    weights: Literal["pretrained", "random"] = "pretrained"
    views: tuple[str, ...] = ()
    features: str | None = None  # a store of `hilum embed`
    token_memory: float = TOKEN_MEMORY  # GiB of tokens held in memory
    epochs: int | None = None
    batch_size: int | None = None
    lrs: tuple[float, ...] = ()
    grid: Grid = "default"  # rates by name, where none are given
    weight_decay: float | None = None
    seed: int = 0
    preset: str | None = None  # of PRESETS, where the options came from one

    def resolved(self, train_films: int) -> Options:
        """The same with every default filled in."""
        pooled = lookup(HEADS, self.head, kind="head").reads == "pooled"
        full = self.form == "cox" and pooled
        batch_size = self.batch_size or (min(train_films, FULL_BATCH) if full else 256)
        one_step = batch_size >= train_films and self.form == "cox"
        return replace(
            self,
            batch_size=batch_size,
            epochs=self.epochs or (FULL_BATCH_STEPS if one_step else 50),
            lrs=self.lrs or grid_rates(self.head, self.grid),
            weight_decay=(0.01 if pooled else 1e-4) if self.weight_decay is None else self.weight_decay,
        )

    def training(self) -> GridSettings:
        """Settings of the heads, of resolved options."""
        assert self.epochs is not None
        assert self.batch_size is not None
        assert self.weight_decay is not None
        return GridSettings(
            lrs=self.lrs,
            epochs=self.epochs,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Plan:
    """An adaptation that can start: options in force, encoder, films, and the record of the model to be."""

    options: Options
    encoder: Encoder
    train: FollowedFilms
    val: FollowedFilms
    record: RiskRecord
    manifest_digest: str
    encoder_digest: str
    store: FeatureStore | None

    def head_config(self) -> Any:
        """The head's own options as it is built with."""
        factory = lookup(HEADS, self.record.head, kind="head")
        return override(factory.Config(), self.record.head_config, where="head")

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration, as stored in the run folder."""
        return {
            "verb": "adapt",
            "task": "survive",
            **to_json(self.options),
            "manifest_sha256": self.manifest_digest,
            "encoder_sha256": self.encoder_digest,
            "films": {"train": len(self.train), "val": len(self.val)},
            "follow_up": {
                name: films.counts(self.record.horizon) for name, films in (("train", self.train), ("val", self.val))
            },
        }


def make_plan(options: Options) -> Plan:
    """Resolve options and check all that can be checked before anything is written.

    Raises:
        ConfigError: an unknown endpoint, finding, column, head or value, or a horizon beyond the follow-up.
        ManifestError: films or events are missing, or a split cannot teach or choose.
        CheckpointError: the encoder or the features cannot be used.
    """
    _check_values(options)
    policy = LabelPolicy.parse(options.policy)
    everything = Manifest.read(options.data).select(views=options.views or None)
    check_endpoints(everything, options.endpoints)
    if options.labels:
        check_findings(everything, options.labels)
    train, val = (followed_films(everything, split, options.endpoints, options.labels, policy) for split in _LEARN)
    options = options.resolved(len(train))
    options.training()
    horizon = float(options.horizon or 0)
    for split, films in zip(_LEARN, (train, val), strict=True):
        for endpoint, follow in films.follow.items():
            check_learnable(follow, endpoint, split=split, horizon=horizon)
        films.manifest.check_files()
    if options.labels:
        check_both_classes(train.targets[:, : len(options.labels)].astype(np.float32), options.labels, split="train")
    covariates = Covariates.fit(train.manifest.table, options.covariates)
    covariates.encode(val.manifest.table)
    encoder = load(options.encoder)
    digest = weights_digest(encoder.model)
    if options.weights == "random":
        encoder = Encoder(random_backbone(encoder.model.config, options.seed), encoder.preprocessing)
    record = RiskRecord(
        endpoints=options.endpoints,
        form=options.form,
        horizon=horizon,
        edges=_edges(options, train, horizon),
        findings=options.labels,
        policy=policy.to_json() if options.labels else {},
        reduce=options.reduce,
        covariates=covariates.to_json(),
        pool=options.pool,
        head=options.head,
        origin=origin_of(options, train.manifest, digest, "batch_size"),
    )
    record = replace(record, head_config=_head_config(options, record, encoder.model.config))
    for films in (train, val):  # what validation cannot choose by, training cannot learn from either
        record.objective().check(torch.from_numpy(films.targets))
    store = None
    if options.features is not None:
        store = FeatureStore.open(options.features)
        store.check_encoder(encoder)
        reading = Reading.of(record.head, record.head_config, record.pool)
        for films in (train, val):
            stored_inputs(store, films.manifest, reading)
    return Plan(options, encoder, train, val, record, everything.digest, digest, store)


_LEARN: Final[tuple[Literal["train", "val"], ...]] = ("train", "val")


def _check_values(options: Options) -> None:
    factory = lookup(HEADS, options.head, kind="head")
    if options.horizon is None:
        raise ConfigError("a horizon is needed", where="horizon", fix="Give one in days, e.g. --horizon 1825")
    if both := sorted(set(options.labels) & set(options.endpoints)):
        raise ConfigError(
            f"{both[0]!r} is named as a finding and as an endpoint", where="labels", fix="Their scores need two names"
        )
    if options.intervals < 1:
        raise ConfigError(f"must be at least 1, not {options.intervals}", where="intervals")
    if options.covariates and factory.reads != "pooled":
        raise ConfigError(
            f"the head {options.head} reads tokens and takes no covariates",
            where="covariates",
            fix="Use --head linear or mlp",
        )


def _edges(options: Options, train: FollowedFilms, horizon: float) -> dict[str, list[float]]:
    """Days that part the intervals of the discrete form, by the training events of each endpoint."""
    if options.form != "discrete":
        return {}
    found = {}
    for endpoint in options.endpoints:
        time, event = train.followed(endpoint).T
        found[endpoint] = interval_edges(torch.from_numpy(time[event == 1]), horizon, options.intervals).tolist()
    return found


def _head_config(options: Options, record: RiskRecord, architecture: Architecture) -> dict[str, Any]:
    """The head's options: those of its variant, as many blocks as the encoder has, and what each query must give."""
    factory = lookup(HEADS, options.head, kind="head")
    if factory.reads == "pooled" and options.pool != "mean" and not architecture.class_token:
        raise ConfigError("the encoder has no class token", where="pool", fix="Use --pool mean")
    several = hasattr(factory.Config(), "outputs_per_query") and set(record.outputs_per_query) != {1}
    others = {"outputs_per_query": record.outputs_per_query} if several else {}
    return head_options(
        options.head, options.head_variant, options.blocks, architecture, **{**options.head_set, **others}
    )
