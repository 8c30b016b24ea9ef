"""The asymmetric loss cell by cell, its limits, and a gradient everywhere."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hilum.errors import ConfigError
from hilum.losses.asymmetric import Asymmetry, asymmetric_cells
from tests.oracles.label_losses import asymmetric_cell

LOGITS = torch.tensor([[-6.0, -2.5, -1.0], [0.0, 0.7, 3.0]], dtype=torch.float64)
TARGETS = torch.tensor([[0.0, 1.0, 0.0], [0.3, 0.0, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize("numbers", [(0.0, 4.0, 0.05), (1.0, 4.0, 0.2), (2.0, 2.0, 0.0), (0.5, 0.0, 0.1)])
def test_every_cell_is_the_papers(numbers: tuple[float, float, float]) -> None:
    got = asymmetric_cells(LOGITS, TARGETS, Asymmetry(*numbers))
    for row in range(2):
        for column in range(3):
            expected = asymmetric_cell(float(LOGITS[row, column]), float(TARGETS[row, column]), *numbers)
            assert float(got[row, column]) == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_without_exponents_and_margin_it_is_cross_entropy() -> None:
    plain = F.binary_cross_entropy_with_logits(LOGITS, TARGETS, reduction="none")
    torch.testing.assert_close(asymmetric_cells(LOGITS, TARGETS, Asymmetry(0.0, 0.0, 0.0)), plain)


def test_easy_negatives_cost_nothing_and_extremes_stay_finite() -> None:
    logits = torch.tensor([[-4.0, -200.0, 200.0]], requires_grad=True)  # p = 0.018 lies below the margin
    cells = asymmetric_cells(logits, torch.zeros(1, 3), Asymmetry(0.5, 0.5, 0.05))
    cells.sum().backward()
    assert logits.grad is not None
    assert cells[0, :2].max() < 1e-9
    assert (logits.grad[0, :2] == 0).all()
    assert cells.isfinite().all()
    assert logits.grad.isfinite().all()


def test_faults() -> None:
    with pytest.raises(ConfigError, match="exponents must be 0 or more"):
        Asymmetry(negative=-1.0)
    with pytest.raises(ConfigError, match=r"margin must be in \[0, 1\), not 1"):
        Asymmetry(margin=1.0)
