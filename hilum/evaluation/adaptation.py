"""From an encoder and labelled films to a classifier: what `hilum adapt classify` does, as a library call.

`make_plan` resolves and checks everything that can be wrong before anything is written; `run_adaptation` does the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from hilum.config import TrainSettings, override, to_json
from hilum.encoder import Encoder, Pool, load
from hilum.errors import ConfigError
from hilum.evaluation.classifier import Mode, Record, random_backbone
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import weights_digest
from hilum.evaluation.films import LabelledFilms, labelled_films
from hilum.evaluation.finetune import Config
from hilum.evaluation.frozen import SecondRound
from hilum.evaluation.frozen_inputs import TOKEN_MEMORY, Reading, head_options, stored_inputs
from hilum.heads import HEADS
from hilum.heads.choose import check_choosable
from hilum.heads.grid import GridSettings
from hilum.heads.grids import Grid, grid_rates
from hilum.labels import LabelPolicy, Targets, check_both_classes, check_findings, nested_fraction
from hilum.lookup import lookup
from hilum.manifest import Manifest

BASE_LR: Final = 5e-3  # per 256 films; RETFound's fine-tuning value for MAE encoders, whose protocol CXRBase follows


@dataclass(frozen=True)
class Options:
    """What decides an adaptation; None takes the default of the mode (`resolved`)."""

    encoder: str
    data: str
    labels: tuple[str, ...]
    head: str = "linear"
    head_variant: str | None = None  # a name of the head's VARIANTS
    head_set: Mapping[str, Any] = field(default_factory=dict)  # further options of the head
    blocks: int | None = None  # of the encoder, for heads that read taps
    mode: Mode = "frozen"
    pool: Pool = "mean"
    weights: Literal["pretrained", "random"] = "pretrained"
    targets: Targets = "multilabel"
    policy: str = "ignore"
    views: tuple[str, ...] = ()
    fraction: float = 1.0
    epochs: int = 50  # CXRBase's fine-tuning; the same for heads on frozen features
    batch_size: int | None = None  # 256 frozen, 16 fine-tuning (CXRBase)
    lrs: tuple[float, ...] = ()  # a grid when frozen; one peak rate when fine-tuning
    grid: Grid = "default"  # frozen: rates by name, where none are given
    loss_sum: bool = False  # frozen: the loss summed over a batch's labels
    second_round: SecondRound = "none"  # frozen: train and val together once more, at the best rate
    features: str | None = None  # frozen: a folder of `hilum embed`
    token_memory: float = TOKEN_MEMORY  # frozen: GiB of tokens held in memory
    weight_decay: float | None = None  # 0.01 frozen (1e-4 for heads on taps, as CheXFound), 0.05 fine-tuning (MAE)
    label_smoothing: float | None = None  # 0 frozen, 0.1 fine-tuning (MAE)
    layer_decay: float | None = None  # 0.75 from pretrained weights (MAE), off from random ones
    drop_path: float = 0.1
    mixup: float = 0.0
    start: Literal["probe", "fresh"] = "probe"  # fine-tuning: the head's weights at step 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: int = 0
    preset: str | None = None  # of `protocols.PROTOCOLS`, where the options came from one

    def resolved(self) -> Options:
        """The same with every None replaced by the value in force."""
        frozen = self.mode == "frozen"
        pooled = lookup(HEADS, self.head, kind="head").reads == "pooled"
        batch_size = self.batch_size or (256 if frozen else 16)
        decay = 0.75 if self.weights == "pretrained" else 1.0
        defaults: dict[str, Any] = {
            "batch_size": batch_size,
            "lrs": grid_rates(self.head, self.grid) if frozen else (BASE_LR * batch_size / 256,),
            "weight_decay": (0.01 if pooled else 1e-4) if frozen else 0.05,
            "label_smoothing": 0.0 if frozen else 0.1,
            "layer_decay": decay,
        }
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) in (None, ())})

    def grid_settings(self) -> GridSettings:
        """Settings of the heads on frozen features."""
        assert self.batch_size is not None
        assert self.weight_decay is not None
        assert self.label_smoothing is not None
        return GridSettings(
            lrs=self.lrs,
            epochs=self.epochs,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            smoothing=self.label_smoothing,
            loss_sum=self.loss_sum,
            targets=self.targets,
            seed=self.seed,
        )

    def probe(self) -> GridSettings:
        """Settings of the frozen probe at which fine-tuning starts."""
        return GridSettings(targets=self.targets, seed=self.seed)

    def fine_tuning(self) -> Config:
        """Options of the fine-tuning method."""
        assert self.label_smoothing is not None
        return Config(targets=self.targets, drop_path=self.drop_path, smoothing=self.label_smoothing, mixup=self.mixup)

    def training(self, films: int, *, workers: int, device: str) -> TrainSettings:
        """Settings of the loop: warm-up 5 of 50 epochs as MAE; judged once an epoch, at most twenty times a run."""
        assert self.batch_size is not None
        batch_size = min(self.batch_size, films)
        values = {
            "epochs": float(self.epochs),
            "batch_size": batch_size,
            "lr": self.lrs[0],
            "warmup": 0.1,
            "weight_decay": self.weight_decay,
            "betas": (0.9, 0.999),
            "layer_decay": self.layer_decay,
            "precision": self.precision,
            "seed": self.seed,
            "workers": workers,
            "accelerator": device,
            "save_every": max(1, round(films / batch_size), round(self.epochs * films / batch_size / 20)),
            "keep_checkpoints": 1,
        }
        return override(TrainSettings(), values, where="adapt")


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
        }


def make_plan(options: Options) -> Plan:
    """Resolve options and check all that can be checked before anything is written.

    Raises:
        ConfigError: an unknown finding, head or value.
        ManifestError: films are missing, or a split cannot teach or choose.
        CheckpointError: the encoder cannot be loaded.
    """
    options = options.resolved()
    _check_values(options)
    policy = LabelPolicy.parse(options.policy)
    everything = Manifest.read(options.data).select(views=options.views or None)
    check_findings(everything, options.labels)
    part = nested_fraction(everything, options.fraction, options.seed, options.labels)
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
        fc_norm=options.mode == "finetune" and options.pool == "mean",
        policy=policy.to_json(),
        origin=_origin(options, train, digest),
    )
    return Plan(options, encoder, train, val, record, everything.digest, digest, store)


def _check_values(options: Options) -> None:
    """Whatever the mode, no option may hold nonsense: a resumed or repeated run would carry it on."""
    options.grid_settings()
    if options.mode == "finetune" and len(options.lrs) != 1:
        raise ConfigError(
            f"fine-tuning takes one peak learning rate, not {len(options.lrs)}",
            where="lrs",
            fix="Give one, e.g. --lrs 1e-3",
        )
    _check_mode(options)
    if options.token_memory < 0:
        raise ConfigError(f"must be 0 GiB or more, not {options.token_memory}", where="token_memory")
    if options.layer_decay is None or not 0 < options.layer_decay <= 1:
        raise ConfigError(f"must be in (0, 1], not {options.layer_decay}", where="layer_decay", fix="1 switches it off")
    if not 0 <= options.drop_path < 1:
        raise ConfigError(f"must be in [0, 1), not {options.drop_path}", where="drop_path", fix="0 switches it off")
    options.fine_tuning()
    if options.targets == "multiclass" and len(options.labels) < 2:
        raise ConfigError(
            "multi-class needs at least two classes", where="labels", fix="Name them all, e.g. NoFinding,Edema"
        )


def _check_mode(options: Options) -> None:
    """What belongs to frozen features alone has no meaning when the encoder learns."""
    if options.mode == "frozen":
        return
    if lookup(HEADS, options.head, kind="head").reads != "pooled":
        what = f"fine-tuning takes a head on pooled features, and {options.head} reads the tokens of several blocks"
        raise ConfigError(what, where="head", fix="Use --mode frozen, or --head linear or mlp")
    default = Options(encoder="", data="", labels=())
    only = ("grid", "loss_sum", "second_round", "features", "head_variant", "head_set", "blocks")
    if given := [name for name in only if getattr(options, name) != getattr(default, name)]:
        what = f"{', '.join(given)} is for --mode frozen"
        raise ConfigError(what, where="mode", fix="Leave it out when fine-tuning")


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


def _origin(options: Options, train: LabelledFilms, encoder_digest: str) -> dict[str, Any]:
    """Where the classifier comes from, without paths of this machine."""
    table = train.manifest.table
    sources = sorted(set(table["source"]) - {""}) if "source" in table else []
    return {
        "encoder": Path(options.encoder).name if options.weights == "pretrained" else "random weights",
        "encoder_sha256": encoder_digest,
        "data": Path(options.data).name,
        "sources": sources,
        "views": list(options.views),
        "fraction": options.fraction,
        "train_films": len(train),
        "train_patients": int(table["patient_id"].nunique()),
        "seed": options.seed,
    }
