"""Swapped prediction of codes: the slow oracle with gradients, an empty batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hilum.losses.prototype import prototype_alignment
from tests.oracles import medim as oracle


@pytest.mark.parametrize(("samples", "prototypes"), [(1, 3), (4, 3), (6, 10)])
@pytest.mark.parametrize("epsilon", [0.05, 0.5])
def test_equals_the_loops_with_gradients(samples: int, prototypes: int, epsilon: float) -> None:
    torch.manual_seed(samples)
    images, reports, centres = (
        F.normalize(torch.randn(n, 5, dtype=torch.float64), dim=1) for n in (samples, samples, prototypes)
    )
    ours = [x.clone().requires_grad_() for x in (images, reports, centres)]
    slow = [x.clone().requires_grad_() for x in (images, reports, centres)]
    got = prototype_alignment(*ours, temperature=0.3, epsilon=epsilon)
    want = oracle.prototype_loss(slow[0], slow[1], slow[2], 0.3, epsilon)
    torch.testing.assert_close(got, want)
    got.backward()
    want.backward()
    for left, right in zip(ours, slow, strict=True):
        torch.testing.assert_close(left.grad, right.grad)


def test_an_empty_batch_is_no_fault() -> None:
    empty = torch.zeros(0, 5, requires_grad=True)
    loss = prototype_alignment(empty, empty, torch.eye(5))
    loss.backward()
    assert loss == 0
