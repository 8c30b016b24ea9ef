"""Where heads find features that are not in memory: a store on disk, or the encoder itself.

Both are `hilum.heads.inputs.HeadInputs`, so a head trains from either by the same code. From the store an epoch costs
reading; from the encoder it costs a forward pass of every film, and no disk, which is the way where the patch tokens of
an archive are too many to keep.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.encoder import Encoder, Pool
from hilum.evaluation.classifier import feature_width
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.films import FilmStore
from hilum.heads.inputs import Features
from hilum.heads.taps import PARTS, Part, Taps, check_blocks, taps_of


class StoredInputs:
    """Features of some films of a store.

    Args:
        store: an open one; `store.check_encoder` and `store.check_films` tell whether it is of the right films.
        rows: (N,) which films of the store these are, in order, as `store.rows` or `store.check_films` gives them.
        pool: one vector a film, of the encoder's output: class token, mean of the patch tokens, or both; None for taps.
        blocks: of taps: how many blocks, counted from the last; all of the store where omitted.
        parts: of taps: class tokens, patch tokens, or both.
        device: where batches go.

    Raises:
        ConfigError: a kind or a number of blocks that the store does not have.
    """

    def __init__(
        self,
        store: FeatureStore,
        rows: Sequence[int] | NDArray[np.int64],
        *,
        pool: Pool | None = None,
        blocks: int | None = None,
        parts: Collection[Part] = PARTS,
        device: str | torch.device = "cpu",
    ) -> None:
        self.store, self.rows = store, np.asarray(rows, dtype=np.int64)
        self.device = torch.device(device)
        self.blocks = 1 if pool else store.index.blocks if blocks is None else blocks
        self.parts: tuple[Part, ...] = tuple(part for part in PARTS if part in parts)
        self.kinds = tuple(pool.split("+")) if pool else self.parts
        self.pooled = pool is not None
        for kind in self.kinds:
            store.take(kind, [], self.blocks)  # refuses what is not there now, not in the middle of an epoch

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        """Channels of a batch."""
        return self.store.index.width * (len(self.kinds) if self.pooled else self.blocks)

    def batch(self, rows: Tensor) -> Features:
        """Features of some films, float32: (B, width), or taps."""
        found = {kind: self._take(kind, self.rows[rows.numpy()]) for kind in self.kinds}
        if self.pooled:
            return torch.cat([found[kind] for kind in self.kinds], dim=1)
        return Taps(found.get("cls"), found.get("patch"))

    def _take(self, kind: str, rows: NDArray[np.int64]) -> Tensor:
        """(B, blocks * D) or (B, P, blocks * D): half as much to move as what arrives."""
        stored = torch.from_numpy(self.store.take(kind, rows, self.blocks)).to(self.device)
        if kind == "patch":
            stored = stored.transpose(1, 2)
        return stored.flatten(-2).float()


class EncoderInputs:
    """Features of films as an encoder gives them, computed whenever they are asked for; without gradient.

    Args:
        encoder: moved to the runner's device.
        films: the films, by row.
        pool: one vector a film, as `Encoder.embed`; None for taps.
        blocks: of taps: how many of the last blocks.
        parts: of taps: class tokens, patch tokens, or both.
        runner: device, films a forward pass, precision; its workers are threads that read films.
        image: row -> the film as the encoder gets it, (C, S, S); its own transform where omitted.

    Raises:
        ConfigError: more blocks than the encoder gives.
    """

    def __init__(
        self,
        encoder: Encoder,
        films: FilmStore,
        *,
        pool: Pool | None = None,
        blocks: int = 4,
        parts: Collection[Part] = PARTS,
        runner: Runner | None = None,
        image: Callable[[int], Tensor] | None = None,
    ) -> None:
        self.runner, self.image = runner or Runner(), image
        self.encoder, self.films = encoder.to(self.runner.torch_device), films
        self.pool, self.blocks, self.parts = pool, blocks, tuple(part for part in PARTS if part in parts)
        if pool is None:
            check_blocks(encoder.model.config, blocks)

    def __len__(self) -> int:
        return len(self.films)

    @property
    def width(self) -> int:
        """Channels of a batch."""
        return feature_width(self.encoder.model.config, self.pool) if self.pool else self.encoder.width * self.blocks

    def batch(self, rows: Tensor) -> Features:
        """Features of some films, float32, on the runner's device: (B, width), or taps."""
        found = [self._forward(part.tolist()) for part in torch.split(rows, self.runner.batch_size)]
        if self.pool is not None:
            return torch.cat([part for part in found if isinstance(part, Tensor)])
        taps = [part for part in found if isinstance(part, Taps)]
        return Taps(*(
            torch.cat([getattr(tap, name) for tap in taps]) if part in self.parts else None
            for name, part in (("cls", "cls"), ("patches", "patch"))
        ))  # fmt: skip

    @torch.no_grad()
    def _forward(self, rows: Sequence[int]) -> Features:
        device, bf16 = self.runner.torch_device, self.runner.precision == "bf16"
        images = torch.stack(self._images(rows)).to(device)
        with torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext():
            if self.pool is not None:
                return self.encoder.embed(images, self.pool).float()
            return taps_of(self.encoder.model, images, self.blocks, self.parts).to(torch.float32)

    def _images(self, rows: Sequence[int]) -> list[Tensor]:
        """Films as the encoder wants them, (C, S, S) each."""
        if not self.runner.workers:
            return [self._image(row) for row in rows]
        with ThreadPoolExecutor(self.runner.workers) as readers:
            return list(readers.map(self._image, rows))

    def _image(self, row: int) -> Tensor:
        if self.image is not None:
            return self.image(row)
        return self.encoder.transform(self.films.film(row))
