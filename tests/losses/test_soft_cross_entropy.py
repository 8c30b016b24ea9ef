"""Cross-entropy with soft targets: the slow oracle with gradients, gradcheck, closed forms, pieces, half precision."""

from __future__ import annotations

import math

import pytest
import torch

from hilum.losses import sinkhorn as pieces
from hilum.losses.soft_cross_entropy import soft_cross_entropy
from tests.oracles import dino as oracle


@pytest.mark.parametrize(("samples", "prototypes"), [(1, 1), (1, 5), (5, 7)])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equals_the_loops_with_gradients(
    samples: int, prototypes: int, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 2 * prototypes)
    torch.manual_seed(0)
    ours, theirs = (torch.randn(samples, prototypes, dtype=torch.float64) for _ in range(2))
    theirs = ours.clone().requires_grad_()
    ours.requires_grad_()
    targets = 2 * torch.rand(samples, prototypes, dtype=torch.float64)  # rows need not sum to 1
    shares = torch.rand(samples, dtype=torch.float64)
    got = soft_cross_entropy(ours, targets, temperature)
    want = torch.stack([oracle.cross_entropy(s, t, temperature) for s, t in zip(theirs, targets, strict=True)])
    torch.testing.assert_close(got, want)
    (got * shares).sum().backward()
    (want * shares).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-12)


def test_gradcheck() -> None:
    torch.manual_seed(0)
    student = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(4, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: soft_cross_entropy(s, targets, 0.5), student)


def test_closed_forms() -> None:
    uniform = torch.full((3, 8), 1 / 8)
    flat = torch.zeros(3, 8, requires_grad=True)
    loss = soft_cross_entropy(flat, uniform, 0.1)
    torch.testing.assert_close(loss, torch.full((3,), math.log(8)))
    loss.sum().backward()
    torch.testing.assert_close(flat.grad, torch.zeros(3, 8))
    one = soft_cross_entropy(torch.randn(3, 1), torch.ones(3, 1), 0.1)  # one prototype: nothing to choose
    torch.testing.assert_close(one, torch.zeros(3))


def test_extremes_and_no_sample() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = soft_cross_entropy(logits, torch.tensor([[0.0, 1.0, 0.0]]), 0.1)
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.tensor([2e5]))
    torch.testing.assert_close(logits.grad, torch.tensor([[10.0, -10.0, 0.0]]))
    nobody = torch.zeros(0, 3, requires_grad=True)
    loss = soft_cross_entropy(nobody, torch.zeros(0, 3), 0.1).sum()
    loss.backward()
    assert loss == 0
    assert nobody.grad is not None
    assert nobody.grad.shape == (0, 3)


def test_half_precision_is_computed_in_float32_and_kept_as_it_came() -> None:
    torch.manual_seed(0)
    half = torch.randn(4, 50, dtype=torch.bfloat16, requires_grad=True)
    targets = torch.randn(4, 50).softmax(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = soft_cross_entropy(half, targets, 0.1)
    full = half.detach().float().requires_grad_()
    same = soft_cross_entropy(full, targets, 0.1)
    assert loss.equal(same)
    kept = [tensor.numel() for tensor in loss.grad_fn.saved_tensors]  # type: ignore[union-attr]
    assert sorted(kept) == [4, 4, 200, 200]  # two numbers a sample beside the logits and targets themselves
    loss.sum().backward()
    same.sum().backward()
    assert half.grad is not None
    assert full.grad is not None
    assert half.grad.equal(full.grad.bfloat16())
