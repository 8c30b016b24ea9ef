"""What decides how a classifier is made: one record of options, its defaults by mode, and what makes no sense.

The protocols of the papers are presets of these fields (`protocols.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hilum.config import TrainSettings, override
from hilum.encoder import Pool
from hilum.errors import ConfigError
from hilum.evaluation.classifier import Mode
from hilum.evaluation.finetune import Config
from hilum.evaluation.frozen import SecondRound
from hilum.evaluation.frozen_inputs import TOKEN_MEMORY
from hilum.heads import HEADS
from hilum.heads.calibrate import Calibrate
from hilum.heads.choose import MAX_F1, ThresholdRule
from hilum.heads.grid import GridSettings
from hilum.heads.grids import Grid, grid_rates
from hilum.heads.objective import Select
from hilum.heads.targets import PLAIN, LabelLoss, LossName
from hilum.labels import Targets, Unit
from hilum.lookup import lookup, unknown_name
from hilum.schema import Preprocessing
from hilum.transforms.augmentations import Augment, augmentation

BASE_LR: Final = 5e-3  # per 256 films; RETFound's fine-tuning value for MAE encoders, whose protocol CXRBase follows
LOOKS: Final = 20  # at the validation films in a run of fine-tuning, at most, unless told otherwise
FROZEN_ONLY: Final = (*("grid", "loss_sum", "second_round", "features", "head_variant", "blocks"),)
TUNED_ONLY: Final = (
    *("steps", "warmup", "optimizer", "momentum", "clip_norm", "evaluate_every", "freeze", "train_positions"),
)


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
    policy: str = "ignore"  # of uncertain labels: rules, or a name of `hilum.labels.POLICIES`
    views: tuple[str, ...] = ()
    fraction: float = 1.0
    fraction_unit: Unit = "patient"  # "image" as in published tables: a patient may be cut
    fraction_seed: int | None = None  # of the draw of a fraction or shots; that of the run where omitted
    shots: int | None = None  # positive patients a finding, in place of a fraction; always whole patients
    epochs: int = 50  # CXRBase's fine-tuning; the same for heads on frozen features
    steps: int | None = None  # fine-tuning: optimizer steps in place of epochs
    warmup: float | None = None  # fine-tuning: share of the run; 0.1, 5 of MAE's 50 epochs
    batch_size: int | None = None  # 256 frozen, 16 fine-tuning (CXRBase)
    lrs: tuple[float, ...] = ()  # a grid when frozen; one peak rate when fine-tuning
    grid: Grid = "default"  # frozen: rates by name, where none are given
    decay: Literal["cosine", "poly", "constant"] = "cosine"  # of the rate; frozen knows no poly
    optimizer: Literal["adamw", "sgd"] = "adamw"  # fine-tuning
    momentum: float = 0.9  # fine-tuning with SGD
    clip_norm: float | None = None  # fine-tuning: gradient norm is clipped to this
    loss: LossName = PLAIN
    loss_set: Mapping[str, Any] = field(default_factory=dict)  # options of the loss
    loss_sum: bool = False  # frozen: the loss summed over a batch's labels
    second_round: SecondRound = "none"  # frozen: train and val together once more, at the best rate
    features: str | None = None  # frozen: a folder of `hilum embed`
    token_memory: float = TOKEN_MEMORY  # frozen: GiB of tokens held in memory
    weight_decay: float | None = None  # 0.01 frozen (1e-4 for heads on taps, as CheXFound), 0.05 fine-tuning (MAE)
    label_smoothing: float | None = None  # 0 frozen, 0.1 fine-tuning (MAE)
    layer_decay: float | None = None  # 0.75 from pretrained weights (MAE), off from random ones
    drop_path: float = 0.1
    mixup: float = 0.0
    augment: Augment | None = None  # none frozen, weak fine-tuning
    augment_set: Mapping[str, Any] = field(default_factory=dict)  # options of the augmentation
    freeze: bool = False  # fine-tuning: head and its norm alone learn
    train_positions: bool = False  # fine-tuning: a fixed table of positions learns too
    start: Literal["probe", "fresh"] = "probe"  # fine-tuning: the head's weights at step 0
    select: Select = "auroc"  # what chooses the weights on validation films: best AUROC, or lowest loss
    evaluate_every: float | None = None  # fine-tuning: epochs between looks at them; one, or a twentieth of the run
    threshold: str = MAX_F1  # chosen on validation: max-f1, sensitivity=0.9 or specificity=0.9
    calibrate: Calibrate = "none"  # scaling of the scores, fitted on validation
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
            "augment": "none" if frozen else "weak",
            "fraction_seed": self.seed,
        }
        if not frozen:
            defaults["warmup"] = 0.1
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) in (None, ())})

    def grid_settings(self) -> GridSettings:
        """Settings of the heads on frozen features."""
        assert self.batch_size is not None
        assert self.weight_decay is not None
        assert self.label_smoothing is not None
        return GridSettings(
            lrs=self.lrs,
            decay="constant" if self.decay == "constant" else "cosine",
            epochs=self.epochs,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            smoothing=self.label_smoothing,
            loss=self.loss,
            loss_set=self.loss_set,
            loss_sum=self.loss_sum,
            select=self.select,
            targets=self.targets,
            seed=self.seed,
        )

    def probe(self) -> GridSettings:
        """Settings of the frozen probe at which fine-tuning starts."""
        return GridSettings(targets=self.targets, seed=self.seed)

    def fine_tuning(self, targets: NDArray[np.float32] | None = None) -> Config:
        """Options of the fine-tuning method; class-balanced weights are of these training targets (N, K)."""
        assert self.label_smoothing is not None
        assert self.augment is not None
        table = np.zeros((0, len(self.labels)), np.float32) if targets is None else targets
        loss = LabelLoss.make(
            table, kind=self.targets, name=self.loss, options=dict(self.loss_set), smoothing=self.label_smoothing
        )
        return Config(
            loss=loss,
            drop_path=self.drop_path,
            mixup=self.mixup,
            augment=self.augment,
            augment_set=self.augment_set,
            freeze=self.freeze,
            train_positions=self.train_positions,
        )

    def training(self, films: int, *, workers: int, device: str) -> TrainSettings:
        """Settings of the loop for so many training films."""
        assert self.batch_size is not None
        batch_size = min(self.batch_size, films)
        epochs = float(self.epochs) if self.steps is None else self.steps * batch_size / films
        every = max(1, round(films / batch_size), round(epochs * films / batch_size / LOOKS))
        if self.evaluate_every is not None:
            every = max(1, round(self.evaluate_every * films / batch_size))
        values = {
            "epochs": epochs,
            "max_steps": self.steps,
            "batch_size": batch_size,
            "lr": self.lrs[0],
            "warmup": self.warmup,
            "decay": self.decay,
            "optimizer": self.optimizer,
            "momentum": self.momentum,
            "clip_norm": self.clip_norm,
            "weight_decay": self.weight_decay,
            "betas": (0.9, 0.999),
            "layer_decay": self.layer_decay,
            "precision": self.precision,
            "seed": self.seed,
            "workers": workers,
            "accelerator": device,
            "save_every": every,
            "keep_checkpoints": 1,
        }
        return override(TrainSettings(), values, where="adapt")


def check_options(options: Options, preprocessing: Preprocessing = Preprocessing()) -> None:  # noqa: B008  # frozen
    """Refuse what has no meaning, whatever the mode: a resumed or repeated run would carry it on.

    Args:
        options: resolved.
        preprocessing: of the encoder, for augmentations.

    Raises:
        ConfigError: naming the option.
    """
    options.grid_settings()
    ThresholdRule.parse(options.threshold)
    assert options.augment is not None
    augmentation(options.augment, preprocessing, options.augment_set)
    _check_mode(options)
    if options.token_memory < 0:
        raise ConfigError(f"must be 0 GiB or more, not {options.token_memory}", where="token_memory")
    if options.layer_decay is None or not 0 < options.layer_decay <= 1:
        raise ConfigError(f"must be in (0, 1], not {options.layer_decay}", where="layer_decay", fix="1 switches it off")
    if not 0 <= options.drop_path < 1:
        raise ConfigError(f"must be in [0, 1), not {options.drop_path}", where="drop_path", fix="0 switches it off")
    options.fine_tuning()
    _check_subset(options)
    if options.targets == "multiclass":
        if len(options.labels) < 2:
            what = "multi-class needs at least two classes"
            raise ConfigError(what, where="labels", fix="Name them all, e.g. NoFinding,Edema")
        if options.calibrate == "platt":
            what = "classes of which exactly one holds share one temperature; Platt's two numbers are of one finding"
            raise ConfigError(what, where="calibrate", fix="Use --calibrate temperature")
    if options.calibrate not in ("none", "temperature", "platt"):
        raise unknown_name(options.calibrate, ["none", "temperature", "platt"], kind="calibration", where="calibrate")


def _check_subset(options: Options) -> None:
    """Training films are the whole, a fraction, or so many shots: never two of these."""
    if options.shots is not None and options.fraction != 1:
        what = f"{options.shots} shots a finding and a fraction of {options.fraction:g} are two answers to one question"
        raise ConfigError(what, where="shots", fix="Leave out --shots or --fraction")


def _check_mode(options: Options) -> None:
    """What belongs to one mode has no meaning in the other."""
    default = Options(encoder="", data="", labels=())
    other = "finetune" if options.mode == "frozen" else "frozen"
    names = [*(TUNED_ONLY if options.mode == "frozen" else FROZEN_ONLY)]
    if given := [name for name in names if getattr(options, name) not in (getattr(default, name), None)]:
        what = f"{', '.join(given)} is for --mode {other}"
        raise ConfigError(what, where="mode", fix=f"Leave it out with --mode {options.mode}")
    if options.mode == "frozen":
        if options.decay == "poly":
            raise ConfigError(
                "heads on frozen features know no poly decay", where="decay", fix="Use cosine or constant"
            )
        if options.features is not None and options.augment != "none":
            what = f"the features in {options.features} are of films as they are, not augmented by {options.augment!r}"
            raise ConfigError(what, where="features", fix="Use --augment none, or leave out --features")
        return
    if len(options.lrs) != 1:
        what = f"fine-tuning takes one peak learning rate, not {len(options.lrs)}"
        raise ConfigError(what, where="lrs", fix="Give one, e.g. --lrs 1e-3")
    if lookup(HEADS, options.head, kind="head").reads != "pooled":
        what = f"fine-tuning takes a head on pooled features, and {options.head} reads the tokens of several blocks"
        raise ConfigError(what, where="head", fix="Use --mode frozen, or --head linear or mlp")
    for name, least in (("steps", 1), ("evaluate_every", 0), ("clip_norm", 0)):
        value = getattr(options, name)
        if value is not None and (value < least or value <= 0):
            raise ConfigError(f"must be more than 0, not {value}", where=name)
    if options.warmup is None or not 0 <= options.warmup < 1:
        raise ConfigError(f"must be in [0, 1), a share of the run, not {options.warmup}", where="warmup")
    if not 0 <= options.momentum < 1:
        raise ConfigError(f"must be in [0, 1), not {options.momentum}", where="momentum")
