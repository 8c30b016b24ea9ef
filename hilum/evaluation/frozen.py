"""Frozen protocol: encode every film once, then train heads on the features for a grid of learning rates at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.encoder import Encoder
from hilum.evaluation.classifier import Classifier, Record
from hilum.evaluation.features import Runner, extract_features
from hilum.evaluation.films import LabelledFilms
from hilum.heads.grid import EpochHook, GridResult, GridSettings, train_grid
from hilum.heads.targets import probabilities


def train_frozen(
    encoder: Encoder,
    train: LabelledFilms,
    val: LabelledFilms,
    record: Record,
    settings: GridSettings,
    *,
    cache: Path | None,
    runner: Runner,
    on_epoch: EpochHook | None = None,
) -> tuple[Classifier, GridResult, NDArray[np.float64]]:
    """Train heads on frozen features and put the best one on the encoder.

    Args:
        encoder: stays as it is.
        train: the films that the heads learn from.
        val: the films that choose learning rate and epoch.
        record: findings, pooling and head.
        settings: of the grid.
        cache: folder for the features.
        runner: where the encoder runs.
        on_epoch: receives the numbers of each epoch.

    Returns:
        The classifier, the grid's result, and the winner's probabilities on the validation films (N, K).
    """
    x_train, x_val = (
        _tensor(extract_features(encoder, films.manifest, record.pool, cache=cache, runner=runner), runner)
        for films in (train, val)
    )
    y_train, y_val = (torch.from_numpy(films.targets).to(runner.torch_device) for films in (train, val))
    result = train_grid(record.head, (x_train, y_train), (x_val, y_val), settings, on_epoch=on_epoch)
    classifier = Classifier(encoder.model, result.head, pool=record.pool).eval()
    with torch.no_grad():
        scores = probabilities(result.head(x_val.cpu()).double(), record.targets)
    return classifier.cpu(), result, scores.numpy()


def _tensor(features: NDArray[np.float32], runner: Runner) -> torch.Tensor:
    copied: NDArray[Any] = np.array(features)  # a memory map is read-only, a tensor must not be
    return torch.from_numpy(copied).to(runner.torch_device)
