"""Where a head's training data lies: in memory, on disk, or still to be computed by the encoder.

All three show one face, so a head trains by the same code from each (`grid.py`). Here are the face, the one in memory,
and two sets joined; the stored and the computed ones are in `evaluation/head_inputs.py`, since they know encoders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from hilum.heads.taps import Taps

Features = Tensor | Taps  # (B, D) pooled, or taps


class HeadInputs(Protocol):
    """Features of N films, by row number."""

    def __len__(self) -> int:
        """N films."""
        ...

    @property
    def width(self) -> int:
        """Channels of what is read, as a head is built with: D, or n * D for taps of n blocks."""
        ...

    def batch(self, rows: Tensor) -> Features:
        """Features of some films: rows (B,) int64 on the CPU -> a floating tensor (B, width) or taps, on one device.

        The same row gives the same numbers whenever it is asked for, in whatever company.
        """
        ...


class InMemory:
    """Features that are there already.

    Args:
        features: (N, D), or taps of N films.
    """

    def __init__(self, features: Features) -> None:
        self.features = features
        self._like = features.any if isinstance(features, Taps) else features

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """Channels."""
        return self._like.shape[-1]

    def batch(self, rows: Tensor) -> Features:
        """Some rows, where the features lie."""
        return self.features[rows.to(self._like.device)]


class Joined:
    """Two sets as one, the second's rows behind the first's: training and validation films of a second round."""

    def __init__(self, first: HeadInputs, second: HeadInputs) -> None:
        assert first.width == second.width
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @property
    def width(self) -> int:
        """Channels of either."""
        return self.first.width

    def at_epoch(self, epoch: int) -> Joined:
        """Both as they are in one epoch."""
        return Joined(of_epoch(self.first, epoch), of_epoch(self.second, epoch))

    def batch(self, rows: Tensor) -> Features:
        """Rows of both, in the order asked for."""
        late = rows >= len(self.first)
        if not late.any():
            return self.first.batch(rows)
        if late.all():
            return self.second.batch(rows - len(self.first))
        parts = self.first.batch(rows[~late]), self.second.batch(rows[late] - len(self.first))
        back = torch.cat([torch.nonzero(~late), torch.nonzero(late)]).flatten().argsort()
        return _concatenated(*parts)[back.to(_any(parts[0]).device)]


def as_inputs(features: Features | HeadInputs) -> HeadInputs:
    """Plain features count as inputs in memory."""
    return InMemory(features) if isinstance(features, Tensor | Taps) else features


def of_epoch(inputs: HeadInputs, epoch: int) -> HeadInputs:
    """What is learned from in one epoch: inputs that change, such as augmented films, say so by an `at_epoch`."""
    at: HeadInputs = getattr(inputs, "at_epoch", lambda _: inputs)(epoch)
    return at


def ahead(inputs: HeadInputs, batches: Sequence[Tensor]) -> Iterator[Features]:
    """The features of each batch of rows, in order; the next is read while the caller works on this one."""
    if isinstance(inputs, InMemory) or len(batches) < 2:
        yield from map(inputs.batch, batches)
        return
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(inputs.batch, batches[0])
        for rows in batches[1:]:
            here, coming = coming.result(), reader.submit(inputs.batch, rows)
            yield here
        yield coming.result()


def _any(features: Features) -> Tensor:
    return features.any if isinstance(features, Taps) else features


def _concatenated(one: Features, other: Features) -> Features:
    if isinstance(one, Tensor):
        assert isinstance(other, Tensor)
        return torch.cat([one, other])
    assert isinstance(other, Taps)
    pairs = ((one.cls, other.cls), (one.patches, other.patches))
    return Taps(*(None if a is None or b is None else torch.cat([a, b]) for a, b in pairs))
