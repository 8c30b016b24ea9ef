"""Frozen protocol: the encoder stays as it is, heads learn from its features for a grid of learning rates at once.

The best rate is chosen on the validation films. CheXFound's protocol (arXiv 2502.05142, IV-A) then trains a second
time, on training and validation films together, at that rate and for as many epochs: from a new head as the paper says,
or going on from the weights of the first round as its code does. Nothing is left to choose by then: the head is what
the last epoch left, and thresholds are those of the first round, whose head had not learned from the validation films.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from hilum.encoder import Encoder
from hilum.evaluation.augmented_inputs import augmented
from hilum.evaluation.classifier import Classifier, Record, head_config
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.films import LabelledFilms
from hilum.evaluation.frozen_inputs import TOKEN_MEMORY, Reading, frozen_inputs, held
from hilum.heads.grid import VALIDATED, EpochHook, GridResult, GridSettings, train_grid, train_head
from hilum.heads.inputs import HeadInputs, InMemory, Joined, ahead
from hilum.transforms.augmentations import FilmViews

SecondRound = Literal["none", "fresh", "warm"]  # train + val again: not at all, from a new head, going on


@dataclass(frozen=True)
class Source:
    """Where features come from."""

    runner: Runner
    cache: Path | None = None  # folder for pooled features computed here
    store: FeatureStore | None = None  # of `hilum embed`, instead of the encoder
    memory: float = TOKEN_MEMORY  # GiB of taps held in memory
    views: FilmViews | None = None  # what films that are learned from go through, anew every epoch
    seed: int = 0  # of the views


@dataclass(frozen=True)
class Frozen:
    """What the protocol leaves."""

    classifier: Classifier
    result: GridResult  # of the grid: rate, epoch, validation AUROC
    val_logits: Tensor  # (N, K) float64, of the grid's winner on the validation films


def train_frozen(
    encoder: Encoder,
    train: LabelledFilms,
    val: LabelledFilms,
    record: Record,
    settings: GridSettings,
    source: Source,
    *,
    on_epoch: EpochHook | None = None,
    on_second: Callable[[dict[str, float]], None] | None = None,
) -> Frozen:
    """Train heads on frozen features and put the best one on the encoder.

    Args:
        encoder: stays as it is.
        train: the films that the heads learn from.
        val: the films that choose learning rate and epoch.
        record: findings, what the head reads, its options, and whether there is a second round.
        settings: of the grid.
        source: where features come from.
        on_epoch: receives the numbers of each epoch of the grid.
        on_second: receives epoch and loss of each epoch of the second round.
    """
    config = head_config(record)
    reading = Reading.of(record.head, record.head_config, record.pool)
    parts = (val,) if source.views is not None else (train, val)
    kept = [
        frozen_inputs(encoder, films.manifest, reading, runner=source.runner, cache=source.cache, store=source.store)
        for films in parts
    ]
    learned = kept = held(kept, source.memory, source.runner)
    x_val = kept[-1]
    if source.views is not None:  # the encoder runs every epoch; what chooses is never augmented
        runner, views, seed = source.runner, source.views, source.seed
        learned = [augmented(encoder, films.manifest, reading, views, seed, runner) for films in (train, val)]
    y_train, y_val = torch.from_numpy(train.targets), torch.from_numpy(val.targets)
    result = train_grid(record.head, (learned[0], y_train), (x_val, y_val), settings, config=config, on_epoch=on_epoch)
    logits = head_logits(result.head, x_val, settings.batch_size)
    head = result.head
    if record.second_round != "none":
        head = train_head(
            record.head,
            (Joined(learned[0], learned[1]), torch.cat([y_train, y_val])),
            replace(settings, lrs=(result.lr,)),
            config=config,
            start=result.head.state_dict() if record.second_round == "warm" else None,
            on_epoch=on_second,
        )
    return Frozen(Classifier(encoder.model, head, pool=record.pool).eval().cpu(), result, logits)


@torch.no_grad()
def head_logits(head: nn.Module, inputs: HeadInputs, batch_size: int) -> Tensor:
    """Logits (N, K) float64 on the CPU of a trained head; it goes to where the features lie and comes back."""
    pooled = isinstance(inputs, InMemory) and isinstance(inputs.features, Tensor)
    parts = []
    for features in ahead(inputs, torch.split(torch.arange(len(inputs)), VALIDATED if pooled else batch_size)):
        head.to(features.device)
        parts.append(head(features).double().cpu())
    head.cpu()
    return torch.cat(parts)
