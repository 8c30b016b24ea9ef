"""Where the time of a step goes: seconds a stage (image, text, loss), read once a step by the training log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class StageClock:
    """Adds up the seconds spent in named stages of a forward pass.

    On a GPU the stages are measured by events on its own stream, so that measuring does not make it wait; they are read
    after the step, when its loss has been read anyway.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._events: list[tuple[str, Any, Any]] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Measure a `with` block as `stage`; nothing while the graph is compiled."""
        if torch.compiler.is_compiling():
            yield
        elif torch.cuda.is_available():
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            first.record()
            yield
            last.record()
            self._events.append((stage, first, last))
        else:
            began = time.perf_counter()
            yield
            self._add(stage, time.perf_counter() - began)

    def read(self) -> dict[str, float]:
        """Seconds of each stage since the last reading."""
        for stage, first, last in self._events:
            self._add(stage, first.elapsed_time(last) / 1000)
        seconds, self._seconds, self._events = self._seconds, {}, []
        return seconds

    def _add(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
