"""Which patches are visible."""

from __future__ import annotations

import pytest
import torch

from hilum.models.masking import order_by_noise, visible_count
from tests.oracles.mae import mask_of


@pytest.mark.parametrize(
    ("patches", "ratio", "visible"), [(196, 0.75, 49), (16, 0.75, 4), (36, 0.5, 18), (10, 0.99, 0)]
)
def test_count(patches: int, ratio: float, visible: int) -> None:
    assert visible_count(patches, ratio) == visible


def test_order_equals_sorting_and_breaks_ties_by_number() -> None:
    noise = torch.rand(3, 20)
    noise[:, ::4] = 0.5
    order = order_by_noise(noise)
    kept, _ = mask_of(noise, 0.6)
    assert order[:, : visible_count(20, 0.6)].tolist() == kept
    assert torch.equal(order.gather(1, order.argsort(1)), torch.arange(20).expand(3, -1))


def test_every_patch_is_hidden_equally_often() -> None:
    noise = torch.rand(4000, 8, generator=torch.Generator().manual_seed(0))
    share = torch.zeros(4000, 8).scatter(1, order_by_noise(noise)[:, :2], 1.0).mean(0)
    assert (share - 0.25).abs().max() < 0.03  # 4 standard errors are 0.027
