"""Subjects with a follow-up for the tests, and the referee: lifelines, skipped with a reason where it is absent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest


class Subjects(NamedTuple):
    time: np.ndarray
    event: np.ndarray  # 0, 1 and, where asked for, 2
    score: np.ndarray


def drawn(seed: int, n: int = 60, *, censored: float = 0.5, competing: float = 0.0, digits: int | None = 0) -> Subjects:
    """Exponential times whose rate rises with the score; `digits` 0 gives whole days, hence many ties."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.normal(size=n), 1)
    time = rng.exponential(30, n) * np.exp(-0.7 * score)
    time = time + 1 if digits is None else np.round(time, digits) + 1
    event = np.where(rng.random(n) < censored, 0, np.where(rng.random(n) < competing, 2, 1))
    return Subjects(time, event, score)


def lifelines(part: str = "lifelines") -> ModuleType:
    """lifelines or a part of it."""
    return pytest.importorskip(part, reason="lifelines, the referee of survival metrics, is not installed")


@contextmanager
def referee_speaks() -> Iterator[None]:
    """lifelines divides by zero where nothing is defined, and calls pandas in ways that pandas warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


CASES = {
    "ties": drawn(0),
    "no ties": drawn(1, digits=None),
    "95 % censored": drawn(2, 400, censored=0.95),
    "everybody dies": drawn(3, 40, censored=0.0),
    "all censored": drawn(4, 30, censored=1.0),
    "one subject": Subjects(np.array([7]), np.array([1]), np.array([0.2])),
    "big times": Subjects(drawn(5).time.astype(np.int64) * 10**9, drawn(5).event, drawn(5).score),
    "time 0": Subjects(np.array([0, 0, 3, 5, 5]), np.array([1, 0, 1, 0, 1]), np.array([3.0, 1, 2, 0, 2])),
}
