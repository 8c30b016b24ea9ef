"""The order of films: each once an epoch, the same for every number of devices and micro-batches."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum import schema
from hilum.films import FilmStore, decode
from hilum.loader import FilmOrder, ManifestDataset, MicroBatches, collate, make_loader
from hilum.manifest import Manifest


@given(films=st.integers(1, 60), batch=st.integers(1, 30), seed=st.integers(0, 9), epochs=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_every_epoch_sees_every_film_once(films: int, batch: int, seed: int, epochs: int) -> None:
    order = FilmOrder(films, batch, seed)
    stream = [draw for step in range(-(-films * epochs // batch)) for draw in order.draws(step)]
    for epoch in range(epochs):
        rows = [row for when, row in stream if when == epoch]
        assert sorted(rows) == list(range(films))


def test_epochs_and_seeds_differ() -> None:
    first, second = FilmOrder(50, 50, 0).draws(0), FilmOrder(50, 50, 0).draws(1)
    assert [row for _, row in first] != [row for _, row in second]
    assert [row for _, row in first] != [row for _, row in FilmOrder(50, 50, 1).draws(0)]


@pytest.mark.parametrize(("world", "micro"), [(1, 8), (1, 2), (2, 4), (4, 1)])
def test_global_batches_do_not_depend_on_devices(world: int, micro: int) -> None:
    order = FilmOrder(30, 8, 5)
    for step in range(4):
        parts = [
            draw
            for rank in range(world)
            for batch in MicroBatches(order, start=step, stop=step + 1, micro_batch=micro, rank=rank, world=world)
            for draw in batch
        ]
        assert sorted(parts) == sorted(order.draws(step))


def noisy(film: np.ndarray, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    return {schema.IMAGE: torch.from_numpy(film)[None], "draw": torch.tensor(rng.random())}


def test_draws_belong_to_film_and_epoch_not_to_position(tiny_data: Path) -> None:
    manifest = Manifest.read(tiny_data)
    ids = manifest.table["image_id"].tolist()
    dataset = ManifestDataset(FilmStore(manifest, quiet=True), ids, noisy, seed=3)
    assert dataset[(0, 5)]["draw"] == dataset[(0, 5)]["draw"]
    assert dataset[(0, 5)]["draw"] != dataset[(1, 5)]["draw"]
    assert dataset[(0, 5)]["draw"] != dataset[(0, 6)]["draw"]


def test_a_batch_holds_images_ids_and_targets(tiny_data: Path) -> None:
    manifest = Manifest.read(tiny_data)
    targets = manifest.labels(("Mass", "Effusion")).astype(np.float32)
    ids = manifest.table["image_id"].tolist()
    dataset = ManifestDataset(FilmStore(manifest, quiet=True), ids, noisy, seed=0, targets=targets)
    order = FilmOrder(len(ids), 8, 0)
    batches = MicroBatches(order, start=0, stop=1, micro_batch=8, rank=0, world=1)
    batch = next(iter(make_loader(dataset, batches, workers=0)))
    assert batch[schema.IMAGE].shape == (8, 1, 64, 64)
    assert batch[schema.IMAGE_ID] == [ids[row] for _, row in order.draws(0)]
    np.testing.assert_array_equal(batch[schema.LABELS].numpy(), targets[[row for _, row in order.draws(0)]])


def test_cached_and_decoded_films_are_the_same(tiny_data: Path) -> None:
    manifest = Manifest.read(tiny_data)
    cached, direct = FilmStore(manifest, quiet=True), FilmStore(manifest, cache=False, quiet=True)
    for row in (0, 7, 39):
        np.testing.assert_array_equal(cached.film(row), direct.film(row))
        np.testing.assert_array_equal(cached.film(row), decode(manifest.paths()[row]))
    assert len(pickle.dumps(cached)) < 20_000  # a loader process reopens the map instead of receiving it


def test_views_of_places_get_what_stands_on_their_film(tiny_data: Path) -> None:
    manifest = Manifest.read(tiny_data)
    ids = manifest.table["image_id"].tolist()

    def views(film: np.ndarray, rng: np.random.Generator, truth: np.ndarray) -> dict[str, torch.Tensor]:
        return {"boxes": torch.from_numpy(truth)}

    films = FilmStore(manifest, quiet=True)
    boxes = [np.full((2, 5), row, dtype=np.float32) for row in range(len(ids))]
    dataset = ManifestDataset(films, ids, views, seed=0, truth=boxes.__getitem__)
    batch = collate([dataset[0, 3], dataset[1, 5]])
    assert batch["boxes"].shape == (2, 2, 5)
    assert batch["boxes"][:, 0, 0].tolist() == [3.0, 5.0]
    assert batch["image_id"] == [ids[3], ids[5]]
