"""The loop. Read it top to bottom.

What makes a resumed run the same run, bit for bit: the films of a step and every draw for them are functions of
(seed, step); weights, optimizer, generator states and the step are saved together, whole or not at all; and what was
logged after the checkpoint is forgotten on resume and logged again.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hilum import checkpoint as ckpt
from hilum import distributed as dist
from hilum.config import TrainSettings
from hilum.errors import DivergedError, PreemptedError
from hilum.films import FilmStore
from hilum.loader import FilmOrder, ManifestDataset, MicroBatches, make_loader
from hilum.models.ema import Ema
from hilum.optim import adamw, cosine_with_warmup, parameter_groups, set_learning_rate
from hilum.run_folder import LOG, RunFolder
from hilum.signals import SigTerm
from hilum.trainer.log import TrainingLog
from hilum.trainer.state import Progress, Training

MAX_BAD_STEPS = 3  # skipped steps in a row before the run rolls back, and the next time stops
EMBEDDINGS = frozenset({"cls_token", "reg_token", "pos_embed"})  # no weight decay where layers decay (MAE fine-tuning)

Evaluator = Callable[[nn.Module, int], Mapping[str, float]]  # (method with whole weights, step) -> named numbers


@dataclass(frozen=True)
class TrainingFilms:
    """What to train on: films, their ids and, for supervised training, targets (N, K) with NaN for unknown."""

    films: FilmStore
    image_ids: Sequence[str]
    targets: npt.NDArray[np.float32] | None = None


def fit(
    method: Any,
    data: TrainingFilms,
    settings: TrainSettings,
    run: RunFolder,
    *,
    describe: Mapping[str, Any],
    evaluators: Sequence[Evaluator] = (),
    keep_best: str | None = None,
    resume: bool = False,
) -> Progress:
    """Train `method` and leave whole checkpoints in `run`.

    Args:
        method: an `nn.Module` that meets `hilum.methods.method.Method`.
        data: the training films.
        settings: the loop's settings.
        run: the run folder, already started.
        describe: what the weights are; stored as config.json in every checkpoint.
        evaluators: called on rank 0 at every checkpoint; their numbers are logged.
        keep_best: name of an evaluator's number; the weights with its highest value stay in `checkpoints/best`.
        resume: go on from the newest checkpoint of `run`.

    Raises:
        PreemptedError: SIGTERM came; the run is saved.
        DivergedError: loss or gradients stayed non-finite after one roll-back.
        CheckpointError: the checkpoint to resume from is damaged or does not fit.
    """
    order = FilmOrder(len(data.films), settings.batch_size, settings.seed)
    total = total_steps(settings, len(data.films))
    every = settings.save_every or max(50, total // 20)

    # --- start or resume
    alone = settings.devices * settings.nodes == 1
    evaluated = method if alone else deepcopy(method)  # shards cannot be evaluated: rank 0 keeps a whole copy
    training = _set_up(method, settings, run, describe)
    fabric = training.fabric
    saved = ckpt.checkpoints(run.path)
    if resume and saved:
        training.restore(saved[-1])
        LOG.info("resumed at step %d of %d", training.at.step, total)
    else:
        training.save()  # a good checkpoint exists from the first moment on

    active = fabric.is_global_zero
    with SigTerm() as stop, TrainingLog(run, start=training.at.step, total=total, active=active) as log:
        batches = _batches(training, data, order, total)
        while training.at.step < total:
            # --- one optimizer step over the global batch
            step, began = training.at.step, time.perf_counter()
            lr = _learning_rate(settings, step, total)
            set_learning_rate(training.optimizer, lr)
            loss, scalars, waited = _accumulate(training, batches, step / total)
            _unscale(training)
            norm = dist.clip_gradients(method, settings.clip_norm)
            taken = _take_step(training, loss, norm, step / total)
            training.wrapped_optimizer.zero_grad(set_to_none=True)
            training.at.step += 1

            # --- say what happened
            draws, seconds = order.draws(step), time.perf_counter() - began
            if taken:
                record = {
                    "step": training.at.step,
                    "epoch": training.at.step * settings.batch_size / len(data.films),
                    **{name: value.item() for name, value in scalars.items()},
                    "loss": loss.item(),
                    "grad_norm": norm.item(),
                    "lr": lr,
                    "films": _digest(draws, data.image_ids),
                    "images_per_second": settings.batch_size / seconds,
                    "data_wait": waited / seconds,
                }
                log.step(record)
            else:
                log.skipped(training.at.step, loss.item(), norm.item(), [data.image_ids[row] for _, row in draws])
            if training.at.bad_steps >= MAX_BAD_STEPS:
                _roll_back_or_stop(training)
                batches = _batches(training, data, order, total)
                continue

            # --- evaluate, save, leave if asked to
            leaving = _anyone(training, stop.requested)
            last = training.at.step == total
            if taken and (training.at.step % every == 0 or last) and not leaving:
                _evaluate(training, evaluated, evaluators, keep_best, log)
            if leaving or last or (taken and training.at.step % every == 0):
                training.save()
            if leaving and not last:
                raise PreemptedError(
                    f"stopped by SIGTERM at step {training.at.step} of {total}; the run is saved",
                    where=run.path,
                    fix="Go on with --resume",
                )
    return training.at


def total_steps(settings: TrainSettings, films: int) -> int:
    """Optimizer steps of a run: as many batches of the endless film stream as make `epochs`, at most `max_steps`."""
    steps = max(1, round(settings.epochs * films / settings.batch_size))
    return steps if settings.max_steps is None else min(steps, settings.max_steps)


def _set_up(method: Any, settings: TrainSettings, run: RunFolder, describe: Mapping[str, Any]) -> Training:
    """Devices, wrapped method, optimizer and moving average."""
    fabric = dist.make_fabric(settings)
    torch.manual_seed(settings.seed + 1_000_003 * fabric.global_rank)
    average = Ema(method.backbone, settings.ema_decay) if settings.ema_decay is not None else None
    step_module: nn.Module = _Step(method)
    if settings.compile:
        step_module.compile()
    module = fabric.setup_module(step_module)
    groups = parameter_groups(
        method.named_parameters(),
        weight_decay=settings.weight_decay,
        layer_decay=settings.layer_decay,
        depth=method.backbone.config.depth,
        no_decay=EMBEDDINGS if settings.layer_decay is not None else (),
    )
    optimizer = adamw(method, groups, lr=settings.peak_lr, betas=settings.betas)
    if average is not None:
        dist.place(fabric, average.module, settings)
    wrapped = fabric.setup_optimizers(optimizer)
    return Training(fabric, method, module, optimizer, wrapped, average, settings, run, describe)


class _Step(nn.Module):
    """What is wrapped for several devices: plain tensors out, which Fabric and DDP understand."""

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Mapping[str, Any], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        output = self.method(batch, progress)
        return output.loss, dict(output.scalars)


def _learning_rate(settings: TrainSettings, step: int, total: int) -> float:
    return cosine_with_warmup(step / total, peak=settings.peak_lr, floor=settings.min_lr, warmup=settings.warmup)


def _micro_batch(settings: TrainSettings) -> int:
    return settings.micro_batch or settings.batch_size // (settings.devices * settings.nodes)


def _batches(training: Training, data: TrainingFilms, order: FilmOrder, total: int) -> Iterator[dict[str, Any]]:
    """This device's micro-batches from the present step to the last."""
    settings, fabric = training.settings, training.fabric
    views = training.method.views()
    dataset = ManifestDataset(data.films, data.image_ids, views, seed=settings.seed, targets=data.targets)
    sampler = MicroBatches(
        order,
        start=training.at.step,
        stop=total,
        micro_batch=_micro_batch(settings),
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    return iter(make_loader(dataset, sampler, workers=settings.workers, pin=fabric.device.type == "cuda"))


def _accumulate(
    training: Training, batches: Iterator[dict[str, Any]], progress: float
) -> tuple[Tensor, dict[str, Tensor], float]:
    """Gradients of one global batch; its mean loss, the last scalars and the seconds spent waiting for films."""
    settings, fabric, module = training.settings, training.fabric, training.module
    micro_steps = settings.batch_size // (_micro_batch(settings) * fabric.world_size)
    losses: list[Tensor] = []
    scalars: dict[str, Tensor] = {}
    waited = 0.0
    for micro in range(micro_steps):
        asked = time.perf_counter()
        batch = fabric.to_device(next(batches))
        waited += time.perf_counter() - asked
        with fabric.no_backward_sync(module, enabled=micro < micro_steps - 1):
            loss, scalars = module(batch, progress)
            fabric.backward(loss / micro_steps)
        losses.append(loss.detach())
    mean: Any = fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")
    return mean, scalars, waited


def _unscale(training: Training) -> None:
    """Undo fp16 loss scaling before gradients are measured."""
    if training.settings.precision == "fp16":
        training.fabric.strategy.precision.unscale_gradients(training.wrapped_optimizer)


def _take_step(training: Training, loss: Tensor, norm: Tensor, progress: float) -> bool:
    """Update the weights, unless loss or gradient is not finite: then they stay as they are, bit for bit."""
    finite_loss = math.isfinite(loss.item())
    if finite_loss and math.isfinite(norm.item()):
        training.method.before_step(progress)
        training.wrapped_optimizer.step()
        training.method.after_step(progress)
        if training.average is not None:
            training.average.update(training.method.backbone)
        training.at.bad_steps = 0
        return True
    if training.settings.precision == "fp16" and finite_loss:
        training.wrapped_optimizer.step()  # overflow of scaled gradients: the scaler skips the step and scales less
    else:
        training.at.bad_steps += 1
    return False


def _roll_back_or_stop(training: Training) -> None:
    """After too many bad steps: back to the newest checkpoint, once; then stop with the reason."""
    step, rollbacks = training.at.step, training.at.rollbacks
    if rollbacks:
        raise DivergedError(
            f"loss or gradients were not finite {MAX_BAD_STEPS} steps in a row, again after a roll-back (step {step})",
            where=training.run.path,
            fix="Look at the films named in train.log, or lower the learning rate; the checkpoints are good",
        )
    good = ckpt.checkpoints(training.run.path)[-1]
    training.restore(good)
    training.at.rollbacks = rollbacks + 1
    LOG.warning("%d bad steps in a row up to step %d: rolled back to %s", MAX_BAD_STEPS, step, good.name)


def _anyone(training: Training, requested: bool) -> bool:
    """Whether any device was asked to stop."""
    flag = torch.tensor(float(requested), device=training.fabric.device)
    total: Any = training.fabric.all_reduce(flag, reduce_op="sum")
    return bool(total.item() > 0)


def _evaluate(
    training: Training, whole: Any, evaluators: Sequence[Evaluator], keep_best: str | None, log: TrainingLog
) -> None:
    """Run the evaluators on rank 0, on whole weights, without touching the generators of training."""
    if not evaluators:
        return
    fabric, at = training.fabric, training.at
    weights = dist.gather_model(training.method) if fabric.world_size > 1 else {}
    if fabric.is_global_zero:
        if whole is not training.method:
            whole.to(fabric.device).load_state_dict(weights)
        whole.eval()
        numbers: dict[str, float] = {}
        with torch.random.fork_rng(), torch.no_grad():
            for evaluator in evaluators:
                numbers.update(evaluator(whole, at.step))
        whole.train()
        if numbers:
            log.evaluated(at.step, numbers)
        if keep_best in numbers and (at.best is None or numbers[keep_best] > at.best):
            at.best, at.best_step = numbers[keep_best], at.step
            best = training.run.path / "checkpoints" / "best"
            ckpt.save_checkpoint(best, whole.state_dict(), training.describe, training.card())
    fabric.barrier()


def _digest(draws: Sequence[tuple[int, int]], ids: Sequence[str]) -> str:
    """A short hash of the films of a step, in order: two runs that saw the same films log the same."""
    return hashlib.sha256("\n".join(ids[row] for _, row in draws).encode()).hexdigest()[:16]
