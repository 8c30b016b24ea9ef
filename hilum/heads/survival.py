"""Objectives of risk over time, for any head: Cox, discrete time, and the plain binary form; and several at once.

Each says what a head is trained for, what validation maximises, and what the score is; a higher score always means an
earlier event:

- Cox: the linear predictor (log hazard ratio up to a constant); Harrell's C.
- discrete: 1 - S(horizon), the chance of the event by the horizon if no other cause came first; Harrell's C.
- binary: the probability of the event within the horizon, as the CheXFound paper's mortality (arXiv 2502.05142, V-B),
  which has neither times nor censoring; AUROC over the films whose answer is known.

`JointObjective` trains findings, binary risk and survival as queries of one head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hilum.errors import ManifestError
from hilum.heads.choose import macro_auroc
from hilum.heads.objective import Objective
from hilum.heads.survival_losses import cox_loss, discrete_loss, discrete_risk, event_by
from hilum.heads.targets import target_loss
from hilum.metrics.survival import harrell_c

Form = Literal["cox", "discrete", "binary"]


@dataclass(frozen=True)
class CoxObjective:
    """One log hazard ratio a film; the risk set is the batch. Targets (N, 2): days and event code."""

    endpoint: str

    @property
    def name(self) -> str:
        """Of the value: Harrell's C."""
        return "c_index"

    @property
    def outputs(self) -> int:
        """One column."""
        return 1

    def check(self, targets: Tensor) -> None:
        """Refuse targets without two films of which one certainly had the event earlier."""
        _check_ordered(targets, self.endpoint)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Negative log partial likelihood, mean over events: (..., B, 1), (B, 2) -> (...)."""
        return cox_loss(logits[..., 0], targets[:, 0], targets[:, 1])

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        """Harrell's C of the linear predictor."""
        return _concordance(self.scores(logits), targets)

    def scores(self, logits: Tensor) -> Tensor:
        """The linear predictor (N, 1)."""
        return logits


@dataclass(frozen=True)
class DiscreteObjective:
    """A hazard in each of J intervals. Targets (N, 2): days and event code."""

    endpoint: str
    edges: tuple[float, ...]  # J + 1 rising days from 0; the horizon is one of them
    horizon: float  # days

    @property
    def name(self) -> str:
        """Of the value: Harrell's C."""
        return "c_index"

    @property
    def outputs(self) -> int:
        """J intervals."""
        return len(self.edges) - 1

    def check(self, targets: Tensor) -> None:
        """Refuse targets without two films of which one certainly had the event earlier."""
        _check_ordered(targets, self.endpoint)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Negative log likelihood, mean over films: (..., B, J), (B, 2) -> (...)."""
        return discrete_loss(logits, targets[:, 0], targets[:, 1], torch.tensor(self.edges, dtype=torch.float64))

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        """Harrell's C of the risk by the horizon."""
        return _concordance(self.scores(logits), targets)

    def scores(self, logits: Tensor) -> Tensor:
        """1 - S(horizon), (N, 1)."""
        return discrete_risk(logits, torch.tensor(self.edges, dtype=torch.float64), self.horizon)[..., None]


@dataclass(frozen=True)
class BinaryObjective:
    """Did the event come within the horizon? Targets (N, 2); films censored before the horizon teach nothing."""

    endpoint: str
    horizon: float  # days

    @property
    def name(self) -> str:
        """Of the value: the area under the ROC curve."""
        return "auroc"

    @property
    def outputs(self) -> int:
        """One column."""
        return 1

    def check(self, targets: Tensor) -> None:
        """Refuse targets that part nobody at the horizon."""
        came = self._came(targets)
        events, others = int((came == 1).sum()), int((came == 0).sum())
        if not (events and others):
            raise ManifestError(
                f"of {len(targets)} films {events} had {self.endpoint} within {self.horizon:g} days, {others} are known"
                " not to have had it, and the rest was not followed that long: nothing can be told apart",
                where="horizon",
                fix="Choose a horizon before which the event came to some and others were seen without it",
            )

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy, mean over the films whose answer is known: (..., B, 1), (B, 2) -> (...)."""
        return target_loss(logits, self._came(targets))

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        """AUROC for the event within the horizon."""
        return macro_auroc(self._came(targets).numpy(), self.scores(logits).numpy())

    def scores(self, logits: Tensor) -> Tensor:
        """The probability (N, 1)."""
        return logits.sigmoid()

    def _came(self, targets: Tensor) -> Tensor:
        return event_by(self.horizon, targets[:, 0], targets[:, 1])[:, None]


@dataclass(frozen=True)
class Query:
    """One part of a joint objective, and how many target columns are its own."""

    objective: Objective
    columns: int  # 2 for an endpoint, K for K findings


@dataclass(frozen=True)
class JointObjective:
    """Several objectives of one head: the sum of their mean losses; the mean of their values chooses."""

    queries: tuple[Query, ...]

    @property
    def name(self) -> str:
        """The parts' own name where it is the same for all, else "mean" of areas and concordances."""
        names = {query.objective.name for query in self.queries}
        return names.pop() if len(names) == 1 else "mean"

    @property
    def outputs(self) -> int:
        """All parts' columns side by side."""
        return sum(query.objective.outputs for query in self.queries)

    def check(self, targets: Tensor) -> None:
        """Refuse targets by which one of the parts cannot choose."""
        for query, part in zip(self.queries, self.split_targets(targets), strict=True):
            query.objective.check(part)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Sum of the parts' losses: (..., B, outputs), (B, T) -> (...)."""
        parts = zip(self.queries, self.split_logits(logits), self.split_targets(targets), strict=True)
        return torch.stack([query.objective.loss(ours, theirs) for query, ours, theirs in parts]).sum(dim=0)

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        """Mean of the parts' values, each in [0, 1]; None where one is not defined."""
        parts = zip(self.queries, self.split_logits(logits), self.split_targets(targets), strict=True)
        values = [query.objective.value(ours, theirs) for query, ours, theirs in parts]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    def scores(self, logits: Tensor) -> Tensor:
        """The parts' scores side by side."""
        parts = zip(self.queries, self.split_logits(logits), strict=True)
        return torch.cat([query.objective.scores(ours) for query, ours in parts], dim=-1)

    def split_logits(self, logits: Tensor) -> Sequence[Tensor]:
        """The columns of each part, along the last axis."""
        return torch.split(logits, [query.objective.outputs for query in self.queries], dim=-1)

    def split_targets(self, targets: Tensor) -> Sequence[Tensor]:
        """The targets of each part."""
        return torch.split(targets, [query.columns for query in self.queries], dim=-1)


def _concordance(scores: Tensor, targets: Tensor) -> float | None:
    """Harrell's C of scores (N, 1); None where one is not finite."""
    if not scores.isfinite().all():
        return None
    return harrell_c(targets[:, 0].numpy(), targets[:, 1].numpy(), scores[:, 0].numpy())


def _check_ordered(targets: Tensor, endpoint: str) -> None:
    """Concordance needs a pair; a score that says nothing has C = 1/2 wherever there is one."""
    if _concordance(torch.zeros(len(targets), 1), targets) is None:
        raise ManifestError(
            f"no two of {len(targets)} films can be put in order by {endpoint}: nobody was followed beyond an event",
            where="endpoints",
            fix="Give the val split films with an event, and others followed longer",
        )
