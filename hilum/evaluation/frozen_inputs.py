"""What a head reads of films behind a frozen encoder, and where it lies: in memory, in a store, or with the encoder.

Pooled features are computed once and held. Taps come from a store of `hilum embed`, or from the encoder; they are held
in memory where those of all films fit, and read or computed again every epoch where they do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from hilum.config import override, to_json
from hilum.encoder import Encoder, Pool
from hilum.errors import ConfigError
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner, extract_features
from hilum.evaluation.head_inputs import EncoderInputs, StoredInputs
from hilum.films import FilmStore
from hilum.heads import HEADS
from hilum.heads.inputs import HeadInputs, InMemory
from hilum.heads.taps import PARTS, Part, Taps, blocks_at_most, check_blocks
from hilum.lookup import lookup, unknown_name
from hilum.manifest import Manifest
from hilum.models.backbone import Architecture
from hilum.progress import ProgressBar
from hilum.run_folder import LOG

GIB: Final = 2**30
TOKEN_MEMORY: Final = 2.0  # GiB of taps that are held in memory


@dataclass(frozen=True)
class Reading:
    """What of an encoder's output a head reads."""

    pool: Pool | None  # one vector a film; None for taps
    blocks: int = 1  # of taps
    parts: tuple[Part, ...] = PARTS  # of taps

    @classmethod
    def of(cls, head: str, head_config: Mapping[str, Any], pool: Pool) -> Reading:
        """What the head of a record reads; `pool` says which vector, if it reads one."""
        factory = lookup(HEADS, head, kind="head")
        if factory.reads == "pooled":
            return cls(pool)
        config = override(factory.Config(), head_config, where="head")
        return cls(None, config.blocks, config.parts)


def head_options(
    head: str, variant: str | None, blocks: int | None, architecture: Architecture, **others: Any
) -> dict[str, Any]:
    """The head's own options as plain JSON values: its variant, and as many blocks as asked for or as there are.

    Args:
        head: name in `hilum.heads.HEADS`.
        variant: a name of its VARIANTS; None is ours.
        blocks: of the encoder, counted from the end; None: the head's own number, or fewer where there are fewer.
        architecture: of the encoder.
        **others: further options.

    Raises:
        ConfigError: an unknown name, or blocks that the head does not read or the encoder does not have.
    """
    factory = lookup(HEADS, head, kind="head")
    variants = getattr(factory, "VARIANTS", {"hilum": {}})
    if variant is not None and variant not in variants:
        raise unknown_name(variant, list(variants), kind=f"variant of {head}", where="head_variant")
    config = override(factory.Config(), {**variants[variant or "hilum"], **others}, where="head")
    if factory.reads == "taps":
        config = override(config, {"blocks": blocks or blocks_at_most(architecture, config.blocks)}, where="head")
        check_blocks(architecture, config.blocks)
    elif blocks is not None:
        what = f"the {head} head reads one pooled vector a film and knows no blocks"
        raise ConfigError(what, where="blocks", fix="Leave it out, or use --head glori or chexfound-probe")
    return to_json(config)


def frozen_inputs(
    encoder: Encoder,
    manifest: Manifest,
    reading: Reading,
    *,
    runner: Runner,
    cache: Path | None = None,
    store: FeatureStore | None = None,
) -> HeadInputs:
    """Features of the films of a manifest, row by row, on the runner's device; nothing of taps is read yet.

    Args:
        encoder: of the films.
        manifest: N films.
        reading: pooled, or which taps.
        runner: where the encoder runs, and the heads.
        cache: folder for pooled features that were computed here.
        store: features of `hilum embed`, read instead of running the encoder.
    """
    device = runner.torch_device
    if store is not None:
        stored = stored_inputs(store, manifest, reading, device)
        return stored if reading.pool is None else InMemory(stored.batch(torch.arange(len(stored))))
    if reading.pool is None:
        films = FilmStore(manifest)
        return EncoderInputs(encoder, films, blocks=reading.blocks, parts=reading.parts, runner=runner)
    features = extract_features(encoder, manifest, reading.pool, cache=cache, runner=runner)
    return InMemory(torch.from_numpy(np.array(features)).to(device))  # a memory map is read-only, a tensor must not be


def stored_inputs(
    store: FeatureStore, manifest: Manifest, reading: Reading, device: torch.device | str = "cpu"
) -> StoredInputs:
    """The films of a manifest in a store; nothing is read yet.

    Raises:
        ConfigError: the store lacks what the head reads.
        ManifestError: it lacks a film, or a film has changed.
    """
    rows = store.check_films(manifest)
    return StoredInputs(store, rows, pool=reading.pool, blocks=reading.blocks, parts=reading.parts, device=device)


def held(inputs: Sequence[HeadInputs], memory: float, runner: Runner) -> list[HeadInputs]:
    """The same in memory, if there is room for all of them together.

    Args:
        inputs: of one head: training and validation films.
        memory: GiB that taps may take.
        runner: films a reading, and whether a bar is shown.
    """
    if all(isinstance(part, InMemory) for part in inputs):
        return list(inputs)
    films = sum(len(part) for part in inputs)
    one = _taps(inputs[0], torch.arange(1))
    size = films * sum(part.numel() * part.element_size() for part in (one.cls, one.patches) if part is not None) / GIB
    if size <= memory:
        with ProgressBar("reading tokens", films, quiet=runner.quiet) as bar:
            return [InMemory(_read(part, one, runner.batch_size, bar)) for part in inputs]
    again = "computed" if any(isinstance(part, EncoderInputs) for part in inputs) else "read"
    hint = "; `hilum embed` would compute them once" if again == "computed" else ""
    LOG.info("tokens of %d films are %.1f GiB and are %s again every epoch%s", films, size, again, hint)
    return list(inputs)


def _read(inputs: HeadInputs, like: Taps, batch_size: int, bar: ProgressBar) -> Taps:
    """All films of some inputs, into tensors that are made once."""
    whole = Taps(*(
        None if part is None else part.new_empty((len(inputs), *part.shape[1:])) for part in (like.cls, like.patches)
    ))  # fmt: skip
    for rows in torch.split(torch.arange(len(inputs)), batch_size):
        found, span = _taps(inputs, rows), slice(int(rows[0]), int(rows[-1]) + 1)
        for target, part in ((whole.cls, found.cls), (whole.patches, found.patches)):
            if target is not None and part is not None:
                target[span] = part
        bar.advance(len(rows))
    return whole


def _taps(inputs: HeadInputs, rows: Tensor) -> Taps:
    found = inputs.batch(rows)
    assert isinstance(found, Taps)
    return found
