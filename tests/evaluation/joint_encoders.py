"""Encoders with a text tower whose answers are known beforehand: they recognise each film by its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.films import FilmStore
from hilum.manifest import Manifest
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film


class LookupEncoder:
    """Gives film `row` of a manifest the vector `films[row]` and the patches `patches[row]`; texts by a function."""

    def __init__(
        self,
        manifest: Manifest,
        text: Callable[[str], Tensor],
        *,
        films: Tensor | None = None,
        patches: Tensor | None = None,
        prior: Tensor | None = None,
        resize: str = "squeeze",
    ) -> None:
        self.preprocessing = Preprocessing(size=64, channels=1, mean=(0.0,), std=(1.0,), resize=resize)  # type: ignore[arg-type]
        self.origin: dict[str, Any] = {"method": "lookup"}
        self.text, self.films, self.patches, self.prior = text, films, patches, prior
        store = FilmStore(manifest, cache=False)
        self.row = {self._key(prepare_film(store.film(row), self.preprocessing)): row for row in range(len(manifest))}
        assert len(self.row) == len(manifest)

    @staticmethod
    def _key(image: Tensor) -> bytes:
        return np.ascontiguousarray(image.numpy()).tobytes()

    def _rows(self, images: Tensor) -> list[int]:
        return [self.row[self._key(image)] for image in images]

    def project(self, images: Tensor) -> Tensor:
        assert self.films is not None
        return self.films[self._rows(images)]

    def project_tokens(self, images: Tensor) -> Tensor:
        assert self.patches is not None
        return self.patches[self._rows(images)]

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([self.text(text) for text in texts])

    @property
    def position_prior(self) -> Tensor | None:
        return self.prior

    def require_towers(self) -> Any:
        return SimpleNamespace(config=SimpleNamespace(aligns_words=False)), None

    def to(self, device: Any) -> LookupEncoder:
        return self


class BlindEncoder(LookupEncoder):
    """An encoder without a text tower."""

    def __init__(self) -> None:
        self.preprocessing, self.origin = Preprocessing(), {"method": "mae"}

    def require_towers(self) -> Any:
        raise CheckpointError("the encoder (mae) has no text tower")
