"""`hilum embed` as library calls: every film through the encoder once, its tokens kept in a feature store.

`plan_embedding` resolves and checks what can be wrong, disk space included, before anything is written;
`run_embedding` makes the shards that are missing. Several processes take every world-th shard each and need not talk
to one another. Forward passes never reach over the end of a shard, so a shard is the same bytes whoever makes it, and
whenever.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.encoder import Encoder, load
from hilum.errors import ConfigError, PreemptedError, UserError
from hilum.evaluation.feature_shards import (
    FILMS,
    INDEX,
    KINDS,
    SHARDS,
    Kind,
    StoreIndex,
    film_table,
    films_digest,
    shard_is_whole,
    write_shard,
)
from hilum.evaluation.features import Runner, row_batches, run_films, weights_digest
from hilum.evaluation.joint_space import films_to_read
from hilum.films import FilmStore
from hilum.heads.taps import blocks_at_most, taps_of
from hilum.lookup import unknown_name
from hilum.manifest import Manifest
from hilum.manifest.where import select_where
from hilum.models.backbone import Backbone, cells_at
from hilum.models.pooling import pool_patches
from hilum.run_folder import write_atomic
from hilum.schema import Split
from hilum.signals import SigTerm

KEPT: Final = "Repeat the command: it goes on at the first shard that is missing"


@dataclass(frozen=True)
class EmbeddingPlan:
    """A store that can be written, or gone on with."""

    encoder: Encoder
    manifest: Manifest
    index: StoreIndex
    out: Path
    missing: tuple[int, ...]  # shards still to be made
    notes: tuple[str, ...]  # what a user should know before it starts

    @property
    def bytes_missing(self) -> int:
        """What the missing shards will take on disk."""
        films = sum(len(self.index.span(number)) for number in self.missing)
        return sum(self.index.bytes(kind, films) for kind in self.index.kinds)

    @property
    def bytes_free(self) -> int:
        """What the disk of the store has."""
        places = [self.out.absolute(), *self.out.absolute().parents]
        return shutil.disk_usage(next(place for place in places if place.exists())).free

    def to_json(self) -> dict[str, Any]:
        """The plan, for `--dry-run`."""
        index = self.index
        return {
            "verb": "embed",
            **index.to_json(),
            "bytes": {kind: index.bytes(kind, index.films) for kind in index.kinds},
            "bytes_missing": self.bytes_missing,
            "bytes_free": self.bytes_free,
            "shards": index.shards,
            "shards_missing": len(self.missing),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The plan, for people."""
        index = self.index
        sizes = ", ".join(f"{kind} {readable(index.bytes(kind, index.films))}" for kind in index.kinds)
        patches = index.grid[0] * index.grid[1]
        blocks = f"{index.blocks} block{'s' * (index.blocks > 1)}"
        told = f"{index.films:,} films, {blocks} of {patches} patches and {index.width} features, float16"
        done = index.shards - len(self.missing)
        return [
            *self.notes,
            f"{told}: {sizes}",
            f"{done} of {index.shards} shard{'s' * (index.shards > 1)} there; {readable(self.bytes_missing)} to write, "
            f"{readable(self.bytes_free)} free",
        ]


