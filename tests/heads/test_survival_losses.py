"""Likelihoods of survival against loops, lifelines, closed forms and numerical gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from hilum.heads.survival_losses import cox_loss, discrete_loss, discrete_risk, event_by, interval_edges
from hilum.heads.targets import target_loss
from tests.oracles import survival_losses as oracle

EDGES = torch.tensor([0.0, 4.0, 10.0, 11.0, 25.0], dtype=torch.float64)
NAN = math.nan


def people(size: int, seed: int, *, ties: int = 30, holes: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Risks, whole-day times with ties, event codes; some unknown."""
    rng = np.random.default_rng(seed)
    time = rng.integers(1, ties, size).astype(float)
    event = rng.integers(0, 3, size).astype(float)
    if holes and size > 4:
        time[2], event[3] = NAN, NAN
    return torch.from_numpy(rng.normal(0, 2, size)), torch.from_numpy(time), torch.from_numpy(event)


@pytest.mark.parametrize(("size", "ties"), [(1, 5), (2, 2), (9, 3), (40, 6), (60, 500)])
def test_cox_equals_the_loop(size: int, ties: int) -> None:
    for seed in range(5):
        risk, time, event = people(size, seed, ties=ties)
        got = cox_loss(risk, time, event)
        assert got.item() == pytest.approx(oracle.cox_efron(risk.tolist(), time.tolist(), event.tolist()), abs=1e-12)


@pytest.mark.filterwarnings("ignore::Warning")  # lifelines calls pandas as it was
def test_cox_equals_the_likelihood_of_lifelines() -> None:
    lifelines = pytest.importorskip("lifelines")
    risk, time, event = people(80, 3, ties=12, holes=False)
    table = pd.DataFrame({"x": risk.numpy(), "t": time.numpy(), "e": (event == 1).numpy()})
    model = lifelines.CoxPHFitter().fit(table, "t", "e")
    beta = float(model.params_["x"])
    total = cox_loss(risk * beta, time, event) * int((event == 1).sum())
    assert -total.item() == pytest.approx(model.log_likelihood_, abs=1e-9)


