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
from hilum.loader import FilmOrder, ManifestDataset, MicroBatches, Placing, Truth, batches_of, make_loader
from hilum.methods.clock import StageClock
from hilum.models.ema import Ema
from hilum.optim import cosine, layers_of, learning_rate, make_optimizer, parameter_groups, set_schedule
from hilum.reports import Reports
from hilum.run_folder import LOG, RunFolder
from hilum.signals import SigTerm
from hilum.trainer.log import TrainingLog
from hilum.trainer.state import Progress, Training

MAX_BAD_STEPS = 3  # skipped steps in a row before the run rolls back, and the next time stops

Evaluator = Callable[[nn.Module, int], Mapping[str, float]]  # (method with whole weights, step) -> named numbers


@dataclass(frozen=True)
class TrainingFilms:
    """What to train on: films, their ids and what goes with them."""

    films: FilmStore
    image_ids: Sequence[str]
    targets: npt.NDArray[np.float32] | None = None  # supervised training: (N, K), NaN for unknown
    reports: Reports | None = None  # methods that read reports: one a film
    truth: Truth | None = None  # methods that learn places: what stands on the film of a row


def fit(
    method: Any,
    data: TrainingFilms,
    settings: TrainSettings,
    run: RunFolder,
    *,
    describe: Mapping[str, Any],
    evaluators: Sequence[Evaluator] = (),
    keep_best: str | None = None,
    keep_lowest: bool = False,
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
        keep_lowest: those with its lowest value instead: the number is a loss.
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
            draws = order.draws(training.at.step)
            step = _take_step(training, batches, total)
            if step.taken:
                log.step(_record(training, step, draws, data))
                _warn(training, step)
            else:
                log.skipped(training.at.step, step.loss, step.norm, [data.image_ids[row] for _, row in draws])
            if training.at.bad_steps >= MAX_BAD_STEPS:
                _roll_back_or_stop(training)
                batches = _batches(training, data, order, total)
                continue

            leaving, last = _anyone(training, stop.requested), training.at.step == total
            due = last or (step.taken and training.at.step % every == 0)
            if due and not leaving:
                _evaluate(training, evaluated, evaluators, Keeping(keep_best, keep_lowest), log)
            if due or leaving:
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
        depth=layers_of(method.backbone),
        asked=getattr(method, "optimisation", None),
    )
    optimizer = make_optimizer(method, groups, settings)
    if average is not None:
        dist.place(fabric, average.module, settings)
    wrapped = fabric.setup_optimizers(optimizer)
    return Training(fabric, method, module, optimizer, wrapped, average, settings, run, describe)


@dataclass(frozen=True)
class Keeping:
    """By which number the best weights are known."""

    name: str | None  # of an evaluator's number; None: none are kept
    lowest: bool

    def better(self, numbers: Mapping[str, float], best: float | None) -> bool:
        """Whether these numbers beat the best so far."""
        value = numbers.get(self.name or "")
        if value is None:
            return False
        return best is None or (value < best if self.lowest else value > best)


class _Step(nn.Module):
    """What is wrapped for several devices: plain tensors out, which Fabric and DDP understand."""

    def __init__(self, method: nn.Module) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Mapping[str, Any], progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        output = self.method(batch, progress)
        return output.loss, dict(output.scalars)


def _learning_rate(settings: TrainSettings, step: int, total: int) -> float:
    shape = {"peak": settings.peak_lr, "floor": settings.min_lr, "warmup": settings.warmup}
    return learning_rate(settings.decay, step / total, **shape)


def _micro_batch(settings: TrainSettings) -> int:
    return settings.micro_batch or settings.batch_size // (settings.devices * settings.nodes)


