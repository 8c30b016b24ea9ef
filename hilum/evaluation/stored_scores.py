"""Scores of a frozen classifier from features on disk: the encoder has seen these films already."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.evaluation.classifier import TrainedClassifier
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.frozen import head_logits
from hilum.evaluation.frozen_inputs import Reading, stored_inputs
from hilum.heads.inputs import InMemory
from hilum.heads.targets import probabilities
from hilum.manifest import Manifest


def stored_scores(
    trained: TrainedClassifier, manifest: Manifest, store: FeatureStore, runner: Runner
) -> NDArray[np.float64]:
    """Probabilities (N, K) of the films of a manifest, by the head alone.

    Raises:
        ConfigError: the encoder was fine-tuned, so that its features are no longer those of the store.
        CheckpointError: the store is of another encoder.
        ManifestError: a film is not in it, or has changed.
    """
    record = trained.record
    if record.mode != "frozen":
        what = "the encoder was fine-tuned, and the features are those it started with"
        raise ConfigError(what, where="features", fix="Leave it out")
    store.check_encoder(Encoder(trained.model.backbone, trained.preprocessing))
    reading = Reading.of(record.head, record.head_config, record.pool)
    inputs = stored_inputs(store, manifest, reading, runner.torch_device)
    pooled = reading.pool is not None
    held = InMemory(inputs.batch(torch.arange(len(inputs)))) if pooled else inputs
    logits = head_logits(trained.model.head.eval(), held, runner.batch_size)
    return probabilities(logits, record.targets).numpy()
