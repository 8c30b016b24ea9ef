"""Is the representation collapsing? Numbers of every step, and a sentence when they say so.

A self-distilled network (https://arxiv.org/abs/2104.14294, section 5.3) can fail in two ways that its loss does not
show: every film gets the same assignment, or every assignment is uniform.

Departures: none; nothing here enters the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from hilum.losses.koleo import nearest_distance

MIN_RANK: Final = 2.0  # effective rank of class tokens below which they lie along one line
MIN_SPREAD: Final = 2.0  # prototypes in use below which all films look alike to the student
MAX_ENTROPY: Final = 0.99  # share of the largest entropy above which an assignment says nothing
PATIENCE: Final = 50  # steps in a row before a warning, and between two


@torch.no_grad()
def measures(targets: Tensor, scores: Tensor, classes: Tensor, *, temperature: float) -> dict[str, Tensor]:
    """The numbers, as scalars.

    Args:
        targets: (N, K) assignments of the teacher, rows sum to 1.
        scores: (N, K) prototype scores of the student for the same crops.
        classes: (B, D) class tokens of the teacher, one a film.
        temperature: of the student's assignment.

    Returns:
        `teacher_entropy` and `student_entropy`, mean over crops, in [0, 1] of log K; `student_spread`, how many
        prototypes the crops share out among them (exponential of the entropy of the mean assignment, 1 to K);
        `effective_rank` of the centred class tokens (Roy and Vetterli 2007), 1 to B - 1; `nearest_film`, mean distance
        of normalised class tokens to the next one, in [0, 2].
    """
    with torch.autocast(scores.device.type, enabled=False):
        assigned = (scores.float() / temperature).softmax(1)
        most = math.log(scores.shape[1])
        tokens = classes.float()
        return {
            "teacher_entropy": _entropy(targets.float()).mean() / most,
            "student_entropy": _entropy(assigned).mean() / most,
            "student_spread": _entropy(assigned.mean(0)).exp(),
            "effective_rank": effective_rank(tokens),
            "nearest_film": nearest_distance(tokens, gathered=False).mean(),
        }


def effective_rank(x: Tensor) -> Tensor:
    """Exponential of the entropy of the normalised singular values of centred rows: (B, D) -> scalar, 1 to B - 1."""
    if len(x) < 2:
        return x.new_ones(())
    centred = x - x.mean(0)
    gram = centred @ centred.T  # B is small: the eigenvalues of B x B are the squared singular values
    values = torch.linalg.eigvalsh(gram.double()).clamp(min=0).sqrt()
    total = values.sum()
    return _entropy(values / total).exp().float() if total > 0 else x.new_ones(())


def _entropy(shares: Tensor) -> Tensor:
    """Of the last axis, in nats."""
    found: Tensor = -torch.special.xlogy(shares, shares).sum(-1)
    return found


class CollapseWatch:
    """Says what is wrong once it has been wrong for some steps; knows nothing that a resumed run would miss."""

    def __init__(self, patience: int = PATIENCE) -> None:
        self.patience = patience
        self._since: dict[str, int] = {}

    def look(self, scalars: Mapping[str, float]) -> tuple[str, ...]:
        """Sentences for the log, if any, about the numbers of one step."""
        rank, spread = scalars["effective_rank"], scalars["student_spread"]
        faults = {
            f"class tokens of a batch lie along one line (effective rank {rank:.2f})": rank < MIN_RANK,
            f"the student gives all crops the same prototypes ({spread:.1f} in use)": spread < MIN_SPREAD,
            "the teacher's assignments are uniform and teach nothing": scalars["teacher_entropy"] > MAX_ENTROPY,
        }
        said = []
        for number, (sentence, wrong) in enumerate(faults.items()):
            key = str(number)
            self._since[key] = self._since.get(key, 0) + 1 if wrong else 0
            if wrong and self._since[key] % self.patience == 0:
                said.append(
                    f"the representation collapses: {sentence}, {self._since[key]} steps in a row; a lower learning "
                    "rate, larger batches or a larger koleo_weight help"
                )
        return tuple(said)
