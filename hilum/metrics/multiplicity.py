"""Many p-values at once: Holm's and Benjamini and Hochberg's adjustment.

Forty findings tested at 0.05 give two "discoveries" by luck alone. Holm keeps the chance of even one false claim below
the level; Benjamini and Hochberg keep the expected share of false ones among the claims below it. Both give adjusted
p-values, to be compared with the level as they are. A test that could not be made (None or NaN) is no test: it stays
None and is not counted among the m.

Sources: Holm 1979, "A simple sequentially rejective multiple test procedure"; Benjamini and Hochberg 1995,
"Controlling the false discovery rate". Referee: statsmodels `multipletests`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values that control the family-wise error: max over i <= k of (m - i + 1) p_(i), at most 1.

    Args:
        p: in [0, 1]; None where a test is undefined.

    Raises:
        ValueError: a p-value lies outside [0, 1].
    """
    return _adjusted(p, lambda rising, m: np.maximum.accumulate(rising * np.arange(m, 0, -1)))


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values that control the false discovery rate: min over i >= k of m p_(i) / i, at most 1.

    Args:
        p: in [0, 1]; None where a test is undefined.

    Raises:
        ValueError: a p-value lies outside [0, 1].
    """
    return _adjusted(p, lambda rising, m: np.minimum.accumulate((rising * (m / np.arange(1, m + 1)))[::-1])[::-1])


def _adjusted(p: Sequence[float | None], stepwise: Callable[[Floats, int], Floats]) -> list[float | None]:
    given = np.array([np.nan if value is None else value for value in p], dtype=np.float64)
    made = np.flatnonzero(~np.isnan(given))
    if ((given[made] < 0) | (given[made] > 1)).any():
        raise ValueError("a p-value lies outside [0, 1]")
    order = made[np.argsort(given[made], kind="stable")]
    found: list[float | None] = [None] * given.size
    for place, value in zip(order, np.minimum(stepwise(given[order], made.size), 1.0), strict=True):
        found[int(place)] = float(value)
    return found
