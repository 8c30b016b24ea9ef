"""From an encoder and films with boxes to a plan: what `hilum adapt detect` decides before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hilum.checkpoint import file_digest
from hilum.config import TrainSettings, override, to_json
from hilum.encoder import Encoder, load
from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.classifier import random_backbone
from hilum.evaluation.detection.method import Config
from hilum.evaluation.detection.model import DetectorRecord
from hilum.evaluation.detection.prior import centre_prior
from hilum.evaluation.detection.truth import BoxedFilms, Readers, box_file, boxed_films
from hilum.evaluation.features import weights_digest
from hilum.evaluation.origin import origin_of
from hilum.heads.detection import DetectorConfig
from hilum.labels import few_shots, nested_fraction
from hilum.manifest import Manifest
from hilum.models.backbone import check_tiling
from hilum.schema import Preprocessing


@dataclass(frozen=True)
class Options:
    """What decides a detector; None takes the default (`resolved`)."""

    encoder: str
    data: str
    labels: tuple[str, ...] = ()  # categories of the boxes; none: all of them
    boxes: str | None = None  # a file; None: boxes.json, .csv or .parquet of the data folder
    preset: str | None = None  # the protocol by name whose values these are
    readers: Readers = "fuse"
    shots: int | None = None  # patients with each finding; None: by `fraction`
    fraction: float = 1.0
    views: tuple[str, ...] = ()
    weights: Literal["pretrained", "random"] = "pretrained"
    mode: Literal["finetune", "frozen"] = "finetune"  # whether the encoder learns too
    head_set: Mapping[str, Any] = field(default_factory=dict)  # fields of DetectorConfig
    size: int | None = None  # pixels a side of the input; None: the encoder's
    most_found: int = 100  # boxes said of a film
    flip: float = 0.0  # off: a mirrored chest has its heart on the other side, which is a diagnosis
    scale: tuple[float, float] = (0.8, 1.2)  # jitter of the size
    epochs: int = 50
    steps: int | None = None  # optimizer steps; in place of epochs
    batch_size: int = 16
    lr: float = 2e-4  # peak
    warmup: float = 0.05  # share of the run
    min_lr: float = 0.0
    weight_decay: float = 0.05
    layer_decay: float | None = None  # 0.75 from pretrained weights, off from random ones
    drop_path: float = 0.1
    clip_norm: float = 0.1  # of the gradient, as every DETR
    precision: Literal["fp32", "bf16"] = "fp32"  # of the encoder; the decoder computes in fp32
    seed: int = 0

    def resolved(self) -> Options:
        """The same with the values in force where the default depends on others."""
        decay = 0.75 if self.weights == "pretrained" else 1.0
        return self if self.layer_decay is not None else replace(self, layer_decay=decay)

    def head(self) -> DetectorConfig:
        """Sizes of the decoder."""
        return override(DetectorConfig(), self.head_set, where="head_set")

    def learning(self, films: BoxedFilms | None = None) -> Config:
        """Options of the method."""
        most = max(map(len, films.boxes)) if films is not None else 1
        return Config(self.mode == "frozen", self.flip, self.scale, self.drop_path, max(1, most))

    def training(self, films: int, *, workers: int, device: str) -> TrainSettings:
        """Settings of the loop; judged once an epoch, at most twenty times a run."""
        batch_size = min(self.batch_size, films)
        total = self.steps or max(1, round(self.epochs * films / batch_size))
        values = {
            "epochs": total * batch_size / films,
            "max_steps": total,
            "batch_size": batch_size,
            "lr": self.lr,
            "warmup": self.warmup,
            "min_lr": self.min_lr,
            "weight_decay": self.weight_decay,
            "betas": (0.9, 0.999),
            "layer_decay": self.layer_decay,
            "clip_norm": self.clip_norm,
            "precision": self.precision,
            "seed": self.seed,
            "workers": workers,
            "accelerator": device,
            "save_every": max(1, round(films / batch_size), round(total / 20)),
            "keep_checkpoints": 1,
        }
        return override(TrainSettings(), values, where="adapt")


@dataclass(frozen=True)
class Plan:
    """A training that can start: options in force, encoder, films with boxes, and the record of the detector to be."""

    options: Options
    encoder: Encoder
    preprocessing: Preprocessing  # the encoder's, at the size that is trained
    train: BoxedFilms
    val: BoxedFilms
    record: DetectorRecord
    manifest_digest: str
    encoder_digest: str
    boxes_digest: str

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration, as stored in the run folder."""
        return {
            "verb": "adapt",
            "task": "detect",
            **to_json(self.options),
            "findings": list(self.record.findings),
            "head_config": self.record.head_config,
            "manifest_sha256": self.manifest_digest,
            "encoder_sha256": self.encoder_digest,
            "boxes_sha256": self.boxes_digest,
            "films": {"train": len(self.train), "val": len(self.val)},
            "boxes_films_patients": {"train": self.train.counts(), "val": self.val.counts()},
            "notes": list(self.train.notes),
        }


