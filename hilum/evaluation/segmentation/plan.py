"""What `hilum adapt segment` will do: options resolved and everything checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from torch import Tensor

from hilum.config import TrainSettings, override, to_json
from hilum.encoder import Encoder, load
from hilum.errors import ConfigError
from hilum.evaluation.classifier import random_backbone
from hilum.evaluation.features import weights_digest
from hilum.evaluation.origin import origin_of
from hilum.evaluation.segmentation.decoder_start import decoder_sizes, pretrained_decoder
from hilum.evaluation.segmentation.films import (
    MaskedFilms,
    balanced,
    check_teachable,
    masked_films,
    with_mask_labels,
)
from hilum.evaluation.segmentation.method import ALL, LOSS, POOLED, POSITIVE, Settings
from hilum.evaluation.segmentation.model import SegmenterRecord
from hilum.evaluation.segmentation.presets import BY_FRACTION, PRESETS
from hilum.evaluation.segmentation.views import MaskViews, Resize
from hilum.heads.segmentation import Config, Form
from hilum.labels import nested_fraction
from hilum.losses.segmentation import CONVENTIONS, Convention
from hilum.manifest import Manifest
from hilum.manifest.masks import SIIM_SIZE, read_masks
from hilum.manifest.run_lengths import Pairs
from hilum.models.backbone import Architecture, ConvolutionalConfig, check_tiling, local_width
from hilum.schema import Preprocessing

SELECT = {
    "pooled": POOLED,
    "positive": POSITIVE,
    "all": ALL,
    "loss": LOSS,
}  # option -> the number that chooses the weights
EVALUATIONS = 20  # a run, unless asked for otherwise


@dataclass(frozen=True)
class Options:
    """What decides an adaptation; None and () take the default (`resolved`)."""

    encoder: str
    data: str
    labels: tuple[str, ...]  # whose masks
    preset: str | None = None  # of `presets.PRESETS`, where the options came from one
    masks: str | None = None  # folder, COCO file or table; None: the folder `masks` beside the manifest
    runs: Pairs = "relative"  # how a table counts its run lengths
    mask_size: tuple[int, int] = SIIM_SIZE  # rows and columns of the masks in a table
    head: Form = "upernet"
    width: int | None = None  # upernet; default the encoder's, at most 768
    auxiliary_width: int | None = None  # upernet; default `width`, at most 256; 0: no auxiliary head
    dropout: float = 0.1
    decoder: tuple[int, ...] = ()  # medim; default that of the pretraining run, or falling from the encoder's width
    decoder_start: Literal["pretrained", "fresh"] = "pretrained"  # medim: where a pretrained one is found
    loss: Convention | None = None  # default focal-dice for upernet, focal-log-dice for medim
    weights: Literal["pretrained", "random"] = "pretrained"
    views: tuple[str, ...] = ()
    fraction: float = 1.0
    balance: bool = False  # train on all films with a mask and as many without
    size: int | None = None  # pixels a side of the network's input; default the encoder's
    resize: Resize | None = None  # default pad, or squeeze where the encoder was trained so
    crop: float = 0.6
    flip: float = 0.5
    rotate: float = 10.0
    contrast: float = 0.2
    brightness: float = 0.1
    epochs: float = 50.0
    steps: int | None = None  # optimizer steps; given, they replace `epochs`
    batch_size: int = 8
    lr: float = 1e-4
    warmup_steps: int | None = None  # default 5 % of the run
    decay: Literal["cosine", "poly", "constant"] = "cosine"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9  # sgd
    weight_decay: float = 0.05
    layer_decay: float | None = None  # default 0.75 from pretrained weights, off from random ones
    drop_path: float = 0.1
    layer_scale: float | None = None  # start of a LayerScale where the encoder has none; None: none is added
    evaluate_every: int | None = None  # steps; default an epoch, at most twenty times a run
    select: Literal["pooled", "positive", "all", "loss"] = "pooled"  # by which validation number the weights are chosen
    threshold: Literal["validation", "given"] = "validation"  # given: 0.5 and no smallest area
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: int = 0

    def resolved(self, architecture: Architecture, preprocessing: Preprocessing) -> Options:
        """The same with every default filled in; a preset's numbers for this fraction where none were given."""
        default = {field.name: field.default for field in fields(self)}
        special = BY_FRACTION.get(self.preset or "", {}).get(self.fraction, {})
        usual = self.preset_fields()
        options = replace(self, **{k: v for k, v in special.items() if getattr(self, k) in (default[k], usual.get(k))})
        width = options.width or min(768, architecture.width)
        values: dict[str, Any] = {
            "width": width,
            "auxiliary_width": min(256, width),
            "decoder": falling(architecture),
            "loss": "focal-dice" if options.head == "upernet" else "focal-log-dice",
            "size": preprocessing.size,
            "resize": "squeeze" if preprocessing.resize == "squeeze" else "pad",
            "layer_decay": 0.75 if options.weights == "pretrained" else 1.0,
        }
        return replace(options, **{k: v for k, v in values.items() if getattr(options, k) in (None, ())})

    def preset_fields(self) -> dict[str, Any]:
        """What the preset of these options gives."""
        return dict(PRESETS.get(self.preset or "", {}))

    def head_config(self) -> Config:
        """The head's sizes, of resolved options."""
        assert self.loss is not None
        return Config(
            form=self.head,
            maps=CONVENTIONS[self.loss].maps,
            width=self.width or 1,
            auxiliary_width=self.auxiliary_width or 0,
            dropout=self.dropout,
            decoder=self.decoder,
        )

    def settings(self) -> Settings:
        """Loss and views, of resolved options."""
        assert self.loss is not None
        assert self.size is not None
        assert self.resize is not None
        grey = (self.contrast, self.brightness)
        return Settings(self.loss, MaskViews(self.size, self.resize, self.crop, self.flip, self.rotate, *grey))

    def total_steps(self, films: int) -> int:
        """Optimizer steps of the run."""
        return self.steps or max(1, round(self.epochs * films / self.batch_size))

    def training(self, films: int, *, workers: int, device: str) -> TrainSettings:
        """Settings of the loop."""
        total = self.total_steps(films)
        epoch = max(1, round(films / self.batch_size))
        warmup = 0.05 if self.warmup_steps is None else min(self.warmup_steps / total, 0.999)
        values = {
            "epochs": (total + 1) * self.batch_size / films,
            "max_steps": total,
            "batch_size": self.batch_size,
            "lr": self.lr,
            "warmup": warmup,
            "decay": self.decay,
            "optimizer": self.optimizer,
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "betas": (0.9, 0.999),
            "layer_decay": self.layer_decay,
            "precision": self.precision,
            "seed": self.seed,
            "workers": workers,
            "accelerator": device,
            "save_every": self.evaluate_every or max(epoch, round(total / EVALUATIONS)),
            "keep_checkpoints": 1,
        }
        return override(TrainSettings(), values, where="adapt")


