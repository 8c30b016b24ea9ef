"""The state of a running loop, and how it is saved and restored whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from hilum import checkpoint as ckpt
from hilum import distributed as dist
from hilum.config import TrainSettings
from hilum.models.ema import Ema
from hilum.models.fill import check_fit
from hilum.run_folder import RunFolder


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0  # optimizer steps done, skipped ones included
    bad_steps: int = 0  # skipped in a row
    rollbacks: int = 0
    best: float | None = None  # highest value of the number that `keep_best` names
    best_step: int | None = None


@dataclass
class Training:
    """The objects of a running loop."""

    fabric: Fabric
    method: Any  # a Method; what is wrapped for several devices shares its parameters
    module: Any  # the wrapped method
    optimizer: torch.optim.Optimizer
    wrapped_optimizer: Any  # Fabric's, which knows the precision
    average: Ema | None
    settings: TrainSettings
    run: RunFolder
    describe: Mapping[str, Any]  # goes into every checkpoint's config.json
    at: Progress = field(default_factory=Progress)

    def save(self) -> None:
        """Write a checkpoint of the present step: every rank gathers, rank 0 writes, all wait."""
        weights = dist.gather_model(self.method)
        slots = dist.gather_optimizer(self.method, self.optimizer)
        average = dist.gather_model(self.average.module) if self.average is not None else {}
        random = self._random_states()
        if self.fabric.is_global_zero:
            state = {**vars(self.at), "scaler": self._scaler_state()}
            resume = ckpt.Resume(optimizer=slots, average=average, random=random, state=state)
            folder = ckpt.step_folder(self.run.path, self.at.step)
            reader = getattr(self.method, "tokenizer", None)
            tokenizer = reader.to_json() if reader is not None else None
            ckpt.save_checkpoint(folder, weights, self.describe, self.card(), resume, tokenizer=tokenizer)
            ckpt.retain(self.run.path, self.settings.keep_checkpoints)
        self.fabric.barrier()

    def restore(self, folder: Path) -> None:
        """Become what was saved in `folder`.

        Raises:
            CheckpointError: a file is damaged, or the weights are of another architecture.
        """
        weights, _ = ckpt.load_checkpoint(folder)
        saved = ckpt.load_resume(folder)
        check_fit(self.method, weights, where=folder / ckpt.WEIGHTS)
        dist.scatter_model(self.method, weights)
        dist.scatter_optimizer(self.method, self.optimizer, saved.optimizer)
        if self.average is not None:
            dist.scatter_model(self.average.module, saved.average)
        state = dict(saved.state)
        kept, scaler = state.pop("scaler"), self._scaler()
        if kept and scaler is not None:
            scaler.load_state_dict(kept)
        self.at = Progress(**state)
        rank = self.fabric.global_rank
        if f"cpu/{rank}" in saved.random:  # resumed on more devices: the new ones start fresh generators
            torch.set_rng_state(saved.random[f"cpu/{rank}"])
        if f"cuda/{rank}" in saved.random and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(saved.random[f"cuda/{rank}"], self.fabric.device)

    def card(self) -> str:
        """The README.md of a training checkpoint."""
        what = self.describe.get("method", "training")
        return f"# Checkpoint of a {what} run\n\nStep {self.at.step}. Go on from here with `--resume`.\n"

    def _random_states(self) -> dict[str, Tensor]:
        """Generator states of every rank, by device kind and rank."""
        rank = self.fabric.global_rank
        mine = {f"cpu/{rank}": torch.get_rng_state()}
        if self.fabric.device.type == "cuda":
            mine[f"cuda/{rank}"] = torch.cuda.get_rng_state(self.fabric.device)
        if self.fabric.world_size == 1:
            return mine
        everyone: list[Any] = [None] * self.fabric.world_size
        torch.distributed.all_gather_object(everyone, mine)
        return {key: value for states in everyone for key, value in states.items()}

    def _scaler(self) -> Any:
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def _scaler_state(self) -> dict[str, Any] | None:
        scaler = self._scaler()
        return dict(scaler.state_dict()) if scaler is not None else None
