"""What a head of risk reads of some films: pooled features with covariates beside them, or the taps of last blocks.

Pooled features are computed once and held in memory. Taps come from a store of `hilum embed`, or from the encoder: held
in memory where they are small (class tokens always are), computed again every epoch where they are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from hilum.config import override
from hilum.encoder import Encoder
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner, extract_features
from hilum.evaluation.head_inputs import EncoderInputs, StoredInputs
from hilum.evaluation.survival.covariates import Covariates
from hilum.evaluation.survival.model import RiskRecord
from hilum.films import FilmStore
from hilum.heads import HEADS
from hilum.heads.inputs import HeadInputs, InMemory
from hilum.heads.taps import PARTS, Taps
from hilum.lookup import lookup
from hilum.manifest import Manifest

IN_MEMORY: Final = 2**31  # bytes of taps that are kept


def risk_inputs(
    encoder: Encoder,
    manifest: Manifest,
    record: RiskRecord,
    *,
    runner: Runner,
    cache: Path | None = None,
    store: FeatureStore | None = None,
) -> HeadInputs:
    """The inputs of a record's head for the films of a manifest, row by row.

    Args:
        encoder: of the films.
        manifest: N films.
        record: head, pooling, covariates.
        runner: where the encoder runs, and the heads.
        cache: folder for pooled features that were computed here.
        store: features of `hilum embed`, read instead of running the encoder.
    """
    device = runner.torch_device
    if getattr(lookup(HEADS, record.head, kind="head"), "reads", "pooled") == "pooled":
        if store is None:
            found = torch.from_numpy(
                np.array(extract_features(encoder, manifest, record.pool, cache=cache, runner=runner))
            )
        else:
            stored = StoredInputs(store, store.check_films(manifest), pool=record.pool)
            rows = stored.batch(torch.arange(len(stored)))
            assert isinstance(rows, Tensor)
            found = rows
        beside = torch.from_numpy(Covariates.from_json(record.covariates).encode(manifest.table))
        return InMemory(torch.cat([found, beside], dim=1).to(device))
    blocks = int(record.head_config["blocks"])
    config = override(lookup(HEADS, record.head, kind="head").Config(), record.head_config, where="head")
    parts = tuple(part for part in PARTS if part in config.parts)
    inputs: HeadInputs
    if store is None:
        inputs = EncoderInputs(encoder, FilmStore(manifest), blocks=blocks, parts=parts, runner=runner)
    else:
        inputs = StoredInputs(store, store.check_films(manifest), blocks=blocks, parts=parts, device=device)
    return _held(inputs, runner)


def _held(inputs: HeadInputs, runner: Runner) -> HeadInputs:
    """The same in memory, where there is room for it."""
    one = inputs.batch(torch.arange(1))
    assert isinstance(one, Taps)
    tensors = [part for part in (one.cls, one.patches) if part is not None]
    if len(inputs) * sum(part.numel() * part.element_size() for part in tensors) > IN_MEMORY:
        return inputs
    found = [inputs.batch(rows) for rows in torch.split(torch.arange(len(inputs)), runner.batch_size)]
    taps = [part for part in found if isinstance(part, Taps)]
    cls = [part.cls for part in taps if part.cls is not None]
    patches = [part.patches for part in taps if part.patches is not None]
    return InMemory(Taps(torch.cat(cls) if cls else None, torch.cat(patches) if patches else None))