@dataclass(frozen=True)
class Plan:
    """An adaptation that can start: options in force, encoder, films with masks, and the record of the model to be."""

    options: Options
    encoder: Encoder
    preprocessing: Preprocessing
    train: MaskedFilms
    val: MaskedFilms
    record: SegmenterRecord
    decoder: dict[str, Tensor] | None
    manifest_digest: str
    encoder_digest: str

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration, as stored in the run folder."""
        return {
            "verb": "adapt",
            "task": "segment",
            **to_json(self.options),
            "manifest_sha256": self.manifest_digest,
            "encoder_sha256": self.encoder_digest,
            "decoder_pretrained": self.decoder is not None,
            "films": {"train": len(self.train), "val": len(self.val)},
            "masks_and_empty": {"train": self.train.counts(), "val": self.val.counts()},
        }


def make_plan(options: Options) -> Plan:
    """Resolve options and check all that can be checked before anything is written.

    Raises:
        ConfigError: an unknown finding or value, or no masks where they were looked for.
        ManifestError: films are missing, or a split cannot teach or choose.
        CheckpointError: the encoder cannot be loaded.
    """
    encoder = load(options.encoder)
    digest = weights_digest(encoder.model)
    decoder = _decoder(options)
    if decoder is not None and not options.decoder:
        options = replace(options, decoder=decoder_sizes(decoder))
    options = options.resolved(encoder.model.config, encoder.preprocessing)
    _check_values(options, encoder)
    manifest = Manifest.read(options.data).select(views=options.views or None)
    masks = read_masks(manifest, options.labels, options.masks, pairs=options.runs, size=options.mask_size)
    everything = MaskedFilms(manifest, masks)
    part = nested_fraction(with_mask_labels(everything), options.fraction, options.seed, options.labels)
    train = masked_films(everything, part.select(split="train"))
    if options.balance:
        train = balanced(train, options.seed)
    val = masked_films(everything, manifest.select(split="val"))
    for films, split in ((train, "train"), (val, "val")):
        check_teachable(films, "train" if split == "train" else "val")
        films.manifest.check_files()
    if options.weights == "random":
        encoder = Encoder(random_backbone(encoder.model.config, options.seed), encoder.preprocessing)
    preprocessing = encoder.preprocessing.whole(options.size or 0, options.resize or "pad")
    record = SegmenterRecord(
        findings=options.labels,
        head=to_json(options.head_config()),
        loss=options.loss or "focal-dice",
        chosen_by=options.threshold,
        origin=origin_of(options, train.manifest, digest, "fraction"),
    )
    return Plan(options, encoder, preprocessing, train, val, record, decoder, manifest.digest, digest)


def falling(architecture: Architecture) -> tuple[int, ...]:
    """Features of a fresh decoder's blocks: MedIM's 512, 256, 128, 64, or a smaller encoder's width and its halves."""
    first = min(512, local_width(architecture))
    return tuple(max(8, first // 2**block) for block in range(4))


def _decoder(options: Options) -> dict[str, Tensor] | None:
    """MedIM's pretrained decoder, where the head has one and it is wanted."""
    if options.head != "medim" or options.decoder_start == "fresh" or options.weights == "random":
        return None
    return pretrained_decoder(options.encoder)


def _check_values(options: Options, encoder: Encoder) -> None:
    """Options without meaning, before anything long starts."""
    options.head_config()
    if options.batch_size < 2:
        raise ConfigError(
            f"{options.batch_size} film a step gives the head's batch statistics nothing to go by",
            where="batch_size",
            fix="Give 2 or more",
        )
    shares = ("crop", "flip", "contrast", "brightness", "dropout")
    if wrong := next((name for name in shares if not 0 <= getattr(options, name) <= 1), None):
        raise ConfigError(f"must be in [0, 1], not {getattr(options, wrong)}", where=wrong)
    if options.crop == 0:
        raise ConfigError("keeps nothing of the film", where="crop", fix="1 keeps all of it")
    if options.layer_decay is None or not 0 < options.layer_decay <= 1:
        raise ConfigError(f"must be in (0, 1], not {options.layer_decay}", where="layer_decay", fix="1 switches it off")
    if not 0 <= options.drop_path < 1:
        raise ConfigError(f"must be in [0, 1), not {options.drop_path}", where="drop_path", fix="0 switches it off")
    if options.steps is not None and options.steps < 1:
        raise ConfigError(f"must be 1 or more, not {options.steps}", where="steps")
    sizes = encoder.model.config
    check_tiling(sizes, options.size or 0)
    if isinstance(sizes, ConvolutionalConfig) and options.layer_scale is not None:
        what = "a convolutional encoder takes no LayerScale that it does not have"
        raise ConfigError(what, where="layer_scale", fix="Leave it out")
