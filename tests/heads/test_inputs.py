"""Inputs in memory, joined and read ahead: the rows asked for, in the order asked for."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from hilum.heads.inputs import Features, HeadInputs, InMemory, Joined, ahead, as_inputs
from hilum.heads.taps import Taps


def pooled(count: int = 5, first: float = 0) -> Tensor:
    return first + torch.arange(count * 2.0).reshape(count, 2)


def taps(count: int = 5, first: float = 0) -> Taps:
    return Taps(pooled(count, first), first + torch.arange(count * 6.0).reshape(count, 3, 2))


def same(one: Features, other: Features) -> bool:
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    assert isinstance(other, Taps)
    pairs = ((one.cls, other.cls), (one.patches, other.patches))
    return all((a is None) == (b is None) and (a is None or b is None or torch.equal(a, b)) for a, b in pairs)


class Far:
    """Not in memory, as far as a caller can see."""

    def __init__(self, features: Features) -> None:
        self.inside, self.threads = InMemory(features), set[int]()
        self.width = self.inside.width

    def __len__(self) -> int:
        return len(self.inside)

    def batch(self, rows: Tensor) -> Features:
        self.threads.add(threading.get_ident())
        if (rows < 0).any():
            raise OSError("the disk is gone")
        return self.inside.batch(rows)


@pytest.mark.parametrize("features", [pooled(), taps(), Taps(pooled(), None)])
def test_in_memory(features: Features) -> None:
    inputs = as_inputs(features)
    assert (len(inputs), inputs.width) == (5, 2)
    rows = torch.tensor([4, 0, 0])
    assert same(inputs.batch(rows), features[rows])
    assert as_inputs(inputs) is inputs


@pytest.mark.parametrize("kind", [pooled, taps, lambda n, first=0: Taps(None, taps(n, first).patches)])
@pytest.mark.parametrize("rows", [[6, 1, 5, 0, 1], [2, 3], [7, 5]])
def test_joined_keeps_the_order_asked_for(kind: type, rows: list[int]) -> None:
    one, other = kind(5), kind(3, 100)
    joined: HeadInputs = Joined(InMemory(one), InMemory(other))
    assert (len(joined), joined.width) == (8, 2)
    batch = joined.batch(torch.tensor(rows))
    for place, row in enumerate(rows):
        whole = one if row < 5 else other
        assert same(batch[place : place + 1], whole[slice(row % 5, row % 5 + 1)])


def test_the_next_batch_is_read_meanwhile_and_faults_arrive() -> None:
    far = Far(pooled())
    batches = [torch.tensor([3]), torch.tensor([1, 2]), torch.tensor([0])]
    for features, rows in zip(ahead(far, batches), batches, strict=True):
        assert same(features, pooled()[rows])
    assert threading.get_ident() not in far.threads
    assert not list(ahead(far, []))
    reading = ahead(far, [torch.tensor([0]), torch.tensor([-1]), torch.tensor([1])])
    next(reading)
    with pytest.raises(OSError, match="the disk is gone"):
        next(reading)
