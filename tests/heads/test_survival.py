"""Objectives of survival: what is learned, what chooses, what the score means, alone and as queries of one head."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.errors import ManifestError
from hilum.heads.grid import GridSettings, train_grid
from hilum.heads.objective import ClassificationObjective, Objective
from hilum.heads.survival import BinaryObjective, CoxObjective, DiscreteObjective, JointObjective, Query
from hilum.heads.survival_losses import event_by, interval_edges
from hilum.heads.targets import target_loss
from hilum.metrics.survival import harrell_c, label_at

HORIZON = 300.0
NAN = math.nan


def cohort(size: int, seed: int, *, censored_by: float = 900.0) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, 6), targets (N, 2) and the true log hazard ratio of two of the features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, 6))
    risk = 1.2 * x[:, 0] - 0.8 * x[:, 1]
    death = 500 * (rng.exponential(size=size) / np.exp(risk)) ** (1 / 1.2)
    other = rng.exponential(3000, size)
    lost = rng.uniform(30, censored_by, size)
    time = np.ceil(np.minimum(np.minimum(death, other), lost))
    event = np.where(death <= np.minimum(other, lost), 1.0, np.where(other <= lost, 2.0, 0.0))
    return torch.from_numpy(x).float(), torch.from_numpy(np.stack([time, event], 1)), torch.from_numpy(risk)


def objective_of(form: str, targets: Tensor) -> Objective:
    if form == "cox":
        return CoxObjective("Death")
    if form == "binary":
        return BinaryObjective("Death", HORIZON)
    edges = interval_edges(targets[targets[:, 1] == 1, 0], HORIZON, 8)
    return DiscreteObjective("Death", tuple(edges.tolist()), HORIZON)


@pytest.mark.parametrize(
    ("form", "head"), [("cox", "linear"), ("discrete", "linear"), ("binary", "linear"), ("cox", "mlp")]
)
def test_every_form_learns_who_dies_earlier(form: str, head: str) -> None:
    (x, targets, _), (x_val, val, risk) = cohort(600, 0), cohort(500, 1)
    goal = objective_of(form, targets)
    result = train_grid(head, (x, targets), (x_val, val), GridSettings(epochs=15, batch_size=200), objective=goal)
    with torch.no_grad():
        scores = goal.scores(result.head(x_val).double())
    got = harrell_c(val[:, 0].numpy(), val[:, 1].numpy(), scores[:, 0].numpy())
    true = harrell_c(val[:, 0].numpy(), val[:, 1].numpy(), risk.numpy())
    assert got is not None
    assert true is not None
    assert true > 0.75
    assert got > true - 0.03
    assert result.value == pytest.approx(goal.value(result.head(x_val).double().detach(), val), abs=1e-5)


def test_a_larger_score_is_an_earlier_event_in_every_form() -> None:
    targets = cohort(50, 0)[1]
    for form in ("cox", "discrete", "binary"):
        goal = objective_of(form, targets)
        rising = torch.linspace(-3, 3, 50, dtype=torch.float64)[:, None].expand(50, goal.outputs)
        assert (goal.scores(rising).diff(dim=0) > 0).all()


def test_the_binary_question_is_that_of_the_metrics() -> None:
    time = torch.tensor([1.0, 5.0, 5.0, 5.0, 7.0, 7.0, 7.0, 2.0, 2.0, NAN])
    event = torch.tensor([0.0, 0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 1.0, 2.0, NAN])
    for horizon in (2.0, 5.0, 6.0):
        wanted = label_at(time.numpy(), event.numpy(), horizon)
        np.testing.assert_array_equal(event_by(horizon, time, event).numpy(), wanted.astype(np.float32))


def test_the_unknown_and_the_lost_teach_nothing() -> None:
    targets = torch.tensor([[100.0, 0.0], [400.0, 0.0], [100.0, 1.0], [NAN, NAN]])
    for goal, rows in ((BinaryObjective("Death", HORIZON), (0, 3)), (CoxObjective("Death"), (3,))):
        logits = torch.randn(4, 1, requires_grad=True)
        goal.loss(logits, targets).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert all(float(logits.grad[row]) == 0 for row in rows)
        assert logits.grad.abs().sum() > 0


def test_queries_of_one_head_are_the_sum_of_their_losses() -> None:
    _, targets, _ = cohort(40, 2)
    findings = (torch.rand(40, 3) < 0.4).float()
    parts: list[tuple[Objective, Tensor]] = [
        (ClassificationObjective(3), findings.double()),
        *((objective_of(form, targets), targets) for form in ("cox", "discrete", "binary")),
    ]
    joint = JointObjective(tuple(Query(goal, columns.shape[1]) for goal, columns in parts))
    together = torch.cat([columns for _, columns in parts], dim=1)
    logits = torch.randn(2, 40, joint.outputs, dtype=torch.float64)
    each = [goal.loss(ours, columns) for (goal, columns), ours in zip(parts, joint.split_logits(logits), strict=True)]
    torch.testing.assert_close(joint.loss(logits, together), torch.stack(each).sum(0))
    torch.testing.assert_close(each[0], torch.stack([target_loss(part, findings.double()) for part in logits[..., :3]]))
    values = [
        goal.value(ours, columns) for (goal, columns), ours in zip(parts, joint.split_logits(logits[0]), strict=True)
    ]
    assert joint.value(logits[0], together) == pytest.approx(np.mean([value for value in values if value is not None]))
    assert joint.scores(logits[0]).shape == (40, 6)
    assert (joint.name, JointObjective(joint.queries[1:3]).name) == ("mean", "c_index")
    assert joint.value(logits[0] * torch.inf, together) is None
    joint.check(together)


def test_what_cannot_choose_is_refused() -> None:
    censored = torch.tensor([[5.0, 0.0], [9.0, 0.0], [9.0, 2.0]])
    with pytest.raises(ManifestError, match="no two of 3 films can be put in order by Death"):
        CoxObjective("Death").check(censored)
    with pytest.raises(ManifestError, match="0 had Death within 6 days, 2 are known not to have had it"):
        BinaryObjective("Death", 6).check(censored)
    late = torch.tensor([[5.0, 1.0], [9.0, 0.0]])
    CoxObjective("Death").check(late)
    BinaryObjective("Death", 6).check(late)
    with pytest.raises(ManifestError, match="no two"):
        JointObjective((Query(CoxObjective("Death"), 2), Query(CoxObjective("Heart"), 2))).check(
            torch.cat([late, late.flip(0) * torch.tensor([1.0, 0.0])], dim=1)
        )