def plan_embedding(
    encoder: str | Encoder,
    data: str,
    out: str | Path,
    *,
    kinds: Sequence[str] = ("cls", "mean"),
    blocks: int = 4,
    split: Split | None = None,
    views: Sequence[str] = (),
    where: Sequence[str] = (),
    shard: int = 2048,
    precision: str = "fp32",
) -> EmbeddingPlan:
    """Resolve what is asked and check what can be checked before anything is written.

    Args:
        encoder: what `hilum.load` takes, or an encoder.
        data: folder with a manifest.
        out: the store; new, empty, or begun with the same arguments.
        kinds: some of cls, mean, patch.
        blocks: how many of the encoder's last blocks; all it has if these are fewer.
        split: train, val or test; all films where omitted.
        views: view positions to keep.
        where: conditions on manifest columns, as of `select_where`.
        shard: films a shard.
        precision: of the encoder's forward pass.

    Raises:
        ConfigError: an unknown kind, a value that cannot be, or `out` holds something else.
        ManifestError: no such films, or files are missing.
        CheckpointError: the encoder cannot be loaded.
    """
    chosen = _kinds(kinds)
    for name, value in (("blocks", blocks), ("shard", shard)):
        if value < 1:
            raise ConfigError(f"must be at least 1, not {value}", where=f"--{name}")
    films = films_to_read(Manifest.read(data), split, views)
    notes: list[str] = []
    if where:
        films, notes = select_where(films, where)
    source = "given" if isinstance(encoder, Encoder) else Path(encoder).name
    encoder = encoder if isinstance(encoder, Encoder) else load(encoder)
    given = blocks_at_most(encoder.model.config, blocks)
    if given < blocks:
        notes.append(f"the encoder gives {given} block{'s' * (given > 1)}, not {blocks}")
    table = film_table(films)
    index = StoreIndex(
        encoder_sha256=weights_digest(encoder.model),
        preprocessing=encoder.preprocessing.to_json(),
        precision=precision,
        kinds=chosen,
        blocks=given,
        grid=_grid(encoder),
        width=encoder.width,
        films=len(films),
        films_sha256=films_digest(table),
        shard=shard,
        origin={"encoder": source, "method": encoder.origin.get("method"), "data": Path(data).name},
    )
    index = _begun(Path(out), index)
    missing = [number for number in range(index.shards) if not shard_is_whole(Path(out), index, number)]
    return EmbeddingPlan(encoder, films, index, Path(out), tuple(missing), tuple(notes))


def begin(plan: EmbeddingPlan) -> None:
    """Create the folder and say in it what will be there.

    Raises:
        ConfigError: the disk lacks room for what is missing.
        UserError: the folder cannot be written.
    """
    need, free = plan.bytes_missing, plan.bytes_free
    if need > free:
        raise ConfigError(
            f"the features still to be written take {readable(need)} and the disk has {readable(free)}",
            where=plan.out,
            fix="Give another disk, fewer --blocks, or --kinds without patch: heads can read patch tokens straight "
            "from the encoder",
        )
    plan.out.mkdir(parents=True, exist_ok=True)
    if not (plan.out / INDEX).is_file():
        write_atomic(plan.out / INDEX, json.dumps(plan.index.to_json(), indent=2) + "\n")
    write_atomic(plan.out / FILMS, film_table(plan.manifest).to_parquet(index=False))


def run_embedding(plan: EmbeddingPlan, runner: Runner | None = None, *, rank: int = 0, world: int = 1) -> None:
    """Make the shards that are missing.

    Args:
        plan: from `plan_embedding`.
        runner: device, batch size and so on; its precision is the plan's.
        rank: this process makes the shards with number % world == rank.
        world: processes that share the work.

    Raises:
        ImageError: a film cannot be read; it is named, and nothing of its shard is kept.
        CheckpointError: the encoder gives a feature that is not finite, or beyond float16.
        PreemptedError: asked to stop by SIGTERM; whole shards are kept.
        UserError: the disk is full or cannot be written.
    """
    if rank == 0:
        begin(plan)
    runner = replace(runner or Runner(), precision=plan.index.precision)  # type: ignore[arg-type]
    if rank:
        runner = replace(runner, quiet=True)
    encoder, index = plan.encoder.to(runner.torch_device), plan.index
    batches = {
        number: row_batches(index.span(number), runner.batch_size) for number in plan.missing if number % world == rank
    }
    outputs = run_films(
        tokens_to_keep(encoder.model, index.blocks, index.kinds),
        FilmStore(plan.manifest, cache=False),  # each film is read once
        encoder.preprocessing,
        runner,
        batches=[rows for number in batches for rows in batches[number]],
    )
    names = plan.manifest.table["image_id"].to_list()
    with SigTerm() as stop:
        for number, passes in batches.items():
            parts = _parts(islice(outputs, len(passes)), index, stop)
            span = index.span(number)
            try:
                write_shard(plan.out, index, number, parts, names[span.start : span.stop])
            except OSError as error:
                raise UserError(f"cannot be written ({error.strerror})", where=plan.out, fix=KEPT) from error


