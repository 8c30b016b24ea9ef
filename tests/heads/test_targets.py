"""Losses with unknown labels against plain formulas; unknown cells have no gradient."""

from __future__ import annotations

import math

import pytest
import torch

from hilum.errors import ConfigError
from hilum.heads.targets import LabelLoss, LossName, check_loss, probabilities, target_loss
from tests.oracles import label_losses as oracle

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


def some_targets() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, 30, 3) of two heads and targets (30, 3) of which a quarter is blank; the last finding is rare."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 30, 3, generator=generator, dtype=torch.float64)
    targets = (torch.rand(30, 3, generator=generator) < torch.tensor([0.5, 0.3, 0.1])).double()
    targets[torch.rand(30, 3, generator=generator) < 0.25] = NAN
    return logits, targets


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("name", ["bce", "class-balanced", "asymmetric"])
def test_every_loss_against_its_oracle(name: LossName, total: bool) -> None:
    logits, targets = some_targets()
    options = {"class-balanced": {"beta": 0.9}, "asymmetric": {"positive": 1.0, "margin": 0.1}}.get(name, {})
    got = LabelLoss.make(targets, name=name, options=options, smoothing=0.1, total=total)(logits, targets)
    counts = [int((targets[:, k] == y).sum()) for y in (1, 0) for k in range(3)]
    weights = oracle.balanced_weights(counts, 0.9)

    def cell(z: float, y: float, k: int) -> float:
        soft = 0.9 * y + 0.05
        numbers = (1.0, 4.0, 0.1) if name == "asymmetric" else (0.0, 0.0, 0.0)
        plain = oracle.asymmetric_cell(z, soft, *numbers)  # all three 0: cross-entropy
        return plain * (y * weights[k] + (1 - y) * weights[3 + k]) if name == "class-balanced" else plain

    known = int((~targets.isnan()).sum())
    for head in range(2):
        rows = [[float(z) for z in row] for row in logits[head]]
        plain = [[float(y) for y in row] for row in targets]
        cells = [[0.0 if math.isnan(y) else cell(z, y, k) for k, (z, y) in enumerate(zip(*pair, strict=True))]
                 for pair in zip(rows, plain, strict=True)]  # fmt: skip
        expected = oracle.mean_over_known(cells, plain) * (known if total else 1)
        assert float(got[head]) == pytest.approx(expected, rel=1e-7)


def test_classes_are_weighed_by_row() -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.eye(3, dtype=torch.float64)[torch.tensor([0, 0, 0, 1, 1, 2])]
    targets[2] = NAN
    loss = LabelLoss.make(targets, kind="multiclass", name="class-balanced", options={"beta": 0.5})
    weights = oracle.balanced_weights([2, 2, 1], 0.5)
    rows = [-weights[c] * float(logits[r].log_softmax(-1)[c]) for r, c in ((0, 0), (1, 0), (3, 1), (4, 1), (5, 2))]
    assert float(loss(logits, targets)) == pytest.approx(sum(rows) / 5, rel=1e-12)


@pytest.mark.parametrize("name", ["class-balanced", "asymmetric"])
def test_no_loss_gives_an_unknown_cell_a_gradient_in_any_head(name: LossName) -> None:
    logits, targets = some_targets()
    logits.requires_grad_()
    LabelLoss.make(targets, name=name)(logits, targets).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[:, targets.isnan()] == 0).all()
    assert (logits.grad[:, targets == 1] != 0).all()


def test_losses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown loss 'focal'"):
        check_loss("multilabel", "focal", {})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="asymmetric loss is for independent findings"):
        check_loss("multiclass", "asymmetric", {})
    with pytest.raises(ConfigError, match="beta belongs to another loss than bce"):
        check_loss("multilabel", "bce", {"beta": 0.9})
    with pytest.raises(ConfigError, match="unknown option 'gamma'"):
        check_loss("multilabel", "asymmetric", {"gamma": 2.0})
