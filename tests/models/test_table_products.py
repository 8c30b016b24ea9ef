"""The branch-free resizing of a position table equals PyTorch's for every rule, larger, smaller and the same."""

from __future__ import annotations

import pytest
import torch

from hilum.models.positions import _OFFSET, RESIZE_RULES, resize_table
from hilum.models.table_products import resize_by_products

SOURCE = (7, 5)


@pytest.mark.parametrize("rule", RESIZE_RULES)
@pytest.mark.parametrize("target", [(7, 5), (7, 8), (3, 5), (14, 10), (4, 2), (1, 1), (19, 3)])
def test_products_equal_the_interpolation(rule: str, target: tuple[int, int]) -> None:
    torch.manual_seed(0)
    table = torch.randn(1, 1 + 35, 6)
    expected = resize_table(table, SOURCE, target, prefix=1, rule=rule)  # type: ignore[arg-type]
    made = resize_by_products(table, SOURCE, target, prefix=1, rule=rule, offset=_OFFSET)
    torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
    assert torch.equal(made[:, :1], table[:, :1])


@pytest.mark.parametrize("rule", RESIZE_RULES)
def test_a_grid_that_stays_is_not_touched(rule: str) -> None:
    table = torch.randn(1, 35, 6)
    assert torch.equal(resize_by_products(table, SOURCE, SOURCE, prefix=0, rule=rule, offset=_OFFSET), table)


def test_the_dtype_stays() -> None:
    table = torch.randn(1, 35, 6).to(torch.bfloat16)
    assert resize_by_products(table, SOURCE, (3, 3), prefix=0, rule="bicubic", offset=0.1).dtype is torch.bfloat16
