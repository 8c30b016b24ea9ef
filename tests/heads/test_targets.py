"""Losses with unknown labels against plain formulas; unknown cells have no gradient."""

from __future__ import annotations

import math

import pytest
import torch

from hilum.heads.targets import probabilities, target_loss

NAN = math.nan


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_multilabel_is_the_mean_over_known_cells(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    targets = torch.tensor([[1, 0, NAN], [NAN, NAN, NAN], [0, 0, 1], [1, NAN, 0], [NAN, 1, 1]], dtype=torch.float64)
    terms = []
    for row in range(5):
        for column in range(3):
            y = float(targets[row, column])
            if not math.isnan(y):
                y, p = y * (1 - smoothing) + smoothing / 2, 1 / (1 + math.exp(-float(logits[row, column])))
                terms.append(-(y * math.log(p) + (1 - y) * math.log(1 - p)))
    got = target_loss(logits, targets, smoothing=smoothing)
    assert float(got) == pytest.approx(sum(terms) / len(terms), rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_multiclass_is_the_mean_over_known_rows(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    targets = torch.tensor([[0, 1, 0, 0], [NAN] * 4, [0, 0, 0, 1]], dtype=torch.float64)
    terms = []
    for row, known in ((0, 1), (2, 3)):
        total = math.log(sum(math.exp(float(z)) for z in logits[row]))
        logs = [float(z) - total for z in logits[row]]
        terms.append(-sum(((1 - smoothing) * (c == known) + smoothing / 4) * logs[c] for c in range(4)))
    got = target_loss(logits, targets, kind="multiclass", smoothing=smoothing)
    assert float(got) == pytest.approx(sum(terms) / 2, rel=1e-12)


@pytest.mark.parametrize("kind", ["multilabel", "multiclass"])
def test_unknown_cells_have_zero_gradient_and_do_not_poison_the_others(kind: str) -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(2)).requires_grad_()
    targets = torch.tensor([[1, 0, 0], [NAN, NAN, NAN], [0, 1, 0], [NAN, NAN, NAN]])
    if kind == "multilabel":
        targets[0, 2] = NAN
    target_loss(logits, targets, kind=kind).backward()  # type: ignore[arg-type]
    assert logits.grad is not None
    unknown = targets.isnan()
    assert (logits.grad[unknown] == 0).all()
    assert (logits.grad[~unknown] != 0).all()


def test_nothing_known_costs_nothing() -> None:
    logits = torch.ones(2, 3, requires_grad=True)
    loss = target_loss(logits, torch.full((2, 3), NAN))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_a_grid_of_logits_gives_a_loss_each() -> None:
    logits = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(3))
    targets = torch.tensor([[1, 0, NAN], [0, 0, 1], [1, 1, 1], [0, NAN, 0]])
    each = torch.stack([target_loss(one, targets) for one in logits])
    torch.testing.assert_close(target_loss(logits, targets), each)


def test_probabilities() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)]])
    torch.testing.assert_close(probabilities(logits), torch.tensor([[0.5, 0.75]]))
    torch.testing.assert_close(probabilities(logits, "multiclass"), torch.tensor([[0.25, 0.75]]))
