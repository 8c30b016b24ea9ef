"""Run every film through a network once, in row order, and keep pooled features on disk.

A cache file is named by the digest of everything its numbers depend on: the weights, the preprocessing
record, the pooling, and the files. A file of the right name is whole, because it is renamed into place.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.encoder import Encoder, Pool
from hilum.evaluation.classifier import feature_width
from hilum.films import FilmStore
from hilum.loader import ManifestDataset, batches_of, make_loader
from hilum.manifest import Manifest
from hilum.models.backbone import Backbone
from hilum.models.pooling import pool_tokens
from hilum.progress import ProgressBar
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.image import prepare_film

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Runner:
    """Where and how films are run through a network; changes the time it takes, not the numbers."""

    device: Device = "auto"  # auto: a GPU where there is one
    batch_size: int = 64  # films a forward pass
    workers: int = 0  # loader processes
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 rounds features to about 3 digits
    quiet: bool = False  # no progress bar

    @property
    def torch_device(self) -> torch.device:
        """The device asked for."""
        name = self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(name)


@dataclass(frozen=True)
class EvaluationView:
    """The encoder's own transform, without chance: film (H, W) uint8 -> {"image": (C, S, S) float32}."""

    preprocessing: Preprocessing

    def __call__(self, film: NDArray[Any], rng: np.random.Generator) -> dict[str, Tensor]:
        """The film as the encoder wants it; nothing is drawn."""
        return {IMAGE: prepare_film(film, self.preprocessing)}


def run_films(
    network: Callable[[Tensor], Tensor],
    films: FilmStore,
    preprocessing: Preprocessing,
    runner: Runner,
    *,
    batches: Sequence[Sequence[int]] | None = None,
    title: str = "encoding films",
) -> Iterator[Tensor]:
    """Outputs of `network` for films in order, batch by batch, float32 on the CPU.

    Args:
        network: normalised images (B, C, S, S) on `runner.torch_device` -> (B, anything).
        films: the films.
        preprocessing: the record of the network's encoder.
        runner: device, batch size, workers, precision.
        batches: rows of each forward pass; all films, `runner.batch_size` at a time, where omitted.
        title: of the progress bar.
    """
    device = runner.torch_device
    ids = [str(row) for row in range(len(films))]
    dataset = ManifestDataset(films, ids, EvaluationView(preprocessing), seed=0)
    if batches is None:
        batches = row_batches(range(len(films)), runner.batch_size)
    draws = [[(0, row) for row in rows] for rows in batches]
    loader = make_loader(dataset, draws, workers=runner.workers, pin=device.type == "cuda")
    bf16 = runner.precision == "bf16"
    with ProgressBar(title, sum(map(len, batches)), quiet=runner.quiet) as bar:
        for batch in batches_of(loader):
            images = batch[IMAGE].to(device, non_blocking=True)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext():
                output = network(images)
            yield output.float().cpu()
            bar.advance(len(images))


def row_batches(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    """Rows in order, at most `size` at a time."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def extract_features(
    encoder: Encoder, manifest: Manifest, pool: Pool, *, cache: Path | None = None, runner: Runner | None = None
) -> NDArray[np.float32]:
    """Pooled features of every film of a manifest.

    Args:
        encoder: moved to the runner's device.
        manifest: the films, in row order.
        pool: class token, mean of the patch tokens, or both; after the final norm.
        cache: a folder to keep them in; a later call with the same encoder, films and pooling reads them
            back.
        runner: device, batch size and so on.

    Returns:
        (N, D) float32, or (N, 2D) for "cls+mean"; a read-only memory map where a cache is given.
    """
    runner = runner or Runner()
    shape = (len(manifest), feature_width(encoder.model.config, pool))
    path = None if cache is None else cache / f"{_cache_key(encoder, manifest, pool, runner)}.npy"
    if path is not None and path.is_file():
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
    encoder.to(runner.torch_device)
    films = FilmStore(manifest, cache=False)  # each film is read once

    def embed(images: Tensor) -> Tensor:
        return encoder.embed(images, pool)

    parts = run_films(embed, films, encoder.preprocessing, runner)
    if path is None:
        return np.concatenate([part.numpy() for part in parts]) if len(films) else np.zeros(shape, np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _write(partial, parts, shape)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def pooled(backbone: Backbone, pool: Pool) -> Callable[[Tensor], Tensor]:
    """A function from images to pooled tokens of a backbone that is not (yet) an `Encoder`."""

    def embed(images: Tensor) -> Tensor:
        return pool_tokens(backbone, backbone.forward_features(images), pool)

    return embed


def weights_digest(module: nn.Module) -> str:
    """sha256 over names, shapes and bytes of all weights."""
    total = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        array = tensor.detach().cpu().contiguous()
        total.update(f"{name} {tuple(array.shape)} {array.dtype}\n".encode())
        total.update(array.flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _write(path: Path, parts: Iterator[Tensor], shape: tuple[int, int]) -> None:
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    row = 0
    for part in parts:
        features[row : row + len(part)] = part.numpy()
        row += len(part)
    features.flush()


def _cache_key(encoder: Encoder, manifest: Manifest, pool: Pool, runner: Runner) -> str:
    files = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in manifest.paths()]
    facts = [
        weights_digest(encoder.model),
        encoder.preprocessing.to_json(),
        pool,
        runner.precision,
        files,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
