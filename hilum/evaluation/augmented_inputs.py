"""Augmented films behind a frozen encoder: another view of each in every epoch, so the encoder runs every epoch.

CheXFound's and MedIM's heads learn so. It costs as many passes of the encoder as there are epochs; a view depends on
(seed, epoch, film) alone, as in fine-tuning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hilum.encoder import Encoder
from hilum.evaluation.features import Runner
from hilum.evaluation.frozen_inputs import Reading
from hilum.evaluation.head_inputs import EncoderInputs
from hilum.films import FilmStore
from hilum.heads.inputs import Features
from hilum.manifest import Manifest
from hilum.schema import IMAGE
from hilum.transforms.augmentations import FilmViews
from hilum.transforms.image import normalise


@dataclass(frozen=True)
class AugmentedInputs:
    """`HeadInputs` of films as they are, and by `at_epoch` of their views in an epoch."""

    plain: EncoderInputs
    reading: Reading
    views: FilmViews
    seed: int

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def width(self) -> int:
        """Channels of a batch."""
        return self.plain.width

    def batch(self, rows: Tensor) -> Features:
        """Features of films as they are, from which a head takes its statistics."""
        return self.plain.batch(rows)

    def at_epoch(self, epoch: int) -> EncoderInputs:
        """The same films, each in its view of that epoch."""

        def image(row: int) -> Tensor:
            rng = np.random.default_rng([self.seed, epoch, row])
            view = self.views(self.plain.films.film(row), rng)[IMAGE]
            return normalise(view[None], self.plain.encoder.preprocessing)[0]

        return _inputs(self.plain.encoder, self.plain.films, self.reading, self.plain.runner, image)


def augmented(
    encoder: Encoder, manifest: Manifest, reading: Reading, views: FilmViews, seed: int, runner: Runner
) -> AugmentedInputs:
    """Films of a manifest, row by row, that are seen anew every epoch; nothing is read yet.

    Args:
        encoder: of the films.
        manifest: N films.
        reading: what of the encoder's output the head reads.
        views: the augmentation.
        seed: of its draws.
        runner: where the encoder runs.
    """
    return AugmentedInputs(_inputs(encoder, FilmStore(manifest), reading, runner), reading, views, seed)


def _inputs(
    encoder: Encoder,
    films: FilmStore,
    reading: Reading,
    runner: Runner,
    image: Callable[[int], Tensor] | None = None,
) -> EncoderInputs:
    return EncoderInputs(
        encoder, films, pool=reading.pool, blocks=reading.blocks, parts=reading.parts, runner=runner, image=image
    )
