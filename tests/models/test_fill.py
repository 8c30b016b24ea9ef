"""Weights fill a network whole or not at all, and misfits are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from hilum.errors import CheckpointError
from hilum.models.fill import check_fit, fill, fits


def test_a_fit_is_copied() -> None:
    weights = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    module = nn.Linear(3, 2)
    assert fits(module, weights)
    fill(module, weights, where="x")
    assert torch.equal(module.weight, weights["weight"])


def test_misfits_are_named_and_nothing_is_copied(tmp_path: Path) -> None:
    module = nn.Linear(4, 2)
    before = module.weight.clone()
    weights = {"weight": torch.zeros(2, 3), "other": torch.zeros(1)}
    for function in (fill, check_fit):
        with pytest.raises(CheckpointError, match="another architecture") as error:
            function(module, weights, where=tmp_path)
        for part in ("bias is missing", "other has no place", "weight is (2, 3) and must be (2, 4)"):
            assert part in str(error.value)
    assert torch.equal(module.weight, before)


def test_weights_that_are_not_finite_do_not_fit() -> None:
    assert not fits(nn.Linear(1, 1), {"weight": torch.tensor([[float("nan")]]), "bias": torch.zeros(1)})