def test_leading_dimensions_are_separate_heads_and_order_does_not_matter() -> None:
    risk, time, event = people(30, 0)
    stacked = torch.stack([risk, 2 * risk, -risk])[:, None]
    got = cox_loss(stacked, time, event)
    assert got.shape == (3, 1)
    mixed = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    for row, value in zip(stacked[:, 0], got[:, 0], strict=True):
        assert cox_loss(row[mixed], time[mixed], event[mixed]).item() == pytest.approx(value.item(), abs=1e-12)
    logits = torch.randn(2, 30, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    each = [discrete_loss(part, time, event, EDGES) for part in logits]
    torch.testing.assert_close(discrete_loss(logits, time, event, EDGES), torch.stack(each))


def test_a_competing_cause_is_censored_at_its_time() -> None:
    risk, time, event = people(40, 5)
    ended = torch.where(event == 2, 0.0, event)
    assert torch.equal(cox_loss(risk, time, event), cox_loss(risk, time, ended))
    assert torch.equal(
        discrete_loss(risk[:, None].expand(-1, 4), time, event, EDGES),
        discrete_loss(risk[:, None].expand(-1, 4), time, ended, EDGES),
    )


def test_gradients_are_those_of_finite_differences() -> None:
    risk, time, event = people(14, 7, ties=5)
    assert torch.autograd.gradcheck(lambda x: cox_loss(x, time, event), (risk.requires_grad_(),))
    logits = torch.randn(2, 14, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: discrete_loss(x, time, event, EDGES), (logits,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_risks_stay_finite(dtype: torch.dtype) -> None:
    _, time, event = people(50, 1, ties=9)
    risk = torch.linspace(-3000, 3000, 50, dtype=dtype).requires_grad_()
    loss = cox_loss(risk, time, event)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert risk.grad is not None
    assert risk.grad.isfinite().all()
    assert discrete_loss(risk.detach()[:, None].expand(-1, 4), time, event, EDGES).isfinite()


def test_half_precision_is_summed_in_float32() -> None:
    risk, time, event = people(500, 2, ties=400)
    exact = cox_loss(risk.bfloat16().double(), time, event)
    assert cox_loss(risk.bfloat16(), time, event).item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("code", [0.0, 2.0, NAN])
def test_nothing_to_learn_is_zero_with_a_graph(code: float) -> None:
    time, event = torch.arange(1.0, 7.0), torch.full((6,), code)
    risk = torch.randn(3, 6, requires_grad=True)
    cox_loss(risk, time, event).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(torch.zeros(3, 6), risk.grad if risk.grad is not None else torch.ones(1))
    logits = torch.randn(6, 4, requires_grad=True)
    unknown = discrete_loss(logits, torch.full((6,), NAN), event, EDGES)
    unknown.backward()  # type: ignore[no-untyped-call]
    assert unknown.item() == 0
    assert torch.equal(torch.zeros(6, 4), logits.grad if logits.grad is not None else torch.ones(1))


def test_without_ties_cox_is_the_textbook_sum() -> None:
    risk, time, event = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([5.0, 2.0, 9.0]), torch.tensor([1.0, 1.0, 0.0])
    first = -risk[1] + risk.logsumexp(0)
    second = -risk[0] + risk[[0, 2]].logsumexp(0)
    torch.testing.assert_close(cox_loss(risk, time, event), (first + second) / 2)


@pytest.mark.parametrize("size", [1, 8, 60])
def test_discrete_equals_the_loop(size: int) -> None:
    for seed in range(5):
        _, time, event = people(size, seed)
        logits = torch.randn(size, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        got = discrete_loss(logits, time, event, EDGES)
        wanted = oracle.discrete(logits.tolist(), time.tolist(), event.tolist(), EDGES.tolist())
        assert got.item() == pytest.approx(wanted, abs=1e-12)


def test_discrete_hazards_that_fit_best_are_the_shares_that_died() -> None:
    """With one logit an interval for everybody and no censoring, the maximum is deaths over those who entered."""
    time = torch.tensor([1.0, 4.0, 5.0, 10.0, 10.0, 11.0, 20.0, 30.0])
    event = torch.ones(8)
    shares = torch.tensor([2 / 8, 3 / 6, 1 / 3, 1 / 2])
    logits = shares.logit().requires_grad_()
    discrete_loss(logits.expand(8, 4), time, event, EDGES).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros(4), atol=1e-7, rtol=0)
    torch.testing.assert_close(discrete_risk(logits, EDGES, 10.0), torch.tensor(1 - 3 / 8))


def test_the_censored_survive_an_interval_they_saw_half_of() -> None:
    logits = torch.zeros(1, 4, dtype=torch.float64)
    for day, intervals in ((1.9, 0), (2.0, 1), (6.9, 1), (7.0, 2), (10.6, 3), (17.9, 3), (18.0, 4), (99.0, 4)):
        loss = discrete_loss(logits, torch.tensor([day]).double(), torch.zeros(1).double(), EDGES)
        assert loss.item() == pytest.approx(intervals * math.log(2))


def test_binary_knows_who_is_unknown() -> None:
    rows: list[tuple[float, float, Any]] = [
        (5, 1, 1),
        (10, 1, 1),
        (11, 1, 0),
        (9, 0, NAN),  # lost before the horizon: not a negative
        (10, 0, 0),
        (12, 0, 0),
        (3, 2, 0),  # another cause came first: the event cannot come any more
        (12, 2, 0),
        (NAN, 1, NAN),
        (3, NAN, NAN),
    ]
    time, event, wanted = (torch.tensor(column, dtype=torch.float64) for column in zip(*rows, strict=True))
    torch.testing.assert_close(event_by(10.0, time, event), wanted, equal_nan=True)
    logits = torch.randn(len(rows), dtype=torch.float64)
    loss = target_loss(logits[:, None], event_by(10.0, time, event)[:, None])
    assert loss.item() == pytest.approx(oracle.binary(logits.tolist(), time.tolist(), event.tolist(), 10.0))


def test_edges_cut_the_events_evenly_and_hold_the_horizon() -> None:
    times = torch.arange(1.0, 101.0)
    edges = interval_edges(times, 33.0, 4)
    assert edges.tolist() == [0, 25, 33, 50, 75, 100]
    assert interval_edges(torch.tensor([7.0, 7.0, 7.0]), 7.0, 5).tolist() == [0, 7]
    assert interval_edges(torch.tensor([3.0]), 9.0, 10).tolist() == [0, 3, 9]
