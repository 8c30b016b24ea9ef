"""Contrasts against the golden files and slow oracles, with gradients; false negatives, missing reports, extremes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.losses.contrastive import clip_contrast, paper_contrast, paper_weights, released_contrast
from tests.oracles import contrastive as oracle

Golden = tuple[dict[str, Tensor], dict[str, Any]]


def golden(shared: Path, name: str) -> Golden:
    folder = shared / "golden/maco"
    tensors = {key: torch.from_numpy(value) for key, value in np.load(folder / f"{name}.npz").items()}
    return tensors, json.loads((folder / f"{name}.json").read_text())["config"]


@pytest.mark.parametrize("name", ["loss_b6", "loss_b16_extreme_p"])
def test_the_released_loss_and_its_gradients(shared: Path, name: str) -> None:
    tensors, _ = golden(shared, name)
    v, t, p, scale = (tensors[f"in/{key}"].clone().requires_grad_() for key in ("v", "t", "p", "Tpar"))
    loss = released_contrast(v, t, p, scale)
    torch.testing.assert_close(loss, tensors["out/loss_c"], rtol=1e-4, atol=1e-5)
    for key, grad in zip(("v", "t", "p", "Tpar"), torch.autograd.grad(loss, (v, t, p, scale)), strict=True):
        torch.testing.assert_close(grad, tensors[f"out/grad_{key}"], rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", ["paper_eq_b6", "paper_eq_b16_extreme_p"])
def test_the_loss_of_the_paper(shared: Path, name: str) -> None:
    tensors, sizes = golden(shared, name)
    v, t, p = (tensors[f"in/{key}"].double() for key in ("v", "t", "p"))
    scale = torch.tensor(1 / sizes["tau3"], dtype=torch.float64)
    taus = {"tau1": sizes["tau1"], "tau2": sizes["tau2"], "group_size": sizes["D"]}
    w_t, w_l = paper_weights(p.flatten(), **taus)
    torch.testing.assert_close(w_t, tensors["out/w_t"], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(w_l, tensors["out/w_l"], rtol=1e-6, atol=1e-9)
    for reduction in ("mean", "sum"):
        loss = paper_contrast(v, t, p, scale, **taus, reduction=reduction)  # type: ignore[arg-type]
        torch.testing.assert_close(loss, tensors[f"out/l_align_{reduction}"], rtol=1e-6, atol=1e-9)


# --- oracles --------------------------------------------------------------------------------------------------------

GROUPS = {"naive": None, "apart": [0, 1, 2, 3, 4, 5, 6], "twins": [0, 1, 0, 3, 3, 3, 6]}
REPORTS = {"all": [True] * 7, "some": [True, False, True, True, True, False, True], "one": [False] * 6 + [True]}


def draws(films: int = 7, width: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    v, t = torch.randn(2, films, width, dtype=torch.float64, generator=generator).unbind()
    p = 2 * torch.randn(films, dtype=torch.float64, generator=generator)
    return v.requires_grad_(), t.requires_grad_(), p.requires_grad_()


def compare(ours: Tensor, theirs: Tensor, inputs: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    got = torch.autograd.grad(ours, inputs, allow_unused=True)
    want = torch.autograd.grad(theirs, inputs, allow_unused=True)
    for mine, other in zip(got, want, strict=True):
        assert mine is not None
        torch.testing.assert_close(mine, torch.zeros_like(mine) if other is None else other, rtol=1e-8, atol=1e-11)


def options(groups: str, reports: str) -> tuple[dict[str, Tensor | None], list[int] | None, list[bool]]:
    numbers, has = GROUPS[groups], REPORTS[reports]
    ours = {
        "groups": None if numbers is None else torch.tensor(numbers),
        "has_report": None if reports == "all" else torch.tensor(has),
    }
    return ours, numbers, has


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("reports", REPORTS)
@pytest.mark.parametrize("directions", ["both", "sum", "image"])
def test_against_the_oracles(groups: str, reports: str, directions: Any) -> None:
    v, t, p = draws()
    ours, numbers, has = options(groups, reports)
    scale = torch.tensor(6.0, dtype=torch.float64, requires_grad=True)
    wanted = oracle.clip(v, t, scale, numbers, has, directions)
    compare(clip_contrast(v, t, scale, directions=directions, **ours), wanted, (v, t, scale))
    wanted = oracle.released(v, t, p, scale, numbers, has, directions)
    compare(released_contrast(v, t, p[:, None], scale, directions=directions, **ours), wanted, (v, t, p, scale))


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("reports", REPORTS)
@pytest.mark.parametrize("reduction", ["weighted", "mean", "sum"])
@pytest.mark.parametrize(("d", "directions"), [(7, "image"), (2, "both"), (3, "image")])
def test_the_paper_against_its_oracle(groups: str, reports: str, reduction: Any, d: int, directions: Any) -> None:
    v, t, p = draws()
    ours, numbers, has = options(groups, reports)
    tau3 = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    taus = {"tau1": 1.5, "tau2": 4.0}
    loss = paper_contrast(v, t, p, 1 / tau3, **taus, group_size=d, directions=directions, reduction=reduction, **ours)
    wanted = oracle.paper(
        v, t, p, tau3, **taus, d=d, groups=numbers, has=has, directions=directions, reduction=reduction
    )
    compare(loss, wanted, (v, t, p, tau3))


# --- closed forms and traps -----------------------------------------------------------------------------------------

Loss = Callable[..., Tensor]


def clip(v: Tensor, t: Tensor, p: Tensor, scale: Tensor, **more: Any) -> Tensor:
    return clip_contrast(v, t, scale, **more)


EVERY = pytest.mark.parametrize("loss", [clip, released_contrast, paper_contrast])


@EVERY
def test_equal_vectors_cost_the_logarithm_of_the_choices(loss: Loss) -> None:
    v, p, scale = torch.ones(6, 4), torch.zeros(6), torch.tensor(33.0)
    torch.testing.assert_close(loss(v, v, p, scale), torch.tensor(math.log(6)))
    twins = loss(v, v, p, scale, groups=torch.tensor([0, 0, 0, 1, 1, 1]))
    torch.testing.assert_close(twins, torch.tensor(math.log(4)))  # the own report and three strangers
    assert loss(v, v, p, scale, groups=torch.zeros(6, dtype=torch.int64)) == 0


@EVERY
def test_a_twin_is_no_negative_and_gets_no_gradient_from_its_twin(loss: Loss) -> None:
    v, t, p = (x.detach() for x in draws())
    t.requires_grad_()
    groups = torch.tensor([0, 1, 1, 3, 4, 5, 6])
    has = torch.tensor([False, True, True, False, False, False, False])
    loss(v, t, p, torch.tensor(9.0), groups=groups, has_report=has).backward()
    assert t.grad is not None
    assert not t.grad.any()


@EVERY
def test_a_batch_without_any_report_costs_nothing(loss: Loss) -> None:
    v, t, p = draws()
    scale = torch.tensor(5.0, requires_grad=True)
    cost = loss(v, t, p, scale, has_report=torch.zeros(7, dtype=torch.bool), groups=torch.arange(7))
    assert cost == 0
    cost.backward()
    assert v.grad is not None
    assert not v.grad.any()


@EVERY
@pytest.mark.parametrize("extreme", [-300.0, 300.0])
def test_extremes_stay_finite(loss: Loss, extreme: float) -> None:
    v, t, p = (x.detach().float() for x in draws())
    p[2] = extreme
    v[3] = 0  # a vector without direction
    inputs = [x.requires_grad_() for x in (v, t, p, torch.tensor(100.0))]
    cost = loss(*inputs, groups=torch.arange(7))
    assert torch.isfinite(cost)
    for grad in torch.autograd.grad(cost, inputs, allow_unused=True):
        assert grad is None or torch.isfinite(grad).all()
    assert torch.isfinite(loss(v, t, torch.full((7,), extreme), torch.tensor(33.0)))


@EVERY
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(loss: Loss, half: torch.dtype) -> None:
    v, t, p = (x.detach().to(half) for x in draws(64, 48))
    scale = torch.tensor(100.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = loss(v, t, p, scale)
    assert low.dtype is torch.float32
    torch.testing.assert_close(low, loss(v.float(), t.float(), p.float(), scale), rtol=1e-6, atol=1e-6)


def test_weights_of_the_paper_with_an_incomplete_last_batch() -> None:
    w_t, w_l = paper_weights(torch.zeros(5), tau1=1.0, tau2=16.0, group_size=2)
    torch.testing.assert_close(w_l, torch.tensor([0.5, 0.5, 0.5, 0.5, 1.0]))
    torch.testing.assert_close(w_t, w_l.exp())
