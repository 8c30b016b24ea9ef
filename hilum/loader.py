"""The only torch data set of the project, and an order of films that survives anything.

The whole run is one endless stream of films: epoch after epoch, each a fresh permutation keyed by (seed, epoch). A
position in the stream is one integer, so a resumed run goes on at the exact film, and the global batch of step `s` is
the films `s * B ... (s + 1) * B - 1` whatever the number of devices, loader processes or micro-batches. Every random
draw for a film is keyed by (seed, epoch, row) alone.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from hilum import schema
from hilum.errors import ImageError
from hilum.films import FilmStore
from hilum.reports import Reports
from hilum.transforms.place import Place

Draw = tuple[int, int]  # (epoch, row)
Truth = Callable[[int], npt.NDArray[Any]]  # row -> what stands on the film: masks (C, H, W), boxes (M, 5)
View = Callable[
    ..., dict[str, torch.Tensor]
]  # a method's transform: (film, rng), and as a third argument perhaps the text, the truth or the place


@lru_cache(maxsize=2)  # a step may lie across the border of two epochs
def _permutation(films: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(films)


@lru_cache(maxsize=2)
def _positions(films: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.argsort(_permutation(films, seed, epoch))


class ManifestDataset(Dataset[dict[str, Any]]):
    """Films with the tensors a method asks for.

    Args:
        films: the decoded films, one per row.
        image_ids: their ids.
        views: a method's transform: (film, rng) -> named tensors, or (film, rng, text) where there are reports.
        seed: key of every random draw.
        targets: (N, K) float32 labels, NaN where nothing may be learned; None for pretraining.
        reports: one a film, for methods that read them.
        truth: for views that take a third argument, what stands on the film: they move it as they move the film.
        placing: for views that take a third argument, the film's place in its batch.
    """

    def __init__(
        self,
        films: FilmStore,
        image_ids: Sequence[str],
        views: View,
        *,
        seed: int,
        targets: npt.NDArray[np.float32] | None = None,
        reports: Reports | None = None,
        truth: Truth | None = None,
        placing: Placing | None = None,
    ) -> None:
        assert len(films) == len(image_ids)
        assert targets is None or len(targets) == len(films)
        assert reports is None or len(reports.texts) == len(films)
        self.films, self.image_ids, self.views, self.seed = films, list(image_ids), views, seed
        self.targets, self.reports, self.truth, self.placing = targets, reports, truth, placing

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        epoch, row = draw
        rng = np.random.default_rng([self.seed, epoch, row])
        sample: dict[str, Any]
        if self.placing is not None:
            sample = dict(self.views(self.films.film(row), rng, self.placing.of(epoch, row)))
        elif self.truth is not None:
            sample = dict(self.views(self.films.film(row), rng, self.truth(row)))
        elif self.reports is None:
            sample = dict(self.views(self.films.film(row), rng))
        else:
            text = self.reports.texts[row]
            sample = dict(self.views(self.films.film(row), rng, text))
            sample[schema.HAS_REPORT] = torch.tensor(bool(text))
            sample[schema.REPORT_GROUP] = torch.tensor(int(self.reports.groups[row]))
        sample[schema.IMAGE_ID] = self.image_ids[row]
        if self.targets is not None:
            sample[schema.LABELS] = torch.from_numpy(self.targets[row])
        return sample


@dataclass(frozen=True)
class FilmOrder:
    """Which films each optimizer step uses.

    Args:
        films: number of training films.
        batch_size: films a step over all devices.
        seed: key of the permutations.
    """

    films: int
    batch_size: int
    seed: int

    def draws(self, step: int) -> list[Draw]:
        """(epoch, row) of every film of one optimizer step, in order."""
        first = step * self.batch_size
        positions = range(first, first + self.batch_size)
        orders = {epoch: _permutation(self.films, self.seed, epoch) for epoch in {p // self.films for p in positions}}
        return [(p // self.films, int(orders[p // self.films][p % self.films])) for p in positions]

    def position(self, epoch: int, row: int) -> int:
        """Where in the endless stream a film stands: the inverse of `draws`."""
        return epoch * self.films + int(_positions(self.films, self.seed, epoch)[row])


@dataclass(frozen=True)
class Placing:
    """The place of every film among those that share a draw: a global batch, or one device's part of it."""

    order: FilmOrder
    count: int  # films that share a draw; divides the batch

    def of(self, epoch: int, row: int) -> Place:
        """The place of a film in one epoch."""
        step, index = divmod(self.order.position(epoch, row), self.order.batch_size)
        return Place(step, index % self.count, self.count, self.order.seed)


class MicroBatches(Sampler[list[Draw]]):
    """The micro-batches of one device, from one step to another.

    Micro-batch `m` of device `r` takes the films `(m * devices + r) * micro_batch ...` of the step's global batch.
    """

    def __init__(self, order: FilmOrder, *, start: int, stop: int, micro_batch: int, rank: int, world: int) -> None:
        self.order, self.start, self.stop = order, start, stop
        self.micro_batch, self.rank, self.world = micro_batch, rank, world

    def __len__(self) -> int:
        return (self.stop - self.start) * (self.order.batch_size // (self.micro_batch * self.world))

    def __iter__(self) -> Iterator[list[Draw]]:
        stride = self.micro_batch * self.world
        for step in range(self.start, self.stop):
            draws = self.order.draws(step)
            for first in range(self.rank * self.micro_batch, self.order.batch_size, stride):
                yield draws[first : first + self.micro_batch]


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack tensors, list ids."""
    batch: dict[str, Any] = default_collate([{k: v for k, v in s.items() if k != schema.IMAGE_ID} for s in samples])
    batch[schema.IMAGE_ID] = [sample[schema.IMAGE_ID] for sample in samples]
    return batch


def make_loader(
    dataset: ManifestDataset, batches: Iterable[list[Draw]], *, workers: int, pin: bool = False
) -> DataLoader[Any]:
    """A loader over `batches`; with processes they start clean (forkserver), never forked from a threaded trainer."""
    context = None
    if workers:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["hilum.loader"])
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=context,
        pin_memory=pin,
        generator=torch.Generator(),  # else opening a loader draws from the generator that training uses
    )


def batches_of(loader: DataLoader[Any]) -> Iterator[dict[str, Any]]:
    """The batches of a loader; a film that cannot be read is named in one line, also when a loader process met it.

    Raises:
        ImageError: in its own words, without the traceback that torch puts before those of another process.
    """
    try:
        yield from loader
    except ImageError as error:
        raise ImageError(str(error).rpartition(f"{ImageError.__module__}.{ImageError.__name__}: ")[2]) from error
