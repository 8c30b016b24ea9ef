"""Fine-tuning: encoder and head learn together, through the one training loop.

MAE's recipe (arXiv 2111.06377, appendix A.2): the mean of the patch tokens without the encoder's final norm, a fresh
LayerNorm, the head; AdamW with layer-wise decay of the learning rate, drop-path, label smoothing. CXRBase (arXiv
2410.08861) fine-tunes so with batches of 16 for 50 epochs and keeps the weights with the best validation AUROC.

Departures, unless a protocol asks otherwise (`protocols.py`): the augmentation is weak and of a radiograph's kind
(crop, small turn, exposure) instead of RandAugment and random erasing; the head starts at the best frozen probe
(`start="probe"`) unless the fresh one of MAE is asked for; mixup is off; with `pool="cls"` the final norm stays and
there is no fresh one, as in MAE.

Convolutional encoders learn by the same recipe with their own pooling and no fresh norm: the learning rate decays by
stage, batch normalisation goes by the statistics of the batch and moves the stored ones, and of the families ConvNeXt
alone drops paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.evaluation.classifier import Classifier, Record, build_classifier
from hilum.evaluation.features import Runner, run_films
from hilum.evaluation.films import LabelledFilms
from hilum.films import FilmStore
from hilum.heads.choose import macro_auroc
from hilum.heads.grid import GridSettings, train_grid
from hilum.heads.objective import validation_loss
from hilum.heads.targets import LabelLoss, probabilities
from hilum.labels import Targets
from hilum.methods.method import Optimisation, Output
from hilum.models.backbone import Architecture, Convolutional, ConvolutionalConfig, retuned
from hilum.models.vit_weights import Part, learnable_positions, less
from hilum.schema import IMAGE, LABELS, Preprocessing
from hilum.transforms.augmentations import FilmViews, augmentation
from hilum.transforms.image import normalise

MIXUP: Final = "mixup"  # batch key: (B,) float32, each film's own share in the blend with its partner
BEST: Final = "val/auroc"  # the number that decides which weights are kept: the highest of it,
LOWEST: Final = "val/loss"  # or the lowest of this


@dataclass(frozen=True)
class Config:
    """Options of fine-tuning that are not the loop's."""

    loss: LabelLoss = field(default_factory=lambda: LabelLoss(smoothing=0.1))
    drop_path: float = 0.1  # stochastic depth of the last block
    mixup: float = 0.0  # alpha of the Beta distribution of shares; 0: off
    augment: str = "weak"  # a name of `transforms/augmentations.py`
    augment_set: Mapping[str, Any] = field(default_factory=dict)  # its options
    freeze: bool = False  # the encoder stays as it is and in evaluation mode; head and fresh norm learn
    train_positions: bool = False  # a fixed table of positions learns too, as in MRM's fine-tuning

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        if not 0 <= self.loss.smoothing < 1:
            raise ConfigError(f"must be in [0, 1), not {self.loss.smoothing}", where="label_smoothing")
        if self.mixup < 0:
            raise ConfigError(f"must be 0 (off) or more, not {self.mixup}", where="mixup")


@dataclass(frozen=True)
class LabelledViews:
    """An augmented film and, for mixup, its share in the blend."""

    film_views: FilmViews
    mixup: float  # alpha; 0: off

    def __call__(self, film: NDArray[Any], rng: np.random.Generator) -> dict[str, Tensor]:
        """Film (H, W) uint8 -> image, as its augmentation gives it, and, with mixup, a share in [0, 1]."""
        views = self.film_views(film, rng)
        if self.mixup:
            views[MIXUP] = torch.tensor(rng.beta(self.mixup, self.mixup), dtype=torch.float32)
        return views