def place_among_processes() -> tuple[int, int]:
    """(rank, world) under `--devices`, torchrun or SLURM, each process on its own GPU; (0, 1) when alone."""
    env = os.environ
    if not ("LOCAL_RANK" in env and "WORLD_SIZE" in env):
        if "SLURM_NTASKS" not in env:
            return 0, 1
        from hilum.distributed import in_process_group  # Lightning takes as long to import as all the rest

        if not in_process_group():  # an interactive shell of SLURM's
            return 0, 1
    if torch.cuda.is_available():
        local = int(env.get("LOCAL_RANK", env.get("SLURM_LOCALID", "0")))
        torch.cuda.set_device(local % torch.cuda.device_count())
    return int(env.get("RANK", env.get("SLURM_PROCID", "0"))), int(env.get("WORLD_SIZE", env.get("SLURM_NTASKS", "1")))


def tokens_to_keep(backbone: Backbone, blocks: int, kinds: Sequence[Kind]) -> Callable[[Tensor], Tensor]:
    """A function from images (B, C, S, S) to (B, blocks, T, D): the class token, the mean and the patches asked for."""

    def network(images: Tensor) -> Tensor:
        taps = taps_of(backbone, images, blocks)
        assert taps.cls is not None
        assert taps.patches is not None
        batch, count, _ = taps.patches.shape
        patches = taps.patches.reshape(batch, count, blocks, -1).transpose(1, 2)  # (B, blocks, P, D)
        parts = {
            "cls": taps.cls.reshape(batch, blocks, 1, -1),
            "mean": pool_patches(backbone, patches.float())[:, :, None],
            "patch": patches,
        }
        return torch.cat([parts[kind].float() for kind in KINDS if kind in kinds], dim=2)

    return network


def _parts(outputs: Iterator[Tensor], index: StoreIndex, stop: SigTerm) -> Iterator[Mapping[Kind, NDArray[np.float32]]]:
    """What `tokens_to_keep` gave, kind by kind."""
    for output in outputs:
        if stop.requested:
            raise PreemptedError("stopped by SIGTERM; the shards that are whole are kept", fix=KEPT)
        tokens, first = output.numpy(), 0
        part: dict[Kind, NDArray[np.float32]] = {}
        for kind in index.kinds:
            count = tokens.shape[2] - first if kind == "patch" else 1
            part[kind] = tokens[:, :, first : first + count].reshape(len(tokens), *index.shape(kind))
            first += count
        yield part


def _kinds(asked: Sequence[str]) -> tuple[Kind, ...]:
    for name in asked:
        if name not in KINDS:
            raise unknown_name(name, list(KINDS), kind="kind of features", where="--kinds")
    if not asked:
        raise ConfigError("no features are asked for", where="--kinds", fix=f"Give some of {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in asked)


def _grid(encoder: Encoder) -> tuple[int, int]:
    """(rows, columns) of the encoder's patch tokens; of a convolution, the cells of its last map."""
    return cells_at(encoder.model.config, encoder.preprocessing.size)


def _begun(out: Path, index: StoreIndex) -> StoreIndex:
    """The index that lies in the folder already, if it is of the same features.

    Raises:
        ConfigError: something else is there.
    """
    if (out / INDEX).is_file():
        before = StoreIndex.read(out)
        differences = before.differences(index)
        if differences:
            what = f"holds other features than those asked for: {'; '.join(differences)}"
            raise ConfigError(what, where=out, fix="Give another --out, or repeat the command that began this one")
        return before
    if out.exists() and not out.is_dir():
        raise ConfigError("is a file, not a folder", where=out, fix="Give another --out")
    ours = {FILMS, SHARDS, *KINDS}
    if out.is_dir() and any(path.name not in ours and not path.name.startswith(".") for path in out.iterdir()):
        raise ConfigError("the output folder is not empty", where=out, fix="Give another --out")
    return index


def readable(count: float) -> str:
    """A number of bytes for people: 1.2 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
