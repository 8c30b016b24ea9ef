"""Class-balanced weights: a class counts by the inverse of its effective number of films.

Paper: Cui et al. 2019, https://arxiv.org/abs/1901.05555, equations 2 and 10. n films of one class overlap, so they are
worth E(n) = (1 - b^n) / (1 - b) different ones: 1 for b = 0, n as b goes to 1. The weight of a class is 1 / E(n), all
weights scaled to the sum of the number of classes. b = 0 leaves the loss as it is.

The paper has exclusive classes. For independent findings each one is two classes here, "present" and "absent", all 2 K
weighed together: a rare finding counts more than a common one, and its few positives more than its many negatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """The one number of the loss."""

    beta: float = 0.9999  # in [0, 1); the paper tries 0.9, 0.99, 0.999 and 0.9999

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        if not 0 <= self.beta < 1:
            raise ConfigError(f"beta must be in [0, 1), not {self.beta}", where="loss_set", fix="The paper has 0.9999")


def effective_number(counts: Floats, beta: float) -> Floats:
    """E(n) of each class: counts (C,) of films, 0 or more -> (C,), 0 for an empty class."""
    return np.asarray(-np.expm1(counts * np.log1p(beta - 1)) / (1 - beta) if beta else np.minimum(counts, 1.0))


def class_balanced_weights(counts: Floats, beta: float) -> Floats:
    """The weight of each class, in sum the number of classes that have films; 0 for one that has none.

    Args:
        counts: (C,) films of each class.
        beta: in [0, 1).
    """
    numbers = effective_number(np.asarray(counts, dtype=np.float64), beta)
    there = numbers > 0
    weights = np.zeros_like(numbers)
    weights[there] = 1 / numbers[there]
    return np.asarray(weights * (there.sum() / weights.sum()) if there.any() else weights)
