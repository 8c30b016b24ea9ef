"""What a head of risk reads of films: taps of last blocks, or pooled features with covariates beside them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hilum.encoder import Encoder
from hilum.evaluation.frozen import Source
from hilum.evaluation.frozen_inputs import Reading, frozen_inputs, held
from hilum.evaluation.survival.covariates import Covariates
from hilum.evaluation.survival.model import RiskRecord
from hilum.heads.inputs import HeadInputs, InMemory
from hilum.manifest import Manifest


def risk_inputs(
    encoder: Encoder, manifests: Sequence[Manifest], record: RiskRecord, source: Source
) -> list[HeadInputs]:
    """The inputs of a record's head for the films of some manifests, row by row, on the runner's device.

    Args:
        encoder: of the films.
        manifests: training and validation films.
        record: head, pooling, covariates.
        source: where features come from, and how much memory tokens may take.
    """
    reading = Reading.of(record.head, record.head_config, record.pool)
    found = [
        frozen_inputs(encoder, manifest, reading, runner=source.runner, cache=source.cache, store=source.store)
        for manifest in manifests
    ]
    coded = Covariates.from_json(record.covariates)
    if coded.width:
        pairs = zip(found, manifests, strict=True)
        found = [_beside(part, torch.from_numpy(coded.encode(manifest.table))) for part, manifest in pairs]
    return held(found, source.memory, source.runner)


def _beside(inputs: HeadInputs, covariates: Tensor) -> InMemory:
    """Pooled features (N, D) and covariates (N, C) as one (N, D + C)."""
    features = inputs.batch(torch.arange(len(inputs)))
    assert isinstance(features, Tensor), "covariates join pooled features only"
    return InMemory(torch.cat([features, covariates.to(features)], dim=1))
