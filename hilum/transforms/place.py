"""Where a film stands in its global batch, for the few draws that belong to a batch and not to a film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """A film's place; every device and loader process computes the same one from the step."""

    step: int  # optimizer step
    index: int  # of the film among those that share a draw, in [0, count)
    count: int  # films that share it: the global batch, or one device's share of it
    seed: int  # of the run

    def generator(self, *key: int) -> np.random.Generator:
        """A generator that every film of the batch gets alike; `key` tells apart what is drawn."""
        return np.random.default_rng([self.seed, self.step, *key])
