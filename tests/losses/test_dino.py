"""The DINO loss and its centre: the golden file, the slow oracle with gradients, closed forms, two ranks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.losses.dino import Center, dino_loss
from hilum.losses.gather import rank, world
from hilum.losses.sinkhorn import sinkhorn
from tests.oracles import dino as oracle
from tests.processes import in_processes


@pytest.fixture
def golden(shared: Path) -> dict[str, Tensor]:
    return {name: torch.from_numpy(x) for name, x in np.load(shared / "golden/chexfound/losses.npz").items()}


@pytest.fixture
def sizes(shared: Path) -> dict[str, float]:
    config: dict[str, float] = json.loads((shared / "golden/chexfound/losses.json").read_text())["config"]
    return config


def near(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("targets", ["sinkhorn", "softmax"])
def test_golden_loss(golden: dict[str, Tensor], sizes: dict[str, float], targets: str) -> None:
    logits = golden["in/teacher_cls"]
    if targets == "sinkhorn":
        codes = sinkhorn(logits, epsilon=sizes["teacher_temp"])
    else:
        center = Center(logits.shape[1])
        center.center.copy_(golden["in/cls_center"])
        codes = center.targets(logits, sizes["teacher_temp"])
        near(codes, golden["out/cls_softmax_center"])
    students = [golden[f"in/student_cls/{n}"] for n in range(3)]
    got = dino_loss(students, codes.view(2, 4, -1).unbind(), temperature=sizes["student_temp"])
    near(got, golden[f"out/dino_loss_3students_2teachers_{targets}"])


@pytest.mark.parametrize("of", ["cls", "patch"])
def test_golden_center(golden: dict[str, Tensor], sizes: dict[str, float], of: str) -> None:
    logits = golden[f"in/teacher_{of}"]
    center = Center(logits.shape[1], momentum=sizes["center_momentum"])
    center.center.copy_(golden[f"in/{of}_center"].view(1, -1))
    near(center.targets(logits, sizes["teacher_temp"]), golden[f"out/{of}_softmax_center"])
    center.update(logits)
    near(center.center, golden[f"out/{of}_center_after"].view(1, -1))


@pytest.mark.parametrize(("students", "teachers"), [(1, 1), (3, 2)])
def test_equals_the_loops_with_gradients(students: int, teachers: int) -> None:
    torch.manual_seed(0)
    logits = [torch.randn(4, 6, dtype=torch.float64) for _ in range(students)]
    targets = [torch.randn(4, 6, dtype=torch.float64).softmax(1) for _ in range(teachers)]
    ours, slow = ([x.clone().requires_grad_() for x in logits] for _ in range(2))
    got, want = dino_loss(ours, targets, temperature=0.2), oracle.dino(slow, targets, 0.2)
    torch.testing.assert_close(got, want)
    got.backward()
    want.backward()
    for mine, theirs in zip(ours, slow, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)


def test_center_equals_the_loops() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 7, dtype=torch.float64)
    center = Center(7, momentum=0.6).double()
    center.center.normal_()
    before = center.center.clone()
    torch.testing.assert_close(center.targets(logits, 0.07), oracle.centred_targets(logits, before[0], 0.07))
    center.update(logits)
    torch.testing.assert_close(center.center[0], oracle.moved_centre(before[0], logits, 0.6))
    assert list(center.state_dict()) == ["center"]


def test_closed_forms() -> None:
    uniform = torch.full((3, 8), 1 / 8)
    loss = dino_loss([torch.zeros(3, 8)] * 2, [uniform] * 2)
    torch.testing.assert_close(loss, torch.tensor(4 * math.log(8)))
    targets = torch.randn(3, 8, dtype=torch.float64).softmax(1)
    agreed = (0.1 * targets.log()).requires_grad_()  # the student says what the teacher says: entropy, no gradient
    loss = dino_loss([agreed], [targets])
    torch.testing.assert_close(loss, -(targets * targets.log()).sum(1).mean())
    loss.backward()
    torch.testing.assert_close(agreed.grad, torch.zeros_like(targets), atol=1e-12, rtol=0)


def test_nothing_to_learn_from_is_zero() -> None:
    assert dino_loss([], [torch.ones(2, 3)]) == 0
    empty = torch.zeros(0, 3, requires_grad=True)
    loss = dino_loss([empty], [torch.zeros(0, 3)])
    loss.backward()
    assert loss == 0
    center = Center(3)
    center.center.fill_(2.0)
    center.update(torch.zeros(0, 3))
    assert center.center.equal(torch.full((1, 3), 2.0))


def test_half_precision_is_computed_in_float32() -> None:
    torch.manual_seed(0)
    student, logits = torch.randn(2, 4, 30).bfloat16().unbind()
    center = Center(30)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        targets = center.targets(logits, 0.05)
        loss = dino_loss([student], [targets])
        center.update(logits)
    assert targets.dtype is loss.dtype is center.center.dtype is torch.float32
    exact = dino_loss([student.float()], [(logits.float() / 0.05).softmax(1)])
    torch.testing.assert_close(loss, exact, rtol=1e-6, atol=0)
    torch.testing.assert_close(center.center, 0.1 * logits.float().mean(0, keepdim=True))


# --- over ranks -----------------------------------------------------------------------------------------------------


def over_ranks() -> dict[str, Tensor]:
    """Loss, gradient of a shared projection, and centre of six films; then of a batch that rank 0 has no row of."""
    torch.manual_seed(0)
    films, view, teacher, projection = torch.randn(6, 5), torch.randn(6, 5), torch.randn(6, 9), torch.randn(5, 9)
    projection.requires_grad_()
    rows = slice(rank() * 6 // world(), (rank() + 1) * 6 // world())
    center = Center(9)
    codes = sinkhorn(teacher[rows], epsilon=0.3, gathered=True)
    loss = dino_loss([films[rows] @ projection, view[rows] @ projection], [codes], temperature=0.5)
    loss.backward()
    uneven = slice(None) if world() == 1 else [slice(0, 1), slice(1, 6)][rank()]
    center.update(teacher[uneven])
    once = center.center.clone()
    center.update(teacher if rank() == world() - 1 else teacher[:0])
    assert projection.grad is not None
    return {"loss": loss, "gradient": projection.grad, "once": once, "twice": center.center}


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    alone = over_ranks()
    ranks = in_processes("tests.losses.test_dino:over_ranks", tmp_path)
    for name in ("loss", "gradient"):
        torch.testing.assert_close(
            torch.stack([one[name] for one in ranks]).mean(0), alone[name], rtol=1e-6, atol=1e-6, msg=name
        )
    for one in ranks:
        for name in ("once", "twice"):
            torch.testing.assert_close(one[name], alone[name], rtol=1e-6, atol=1e-6, msg=name)