def _batches(training: Training, data: TrainingFilms, order: FilmOrder, total: int) -> Iterator[dict[str, Any]]:
    """This device's micro-batches from the present step to the last."""
    settings, fabric = training.settings, training.fabric
    views = training.method.views()
    sharing = {"batch": settings.batch_size, "device": _micro_batch(settings)}
    placing = Placing(order, sharing[views.draws_over]) if hasattr(views, "draws_over") else None
    dataset = ManifestDataset(
        data.films,
        data.image_ids,
        views,
        seed=settings.seed,
        targets=data.targets,
        reports=data.reports,
        truth=data.truth,
        placing=placing,
    )
    sampler = MicroBatches(
        order,
        start=training.at.step,
        stop=total,
        micro_batch=_micro_batch(settings),
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    return batches_of(make_loader(dataset, sampler, workers=settings.workers, pin=fabric.device.type == "cuda"))


@dataclass(frozen=True)
class Step:
    """What one optimizer step did."""

    taken: bool  # False: skipped, the weights are as they were
    loss: float  # mean over the global batch
    norm: float  # of the gradient, before clipping
    lr: float
    scalars: Mapping[str, Tensor]  # the method's own numbers, of the last micro-batch
    seconds: float
    waited: float  # seconds of it spent waiting for films


def _take_step(training: Training, batches: Iterator[dict[str, Any]], total: int) -> Step:
    """One optimizer step over a global batch, not taken where loss or gradient is not finite."""
    began, progress = time.perf_counter(), training.at.step / total
    settings, method, optimizer = training.settings, training.method, training.wrapped_optimizer
    lr = _learning_rate(settings, training.at.step, total)
    decay = None
    if settings.weight_decay_end is not None:
        decay = cosine(progress, settings.weight_decay, settings.weight_decay_end)
    set_schedule(training.optimizer, lr, progress=progress, weight_decay=decay)
    mean, scalars, waited = _accumulate(training, batches, progress)
    if settings.precision == "fp16":  # undo loss scaling before gradients are measured
        training.fabric.strategy.precision.unscale_gradients(optimizer)
    loss, norm = mean.item(), dist.clip_gradients(method, settings.clip_norm).item()

    taken = math.isfinite(loss) and math.isfinite(norm)
    if taken:
        method.before_step(progress)
        optimizer.step()
        method.after_step(progress)
        if training.average is not None:
            training.average.update(method.backbone)
        training.at.bad_steps = 0
    elif settings.precision == "fp16" and math.isfinite(loss):
        optimizer.step()  # overflow of scaled gradients: the scaler skips the step and scales less from now on
    else:
        training.at.bad_steps += 1
    optimizer.zero_grad(set_to_none=True)
    training.at.step += 1
    return Step(taken, loss, norm, lr, scalars, time.perf_counter() - began, waited)


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


def _record(training: Training, step: Step, draws: Sequence[tuple[int, int]], data: TrainingFilms) -> dict[str, Any]:
    """One line of metrics.jsonl."""
    films = training.settings.batch_size
    return {
        "step": training.at.step,
        "epoch": training.at.step * films / len(data.films),
        **{name: value.item() for name, value in step.scalars.items()},
        **{f"share_{stage}": seconds / step.seconds for stage, seconds in _stages(training.method).items()},
        "loss": step.loss,
        "grad_norm": step.norm,
        "lr": step.lr,
        "films": _digest(draws, data.image_ids),
        "images_per_second": films / step.seconds,
        "data_wait": step.waited / step.seconds,
    }


def _warn(training: Training, step: Step) -> None:
    """What the method has to say about the numbers of a step."""
    said = getattr(training.method, "warnings", None)
    for line in said({name: value.item() for name, value in step.scalars.items()}) if said is not None else ():
        LOG.warning("step %d: %s", training.at.step, line)


def _stages(method: Any) -> dict[str, float]:
    """Seconds of the forward pass by stage, for methods that keep a clock."""
    clock = getattr(method, "clock", None)
    return clock.read() if isinstance(clock, StageClock) else {}


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
    training: Training, whole: Any, evaluators: Sequence[Evaluator], keeping: Keeping, log: TrainingLog
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
        if keeping.better(numbers, at.best):
            at.best, at.best_step = numbers[str(keeping.name)], at.step
            best = training.run.path / "checkpoints" / "best"
            ckpt.save_checkpoint(best, whole.state_dict(), training.describe, training.card())
    fabric.barrier()


def _digest(draws: Sequence[tuple[int, int]], ids: Sequence[str]) -> str:
    """A short hash of the films of a step, in order: two runs that saw the same films log the same."""
    return hashlib.sha256("\n".join(ids[row] for _, row in draws).encode()).hexdigest()[:16]
