"""Train one kind of head on frozen features for a whole grid of learning rates at once.

The heads of a grid share start, batches and schedule and differ in the learning rate alone, so one batched
forward and backward pass serves them all (`vmap` over stacked parameters; the sum of independent losses has
each head's own gradient). Result by result it is the same as training them one after the other. The winner is
the head with the best macro AUROC on the validation films over all epochs; at a tie the lower rate, then the
earlier epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hilum.errors import ConfigError, DivergedError
from hilum.heads import HEADS
from hilum.heads.choose import check_choosable, macro_auroc
from hilum.heads.targets import probabilities, target_loss
from hilum.labels import Targets
from hilum.lookup import lookup

DEFAULT_LRS: Final = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # AdamW on standardised features


@dataclass(frozen=True)
class GridSettings:
    """How the heads are trained."""

    lrs: tuple[float, ...] = DEFAULT_LRS  # one head each; AdamW, cosine to 0, no warm-up
    epochs: int = 50
    batch_size: int = 256  # films
    weight_decay: float = 0.01  # decoupled, on weight matrices only
    smoothing: float = 0.0  # label smoothing in [0, 1)
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


@dataclass(frozen=True)
class GridResult:
    """The winning head and the table it was chosen from."""

    head: nn.Module  # on the CPU, with the statistics of the training features in its buffers
    lr: float
    epoch: int  # 1-based
    auroc: float  # macro, on the validation films
    table: list[dict[str, float]]  # one row a learning rate: lr, epoch, auroc (its best), loss (of its last epoch)


EpochHook = Callable[[dict[str, float]], None]  # receives epoch, best auroc so far, and each rate's loss and auroc


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
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    settings: GridSettings,
    *,
    config: Any = None,
    on_epoch: EpochHook | None = None,
) -> GridResult:
    """Train `len(settings.lrs)` heads together and keep the best.

    Args:
        kind: name in `hilum.heads.HEADS`.
        train: features (N, D) and targets (N, K) of 1, 0, NaN; the features' dtype and device are used
            throughout.
        val: the same for the films that choose rate and epoch.
        settings: rates, epochs, batch size and so on.
        config: the head's own options, its defaults when None.
        on_epoch: called after each epoch with the numbers for a log.

    Raises:
        ManifestError: no finding has both classes among the validation films, so that nothing can be chosen.
    """
    features, targets = _known_rows(*train)
    val_targets = val[1].cpu().numpy()
    check_choosable(val_targets)
    template = build_head(kind, features.shape[1], targets.shape[1], config, seed=settings.seed).to(features)
    template.get_submodule("standardise").fit(features)  # type: ignore[operator]
    grid = _Grid(template, settings)
    best = [(-math.inf, 0, dict[str, Tensor]())] * len(settings.lrs)  # auroc, epoch, weights of each rate
    order = torch.Generator().manual_seed(settings.seed)
    steps = settings.epochs * math.ceil(len(features) / settings.batch_size)
    step, losses = 0, torch.zeros(len(settings.lrs))
    for epoch in range(1, settings.epochs + 1):
        sums = features.new_zeros(len(settings.lrs))
        rows_in_order = torch.randperm(len(features), generator=order).to(features.device)
        batches = torch.split(rows_in_order, settings.batch_size)
        for rows in batches:
            sums += grid.step(features[rows], targets[rows], progress=step / steps)
            step += 1
        losses = (sums / len(batches)).cpu()
        aurocs = [macro_auroc(val_targets, scores) for scores in grid.scores(val[0])]
        for index, auroc in enumerate(aurocs):
            if auroc is not None and auroc > best[index][0]:
                best[index] = (auroc, epoch, grid.weights(index))
        if on_epoch:
            on_epoch(_epoch_row(epoch, settings.lrs, losses, aurocs, max(entry[0] for entry in best)))
    return _choose(template, settings.lrs, best, losses)


class _Grid:
    """G heads, one optimizer: parameters apart, so that each has its rate; stacked for a forward pass."""

    def __init__(self, template: nn.Module, settings: GridSettings) -> None:
        self.template, self.settings = template, settings
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

    def step(self, features: Tensor, targets: Tensor, *, progress: float) -> Tensor:
        """One optimizer step of all heads on one batch; the losses (G,) before it."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * 0.5 * (1 + math.cos(math.pi * progress))
        losses = target_loss(
            self.logits(features), targets, kind=self.settings.targets, smoothing=self.settings.smoothing
        )
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return losses.detach()

    def logits(self, features: Tensor) -> Tensor:
        """Logits (G, N, K) of all heads for features (N, D)."""
        stacked = {name: torch.stack([head[name] for head in self.heads]) for name in self.heads[0]}

        def one(parameters: dict[str, Tensor]) -> Any:
            return functional_call(self.template, parameters, (features,))

        return vmap(one)(stacked)  # type: ignore[no-any-return]

    @torch.no_grad()
    def scores(self, features: Tensor) -> NDArray[np.float64]:
        """Probabilities (G, N, K) of all heads, in float64 so that ties are those of the logits."""
        logits = torch.cat([self.logits(part) for part in torch.split(features, 8192)], dim=1)
        return probabilities(logits.double(), self.settings.targets).cpu().numpy()

    def weights(self, index: int) -> dict[str, Tensor]:
        """A copy of one head's parameters as they are now."""
        return {name: value.detach().clone() for name, value in self.heads[index].items()}


def _known_rows(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    known = ~targets.isnan().all(dim=1)
    return features[known], targets[known].to(features)


def _epoch_row(
    epoch: int, lrs: Sequence[float], losses: Tensor, aurocs: Sequence[float | None], best: float
) -> dict[str, float]:
    row = {"epoch": float(epoch), "val/auroc_best": best}
    for lr, loss, auroc in zip(lrs, losses.tolist(), aurocs, strict=True):
        row[f"loss/lr_{lr:g}"] = loss
        if auroc is not None:
            row[f"val/auroc/lr_{lr:g}"] = auroc
    return row


def _choose(
    template: nn.Module,
    lrs: Sequence[float],
    best: Sequence[tuple[float, int, dict[str, Tensor]]],
    losses: Tensor,
) -> GridResult:
    winner = min(range(len(lrs)), key=lambda index: (-best[index][0], lrs[index], best[index][1]))
    auroc, epoch, weights = best[winner]
    if not weights:
        raise DivergedError("no head has finite scores at any rate", where="lrs", fix="Use lower learning rates")
    template.load_state_dict(weights, strict=False)  # the buffers stay
    table = [
        {"lr": lr, "epoch": float(entry[1]), "auroc": entry[0], "loss": loss}
        for lr, entry, loss in zip(lrs, best, losses.tolist(), strict=True)
    ]
    return GridResult(template.cpu().eval(), lrs[winner], epoch, auroc, table)
