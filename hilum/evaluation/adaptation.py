"""From an encoder and labelled films to a classifier: what `hilum adapt classify` does, as a library call.

`make_plan` resolves and checks everything that can be wrong before anything is written; `run_adaptation` does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hilum.config import to_json
from hilum.encoder import Encoder, load
from hilum.errors import ConfigError
from hilum.evaluation.classifier import Record, random_backbone
from hilum.evaluation.classify_options import Options, check_options
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import weights_digest
from hilum.evaluation.films import LabelledFilms, labelled_films
from hilum.evaluation.finetune import takes_fresh_norm
from hilum.evaluation.frozen_inputs import Reading, head_options, stored_inputs
from hilum.evaluation.origin import origin_of
from hilum.heads.choose import check_choosable
from hilum.labels import LabelPolicy, check_both_classes, check_findings, few_shots, nested_fraction, with_no_finding
from hilum.manifest import Manifest

__all__ = ["Options", "Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """An adaptation that can start: options in force, encoder, films, and the record of the classifier to be."""

    options: Options
    encoder: Encoder
    train: LabelledFilms
    val: LabelledFilms
    record: Record
    manifest_digest: str
    encoder_digest: str
    store: FeatureStore | None = None  # where features are read from

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration, as stored in the run folder."""
        return {
            "verb": "adapt",
            "task": "classify",
            **to_json(self.options),
            "manifest_sha256": self.manifest_digest,
            "encoder_sha256": self.encoder_digest,
            "films": {"train": len(self.train), "val": len(self.val)},
            "positives_negatives": {"train": self.train.counts(), "val": self.val.counts()},
            "derived": self.record.derived,
        }


def make_plan(options: Options) -> Plan:
    """Resolve options and check all that can be checked before anything is written.

    Raises:
        ConfigError: an unknown finding, head or value.
        ManifestError: films are missing, or a split cannot teach or choose.
        CheckpointError: the encoder cannot be loaded.
    """
    options = options.resolved()
    check_options(options)
    policy = LabelPolicy.parse(options.policy)
    given = Manifest.read(options.data).select(views=options.views or None)
    everything, rule = with_no_finding(given, options.labels)
    check_findings(everything, options.labels)
    part = _subset(everything, options, policy)
    train = labelled_films(part, "train", options.labels, policy, options.targets)
    check_both_classes(train.targets, options.labels, split="train")
    val = labelled_films(everything, "val", options.labels, policy, options.targets)
    check_choosable(val.targets)
    for films in (train, val):
        films.manifest.check_files()
    encoder = load(options.encoder)
    digest = weights_digest(encoder.model)
    if options.weights == "random":
        encoder = Encoder(random_backbone(encoder.model.config, options.seed), encoder.preprocessing)
    _check_pool(options, encoder)
    sizes = encoder.model.config
    config = head_options(options.head, options.head_variant, options.blocks, sizes, **options.head_set)
    store = _open_store(options, encoder, Reading.of(options.head, config, options.pool), (train, val))
    record = Record(
        findings=options.labels,
        targets=options.targets,
        mode=options.mode,
        pool=options.pool,
        head=options.head,
        head_variant=options.head_variant,
        head_config=config,
        second_round=options.second_round,
        select=options.select,
        threshold_rule=options.threshold,
        counts=train.counts(),
        derived=[rule] if rule else [],
        fc_norm=options.mode == "finetune" and options.pool == "mean" and takes_fresh_norm(sizes),
        policy=policy.to_json(),
        origin=origin_of(options, train.manifest, digest, "fraction", "fraction_unit", "shots", "loss", "augment"),
    )
    return Plan(options, encoder, train, val, record, given.digest, digest, store)


def _subset(manifest: Manifest, options: Options, policy: LabelPolicy) -> Manifest:
    """The manifest with the training films that are learned from; the other splits are whole."""
    seed = options.fraction_seed
    assert seed is not None
    if options.shots is not None:
        return few_shots(manifest, options.shots, seed, options.labels, policy, options.targets)
    return nested_fraction(manifest, options.fraction, seed, options.labels, options.fraction_unit)


def _open_store(
    options: Options, encoder: Encoder, reading: Reading, parts: tuple[LabelledFilms, ...]
) -> FeatureStore | None:
    """The folder of features, if it is of this encoder and holds these films and what the head reads."""
    if options.features is None:
        return None
    store = FeatureStore.open(options.features)
    store.check_encoder(encoder)
    for films in parts:
        stored_inputs(store, films.manifest, reading)
    return store


def _check_pool(options: Options, encoder: Encoder) -> None:
    if options.pool != "mean" and not encoder.model.config.class_token:
        raise ConfigError("the encoder has no class token", where="pool", fix="Use --pool mean")
