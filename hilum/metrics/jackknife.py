"""Patients left out one by one (or group by group): what BCa intervals take their acceleration from.

Up to `GROUPS` patients each is left out once. Of more, equal random groups are: the acceleration is a skewness, which a
thousand groups give to within 0.001, at a fraction of the cost. Results say how many groups there were.

Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", section 14.3 and 11.5 (delete-d jackknife).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.replicates import LANES

GROUPS: Final = 1000


def jackknife_groups(n_patients: int) -> int:
    """How many groups are left out in turn: one patient each, or `GROUPS`."""
    return min(n_patients, GROUPS)


def jackknife_blocks(n_patients: int) -> Iterator[NDArray[np.uint8]]:
    """Everyone but one group, `LANES` groups at a time.

    Yields:
        (n_patients, LANES) counts of 1, and 0 for the group left out; columns beyond the last group are zero.
    """
    groups = jackknife_groups(n_patients)
    member = np.arange(n_patients)
    if groups < n_patients:
        member = np.random.default_rng(0).permutation(n_patients) % groups
    for first in range(0, groups, LANES):
        counts = np.zeros((n_patients, LANES), dtype=np.uint8)
        group = np.arange(first, min(first + LANES, groups))
        counts[:, : group.size] = member[:, None] != group
        yield counts
