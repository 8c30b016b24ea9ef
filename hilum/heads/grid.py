"""Train one kind of head on frozen features for a whole grid of learning rates at once.

The heads of a grid share start, batches and schedule and differ in the learning rate alone, so one batched
forward and backward pass serves them all (`vmap` over stacked parameters; the sum of independent losses has
each head's own gradient). Result by result it is the same as training them one after the other, unknown labels
included: they are left out of the loss of every head. The winner is the head with the best macro AUROC (or the lowest
loss) on the validation films over all epochs; at a tie the lower rate, then the earlier epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hilum.errors import ConfigError, DivergedError
from hilum.heads import HEADS
from hilum.heads.inputs import Features, HeadInputs, ahead, as_inputs, of_epoch
from hilum.heads.objective import ClassificationObjective, Objective, Select
from hilum.heads.taps import Taps
from hilum.heads.targets import PLAIN, LabelLoss, LossName, check_loss
from hilum.labels import Targets
from hilum.lookup import lookup

DEFAULT_LRS: Final = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # AdamW on standardised features
VALIDATED: Final = 8192  # pooled films scored at once; films of tokens a batch at a time
HELD: Final = 2**29  # numbers that the heads trained in one pass may keep for its way back: 2 GiB of float32
SAMPLED: Final = 64  # films from whose tokens a head takes mean and spread


@dataclass(frozen=True)
class GridSettings:
    """How the heads are trained."""

    lrs: tuple[float, ...] = DEFAULT_LRS  # one head each; AdamW, no warm-up
    decay: Literal["cosine", "constant"] = "cosine"  # of the rates: to 0, or not at all
    epochs: int = 50
    batch_size: int = 256  # films
    weight_decay: float = 0.01  # decoupled, on weight matrices only
    smoothing: float = 0.0  # label smoothing in [0, 1)
    loss_sum: bool = False  # sum the loss over a batch's labels (CheXFound) instead of averaging; AdamW hardly cares
    loss: LossName = PLAIN
    loss_set: Mapping[str, Any] = field(default_factory=dict)  # options of the loss
    select: Select = "auroc"  # what chooses rate and epoch on the validation films
    targets: Targets = "multilabel"
    seed: int = 0  # start of the heads and order of the films

    def __post_init__(self) -> None:
        """Refuse values that cannot train."""
        if not self.lrs or min(self.lrs) <= 0 or len(set(self.lrs)) < len(self.lrs):
            raise ConfigError(f"learning rates must be positive and different, not {self.lrs}", where="lrs")
        if self.epochs < 1 or self.batch_size < 1:
            raise ConfigError("epochs and batch size must be at least 1", where="epochs, batch_size")
        if not 0 <= self.smoothing < 1:
            raise ConfigError(f"label smoothing must be in [0, 1), not {self.smoothing}", where="label_smoothing")
        check_loss(self.targets, self.loss, dict(self.loss_set))

    def objective(self, targets: Tensor) -> ClassificationObjective:
        """The loss for these training targets (N, K), and what is chosen by."""
        learn = LabelLoss.make(
            targets,
            kind=self.targets,
            name=self.loss,
            options=dict(self.loss_set),
            smoothing=self.smoothing,
            total=self.loss_sum,
        )
        return ClassificationObjective(targets.shape[1], learn, self.select)


@dataclass(frozen=True)
class GridResult:
    """The winning head and the table it was chosen from."""

    head: nn.Module  # on the CPU, with the statistics of the training features in its buffers
    lr: float
    epoch: int  # 1-based
    value: float  # what the objective maximises (macro AUROC, or minus the loss), on the validation films
    table: list[dict[str, float]]  # one row a learning rate: lr, epoch, the best value, loss (of its last epoch)


EpochHook = Callable[[dict[str, float]], None]  # receives epoch, best value so far, and each rate's loss and value


def build_head(kind: str, width: int, outputs: int, config: Any = None, *, seed: int | None = None) -> nn.Module:
    """A head from the table; with a seed its start is reproducible and the global generator untouched."""
    factory = lookup(HEADS, kind, kind="head")
    if seed is None:
        return factory(width, outputs, config)  # type: ignore[no-any-return]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory(width, outputs, config)  # type: ignore[no-any-return]


@torch.enable_grad()  # evaluators run under no_grad
def train_grid(
    kind: str,
    train: tuple[Features | HeadInputs, Tensor],
    val: tuple[Features | HeadInputs, Tensor],
    settings: GridSettings,
    *,
    objective: Objective | None = None,
    config: Any = None,
    on_epoch: EpochHook | None = None,
) -> GridResult:
    """Train `len(settings.lrs)` heads together and keep the best.

    Args:
        kind: name in `hilum.heads.HEADS`.
        train: features of N films, in memory or wherever `HeadInputs` finds them, and targets (N, T) with NaN for
            unknown; the features' dtype and device are used throughout.
        val: the same for the films that choose rate and epoch.
        settings: rates, epochs, batch size and so on.
        objective: loss and what is maximised; the classification that `settings` describes when None.
        config: the head's own options, its defaults when None.
        on_epoch: called after each epoch with the numbers for a log.

    Raises:
        ManifestError: no finding has both classes among the validation films, so that nothing can be chosen.
        DivergedError: no rate gave finite scores.
    """
    goal = objective or settings.objective(train[1])
    val_inputs, val_targets = as_inputs(val[0]), val[1].cpu()
    goal.check(val_targets)
    grid = _Grid(kind, as_inputs(train[0]), train[1], settings, goal, config)
    best = [(-math.inf, 0, dict[str, Tensor]())] * len(settings.lrs)  # value, epoch, weights of each rate
    losses = torch.zeros(len(settings.lrs))
    for epoch, losses in enumerate(grid.epochs(), start=1):
        values = [goal.value(logits, val_targets) for logits in grid.logits_of(val_inputs)]
        for index, value in enumerate(values):
            if value is not None and value > best[index][0]:
                best[index] = (value, epoch, grid.weights(index))
        if on_epoch:
            on_epoch(_epoch_row(goal.name, epoch, settings.lrs, losses, values, max(entry[0] for entry in best)))
    return _choose(grid.template, goal.name, settings.lrs, best, losses)


@torch.enable_grad()
def train_head(
    kind: str,
    train: tuple[Features | HeadInputs, Tensor],
    settings: GridSettings,
    *,
    objective: Objective | None = None,
    config: Any = None,
    start: Mapping[str, Tensor] | None = None,
    on_epoch: EpochHook | None = None,
) -> nn.Module:
    """Train one head at the one rate of `settings` to the end of its epochs; nothing is chosen.

    Args:
        kind: name in `hilum.heads.HEADS`.
        train: as for `train_grid`.
        settings: with a single rate.
        objective: as for `train_grid`.
        config: the head's own options.
        start: weights and statistics of a head to go on from; a fresh head, with statistics of these films, when None.
        on_epoch: called after each epoch with epoch and loss.

    Returns:
        The head as the last epoch left it, on the CPU.

    Raises:
        DivergedError: its weights are not finite.
    """
    assert len(settings.lrs) == 1, "one head, one rate"
    goal = objective or settings.objective(train[1])
    grid = _Grid(kind, as_inputs(train[0]), train[1], settings, goal, config, start)
    for epoch, losses in enumerate(grid.epochs(), start=1):
        if on_epoch:
            on_epoch({"epoch": float(epoch), "loss": float(losses)})
    weights = grid.weights(0)
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise DivergedError("the head's weights are not finite", where="lrs", fix="Use a lower learning rate")
    grid.template.load_state_dict(weights, strict=False)  # the buffers stay
    return grid.template.cpu().eval()


class _Grid:
    """G heads, one optimizer: parameters apart, so that each has its rate; stacked for a forward pass."""

    def __init__(
        self,
        kind: str,
        inputs: HeadInputs,
        targets: Tensor,
        settings: GridSettings,
        objective: Objective,
        config: Any = None,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.inputs, self.settings, self.objective = inputs, settings, objective
        self.known = torch.nonzero(~targets.isnan().all(dim=1)).flatten().cpu()  # rows that teach
        template = build_head(kind, inputs.width, objective.outputs, config, seed=settings.seed)
        pooled = getattr(template, "reads", "pooled") == "pooled"
        self.block = VALIDATED if pooled else settings.batch_size
        sample = inputs.batch(self.known if pooled else self.known[_some(len(self.known), settings.seed)])
        like = sample.any if isinstance(sample, Taps) else sample
        self.template = template.to(like)
        self.targets = targets.to(like)
        if start is not None:
            self.template.load_state_dict(dict(start))
        elif getattr(template, "standardise", None) is not None:
            template.get_submodule("standardise").fit(sample)  # type: ignore[operator]
        self.draws = any(isinstance(part, nn.Dropout) and part.p > 0 for part in template.modules())
        self.heads = [
            {name: nn.Parameter(value.detach().clone()) for name, value in template.named_parameters()}
            for _ in settings.lrs
        ]
        groups = []
        for head, lr in zip(self.heads, settings.lrs, strict=True):
            matrices = [value for value in head.values() if value.ndim > 1]
            vectors = [value for value in head.values() if value.ndim < 2]
            groups.append({"params": matrices, "lr": lr, "weight_decay": settings.weight_decay})
            groups.append({"params": vectors, "lr": lr, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups)
        self.peaks = [float(group["lr"]) for group in self.optimizer.param_groups]

    def epochs(self) -> Iterator[Tensor]:
        """Train; after each epoch the mean losses (G,) of its batches."""
        count = len(self.known)
        order = torch.Generator().manual_seed(self.settings.seed)
        steps = self.settings.epochs * math.ceil(count / self.settings.batch_size)
        step = 0
        for epoch in range(self.settings.epochs):
            inputs = of_epoch(self.inputs, epoch)
            sums = self.targets.new_zeros(len(self.heads))
            batches = torch.split(self.known[torch.randperm(count, generator=order)], self.settings.batch_size)
            for rows, features in zip(batches, ahead(inputs, batches), strict=True):
                sums += self.step(features, self.targets[rows.to(self.targets.device)], step, progress=step / steps)
                step += 1
            yield (sums / len(batches)).cpu()

    def step(self, features: Features, targets: Tensor, number: int, *, progress: float) -> Tensor:
        """One optimizer step of all heads on one batch; the losses (G,) before it."""
        share = 0.5 * (1 + math.cos(math.pi * progress)) if self.settings.decay == "cosine" else 1.0
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * share
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for heads in self._together(features):
            with self._own_draws(number):
                part = self.objective.loss(self.logits(features, heads), targets)
            part.sum().backward()  # type: ignore[no-untyped-call]
            losses.append(part.detach())
        self.optimizer.step()
        return torch.cat(losses)

    def logits(self, features: Features, heads: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """Logits (G, N, K) of heads for the features of N films; all heads drop the same units."""
        if len(heads) == 1:
            return functional_call(self.template, dict(heads[0]), (features,)).unsqueeze(0)  # type: ignore[no-any-return]
        stacked = {name: torch.stack([head[name] for head in heads]) for name in heads[0]}

        def one(parameters: dict[str, Tensor]) -> Any:
            return functional_call(self.template, parameters, (features,))

        return vmap(one, randomness="same")(stacked)  # type: ignore[no-any-return]

    @torch.no_grad()
    def logits_of(self, inputs: HeadInputs) -> Tensor:
        """Logits (G, N, K) of all heads and films, block by block, in float64 on the CPU: ties are those of logits."""
        self.template.eval()
        blocks = torch.split(torch.arange(len(inputs)), self.block)
        logits = torch.cat([self._scored(features) for features in ahead(inputs, blocks)], dim=1)
        self.template.train()
        return logits.cpu()

    def _scored(self, features: Features) -> Tensor:
        return torch.cat([self.logits(features, heads) for heads in self._together(features)]).double()

    def _together(self, features: Features) -> list[list[dict[str, nn.Parameter]]]:
        """The heads in groups whose activations for these features fit in memory together; one group, if it can be."""
        kept = getattr(self.template, "kept", None)
        size = len(self.heads) if kept is None else max(1, HELD // kept(features))
        if kept is not None and features.device.type == "cpu" and self.targets.dtype is torch.float32:
            size = 1  # products over all tokens gain nothing from company, and oneDNN's fast ones know no vmap
        return [self.heads[start : start + size] for start in range(0, len(self.heads), size)]

    def weights(self, index: int) -> dict[str, Tensor]:
        """A copy of one head's parameters as they are now."""
        return {name: value.detach().clone() for name, value in self.heads[index].items()}

    @contextmanager
    def _own_draws(self, step: int) -> Iterator[None]:
        """Dropout draws from (seed, step) alone, so runs repeat and the global generators are left as they were."""
        if not self.draws:
            yield
            return
        device = self.targets.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.settings.seed * 1_000_003 + step)
            yield


