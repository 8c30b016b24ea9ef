"""Features of one encoder on one data set, computed once for all fractions, seeds and tasks that read them.

A store of `hilum embed` lies under `OUT/features`. A network with random weights is another one for each seed, and
gets a store for each. Where the tokens that a head reads would fill the disk, no store is made and the head asks the
encoder.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hilum.benchmarking.cells import Cell, folder_name
from hilum.benchmarking.encoder_facts import EncoderSpec
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.encoder import Encoder, load
from hilum.evaluation.classifier import random_backbone
from hilum.evaluation.embedding import plan_embedding, run_embedding
from hilum.evaluation.features import Runner
from hilum.evaluation.frozen_inputs import Reading, head_options
from hilum.models.backbone import Architecture


@dataclass(frozen=True)
class Need:
    """What the tasks of one data set read of an encoder."""

    kinds: tuple[str, ...] = ()
    blocks: int = 0

    def with_(self, other: Need) -> Need:
        """Both together."""
        return Need(tuple(sorted({*self.kinds, *other.kinds})), max(self.blocks, other.blocks))


def need_of(task: BenchmarkTask, options: Any, sizes: Architecture) -> Need:
    """What one task reads; nothing where its encoder learns, or where it keeps features of its own.

    Args:
        task: of the benchmark.
        options: its options, as `Task.make_options` gives them.
        sizes: of the encoder.
    """
    if not task.trained or getattr(options, "mode", "frozen") != "frozen" or not hasattr(options, "head_variant"):
        return Need()
    if options.features is not None or getattr(options, "augment", "none") not in (None, "none", ()):
        return Need()
    config = head_options(options.head, options.head_variant, options.blocks, sizes, **options.head_set)
    reading = Reading.of(options.head, config, options.pool)
    if reading.pool is not None:
        return Need(tuple(reading.pool.split("+")), 1)
    return Need(tuple(reading.parts), reading.blocks)


def stored_features(
    cell: Cell, needs: Mapping[tuple[str, str], Need], out: Path, runner: Runner, data: str | None = None
) -> Path | None:
    """The folder of features that a cell reads, made where it is not there yet; None where it reads none.

    Args:
        cell: one of the benchmark.
        needs: (encoder's name, task's key) -> what is read.
        out: the benchmark's folder.
        runner: where the encoder runs.
        data: another data folder than the task's.
    """
    data = data or cell.task.data
    need = needs.get((cell.encoder.name, cell.task.key), Need())
    if not need.kinds:
        return None
    folder = store_folder(cell, need, out, data)
    with alone(folder.with_suffix(".lock")):
        encoder = _encoder(cell.encoder, cell.seed)
        plan = plan_embedding(encoder, data, folder, kinds=need.kinds, blocks=need.blocks)
        if plan.bytes_missing > plan.bytes_free / 2:
            return None
        if plan.missing:
            run_embedding(plan, replace(runner, quiet=True))
    return folder


def store_folder(cell: Cell, need: Need, out: Path, data: str) -> Path:
    """Where the features of a cell's encoder on a data set lie."""
    seed = f"-{cell.seed}" if cell.encoder.weights == "random" else ""
    key = hashlib.sha256(str(Path(data).resolve()).encode()).hexdigest()[:8]
    what = f"{'+'.join(need.kinds)}-{need.blocks}"
    return out / "features" / f"{folder_name(cell.encoder.name)}{seed}" / f"{Path(data).name}-{key}-{what}"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process holds this lock; a process that dies lets go of it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _encoder(spec: EncoderSpec, seed: int) -> Encoder:
    """The encoder; with random weights the very network that an adaptation of this seed starts from."""
    encoder = load(spec.path)
    if spec.weights == "pretrained":
        return encoder
    return Encoder(random_backbone(encoder.model.config, seed), encoder.preprocessing)
