"""The moving average in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hilum.models.ema import Ema


def test_follows_by_the_formula() -> None:
    source = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = Ema(source, decay=0.9)
    start = source[0].weight.detach().clone()
    assert torch.equal(average.module[0].weight, start)
    with torch.no_grad():
        source[0].weight.add_(1.0)
        source[1].running_mean.fill_(7.0)
    average.update(source)
    torch.testing.assert_close(average.module[0].weight, start + 0.1)
    assert average.module[1].running_mean.tolist() == [7.0, 7.0]  # buffers are copied
    average.update(source, decay=0.0)
    torch.testing.assert_close(average.module[0].weight, source[0].weight.detach())


@pytest.mark.parametrize("steps", [1, 20])
def test_forgets_geometrically(steps: int) -> None:
    source = nn.Linear(1, 1, bias=False)
    average = Ema(source, decay=0.8)
    start = source.weight.item()
    with torch.no_grad():
        source.weight.fill_(5.0)
    for _ in range(steps):
        average.update(source)
    assert average.module.weight.item() == pytest.approx(5 + (start - 5) * 0.8**steps, rel=1e-5)


def test_takes_no_gradient_and_leaves_the_source_alone() -> None:
    source = nn.Linear(2, 2)
    average = Ema(source, decay=0.5)
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in source.parameters())
    assert not average.module.training