def make_plan(options: Options) -> Plan:
    """Resolve options and check all that can be checked before anything is written.

    Raises:
        ConfigError: an unknown finding or value, or no boxes.
        ManifestError: films are missing, or a split cannot teach or choose.
        CheckpointError: the encoder cannot be loaded.
    """
    options = options.resolved()
    _check_values(options)
    everything = Manifest.read(options.data)
    file = box_file(everything.root, options.boxes)
    wanted = everything.select(views=options.views or None)
    films = boxed_films(wanted, file, options.labels, readers=options.readers)
    train, val = _chosen(options, films), films.split("val")
    for name, part in (("train", train), ("val", val)):
        _check_boxes(part, name)
        part.manifest.check_files()
    encoder = load(options.encoder)
    digest = weights_digest(encoder.model)
    if options.weights == "random":
        encoder = Encoder(random_backbone(encoder.model.config, options.seed), encoder.preprocessing)
    preprocessing = encoder.preprocessing.at(options.size or encoder.preprocessing.size)
    check_tiling(encoder.model.config, preprocessing.size)
    record = DetectorRecord(
        findings=films.findings,
        head_config=to_json(options.head()),
        most_found=options.most_found,
        readers=options.readers,
        prior=centre_prior(train),
        origin=origin_of(options, train.manifest, digest, "fraction", "shots")
        | {"encoder_learns": options.mode == "finetune", "boxes": train.counts()},
    )
    return Plan(options, encoder, preprocessing, train, val, record, everything.digest, digest, file_digest(file))


def _chosen(options: Options, films: BoxedFilms) -> BoxedFilms:
    """The training films: all, a share of the patients, or some patients a finding."""
    if options.shots is not None:
        part = few_shots(films.manifest, options.shots, options.seed, films.findings)
    else:
        part = nested_fraction(films.manifest, options.fraction, options.seed, films.findings)
    return films.take(list(part.select(split="train").table["image_id"]))


def _check_values(options: Options) -> None:
    """No option may hold nonsense: a resumed or repeated run would carry it on."""
    options.head()
    options.learning()
    options.training(options.batch_size, workers=0, device="cpu")
    checks = (
        (options.shots is None or options.fraction == 1.0, "shots", "without --fraction"),
        (options.steps is None or options.steps >= 1, "steps", "at least 1"),
        (options.epochs >= 1, "epochs", "at least 1"),
        (options.most_found >= 1, "most_found", "at least 1"),
        (options.lr > 0, "lr", "more than 0"),
        (options.layer_decay is None or 0 < options.layer_decay <= 1, "layer_decay", "in (0, 1]; 1 switches it off"),
    )
    for fine, name, rule in checks:
        if not fine:
            raise ConfigError(f"{getattr(options, name)!r} is not allowed", where=name, fix=f"It must be {rule}")


def _check_boxes(films: BoxedFilms, split: str) -> None:
    """A split must have a box of every finding: it teaches them, or chooses by them."""
    if poor := [name for name, counts in films.counts().items() if not counts["boxes"]]:
        raise ManifestError(
            f"the {split} split has no box of {', '.join(poor)} on its {len(films)} known films",
            where="boxes",
            fix="Drop these findings with --labels, or give the split boxes of them",
        )
