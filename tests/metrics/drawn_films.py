"""Labels, two models' scores and patients for the tests of the statistics, at random and by hypothesis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

quick = settings(max_examples=25, deadline=None)


class Films(NamedTuple):
    labels: np.ndarray  # (N,) 1, 0, NaN
    first: np.ndarray  # (N,) probabilities, coarse: many ties
    second: np.ndarray
    patients: np.ndarray  # (N,) str
    groups: np.ndarray  # (N,) str

    def take(self, rows: np.ndarray | list[int]) -> Films:
        return Films(*(column[rows] for column in self))


def drawn(seed: int = 0, n: int = 80, *, blank: float = 0.1, strength: float = 1.0) -> Films:
    """Two models of which the first is better; about two images a patient."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(float)
    first, second = (np.round(1 / (1 + np.exp(-rng.normal(2 * s * labels - 1))), 2) for s in (strength, strength / 2))
    labels[rng.random(n) < blank] = np.nan
    patients = np.array([f"p{i:03d}" for i in rng.integers(n // 2, size=n)])
    return Films(labels, first, second, patients, np.array(["F", "M", "O"])[rng.integers(3, size=n)])


probabilities = st.integers(0, 20).map(lambda i: i / 20)
films = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, 1.0, 0.0, float("nan")]),
        probabilities,
        probabilities,
        st.integers(0, 9).map(lambda i: f"p{i}"),
        st.sampled_from("FMO"),
    ),
    max_size=24,
).map(lambda rows: Films(*(np.array(column) for column in zip(*rows, strict=True))) if rows else nothing())


def nothing() -> Films:
    return Films(np.empty(0), np.empty(0), np.empty(0), np.empty(0, dtype=str), np.empty(0, dtype=str))