def _some(count: int, seed: int) -> Tensor:
    """A few of `count` rows, drawn once: enough to take statistics of tokens from."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:SAMPLED].sort().values


def _epoch_row(
    name: str, epoch: int, lrs: Sequence[float], losses: Tensor, values: Sequence[float | None], best: float
) -> dict[str, float]:
    row = {"epoch": float(epoch), f"val/{name}_best": best}
    for lr, loss, value in zip(lrs, losses.tolist(), values, strict=True):
        row[f"loss/lr_{lr:g}"] = loss
        if value is not None:
            row[f"val/{name}/lr_{lr:g}"] = value
    return row


def _choose(
    template: nn.Module,
    name: str,
    lrs: Sequence[float],
    best: Sequence[tuple[float, int, dict[str, Tensor]]],
    losses: Tensor,
) -> GridResult:
    winner = min(range(len(lrs)), key=lambda index: (-best[index][0], lrs[index], best[index][1]))
    value, epoch, weights = best[winner]
    if not weights:
        raise DivergedError("no head has finite scores at any rate", where="lrs", fix="Use lower learning rates")
    template.load_state_dict(weights, strict=False)  # the buffers stay
    table = [
        {"lr": lr, "epoch": float(entry[1]), name: entry[0], "loss": loss}
        for lr, entry, loss in zip(lrs, best, losses.tolist(), strict=True)
    ]
    return GridResult(template.cpu().eval(), lrs[winner], epoch, value, table)