class FineTune(nn.Module):
    """The method: a whole classifier, trained on known labels."""

    optimisation = Optimisation(no_decay=frozenset({"cls_token", "reg_token", "pos_embed"}))  # as MAE's fine-tuning

    def __init__(self, classifier: Classifier, preprocessing: Preprocessing, config: Config) -> None:
        super().__init__()
        self.config = config
        self.preprocessing = preprocessing
        self.classifier = classifier
        if config.freeze:
            classifier.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training mode; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.config.freeze:
            self.classifier.backbone.eval()
        return self

    @property
    def backbone(self) -> nn.Module:
        """The encoder inside the classifier."""
        return self.classifier.backbone

    def views(self) -> LabelledViews:
        """The transform a training film goes through."""
        films = augmentation(self.config.augment, self.preprocessing, self.config.augment_set)
        return LabelledViews(films, self.config.mixup)

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch: the mean over its known labels.

        Args:
            batch: `image` (B, 1, S, S) uint8 or (B, C, S, S) normalised, `labels` (B, K) with NaN for unknown, and
                perhaps `mixup` (B,): film i is blended with film B - 1 - i of the same micro-batch. A label that is
                unknown in either of the two is unknown in the blend.
            progress: share of the run that is done; there is no schedule.
        """
        images, targets = normalise(batch[IMAGE], self.preprocessing), batch[LABELS]
        if MIXUP in batch:
            share = batch[MIXUP]
            images = torch.lerp(images.flip(0), images, share.view(-1, 1, 1, 1))
            targets = torch.lerp(targets.flip(0), targets, share.view(-1, 1))
        logits = self.classifier(images)
        loss = self.config.loss(logits, targets)
        return Output(loss, {"loss": loss.detach()})

    def before_step(self, progress: float) -> None:
        """Nothing to do."""

    def after_step(self, progress: float) -> None:
        """Nothing to do."""


def fine_tune_method(encoder: Encoder, record: Record, config: Config, *, seed: int) -> FineTune:
    """The method with the encoder's weights in it and a fresh head.

    Args:
        encoder: pretrained or random; it is not changed.
        record: findings, pooling, head; `fc_norm` replaces the encoder's final norm by a fresh one.
        config: drop-path and so on.
        seed: of the head's start.

    Raises:
        ConfigError: positions are to learn, of an encoder that has no table of them.
    """
    architecture, weights = _start(encoder, record, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = build_classifier(architecture, record)
    classifier.backbone.load_state_dict(weights)
    if isinstance(classifier.backbone, Convolutional) and record.pool == "mean":
        classifier.backbone.freeze_reader(cells=True)
    return FineTune(classifier, encoder.preprocessing, config)


def takes_fresh_norm(sizes: Architecture) -> bool:
    """Whether MAE's recipe puts a LayerNorm behind the mean: not where the encoder has its own, nor on convolutions."""
    return not isinstance(sizes, ConvolutionalConfig) and not sizes.pool_norm


def _start(encoder: Encoder, record: Record, config: Config) -> tuple[Architecture, Mapping[str, Tensor]]:
    """Sizes and weights of the network that learns: the encoder less what the classifier does not read."""
    sizes, weights = retuned(encoder.model.config, drop_path=config.drop_path), encoder.model.state_dict()
    if config.train_positions and (isinstance(sizes, ConvolutionalConfig) or sizes.position == "none"):
        what = "the encoder has no table of positions"
        raise ConfigError(what, where="train_positions", fix="Leave it out")
    if isinstance(sizes, ConvolutionalConfig):
        return sizes, weights
    unread: list[Part] = ["mask_token"]
    unread += ["final_norm"] if record.fc_norm else []
    unread += ["pool_norm"] if record.pool == "cls" else []
    sizes, weights = less(sizes, weights, *unread)
    return learnable_positions(sizes) if config.train_positions else sizes, weights


def start_at_probe(
    method: FineTune, train: LabelledFilms, val: LabelledFilms, settings: GridSettings, kind: str, runner: Runner
) -> float:
    """Give the head the weights of the best frozen probe; the encoder stays. Returns the probe's validation AUROC.

    A fresh head on a pretrained encoder needs a larger learning rate than the encoder bears, and until it has caught up
    its gradients disturb the features (Kumar et al., arXiv 2202.10054).

    Args:
        method: the method, not yet trained.
        train: films the probe learns from.
        val: films that choose its rate and epoch.
        settings: of the probe's grid.
        kind: the head's name.
        runner: where the films run.
    """
    network = method.classifier.to(runner.torch_device).eval()
    parts = []
    for films in (train, val):
        outputs = run_films(network.features, FilmStore(films.manifest, cache=False), method.preprocessing, runner)
        parts.append((torch.cat(list(outputs)), torch.from_numpy(films.targets)))
    result = train_grid(kind, parts[0], parts[1], settings, config=method.classifier.head.config)
    method.classifier.head.load_state_dict(result.head.state_dict())
    method.cpu().train()
    return result.value


def classifier_scores(
    classifier: nn.Module, films: FilmStore, preprocessing: Preprocessing, kind: Targets, runner: Runner
) -> NDArray[np.float64]:
    """Probabilities (N, K) of a classifier that already lies on the runner's device, in evaluation mode."""
    parts = list(run_films(classifier, films, preprocessing, runner, title="scoring films"))
    return probabilities(torch.cat(parts).double(), kind).numpy()


def validation(films: LabelledFilms, runner: Runner) -> Callable[[nn.Module, int], Mapping[str, float]]:
    """An evaluator for the loop: macro AUROC and loss on the validation films, as `val/auroc` and `val/loss`."""
    store = FilmStore(films.manifest, quiet=True)
    targets = torch.from_numpy(films.targets)

    def evaluate(method: nn.Module, step: int) -> Mapping[str, float]:
        assert isinstance(method, FineTune)
        device: Any = next(method.parameters()).device.type
        here = replace(runner, device=device, quiet=True)  # a bar inside the training bar would garble both
        parts = run_films(method.classifier, store, method.preprocessing, here)
        logits = torch.cat(list(parts)).double()
        learn = method.config.loss
        loss = float(validation_loss(learn)(logits, targets.double()))
        auroc = macro_auroc(films.targets, probabilities(logits, learn.kind).numpy())
        numbers = {LOWEST: loss} if math.isfinite(loss) else {}
        return numbers if auroc is None else {**numbers, BEST: auroc}

    return evaluate
