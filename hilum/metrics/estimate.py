"""A number with its interval and the counts it rests on; an undefined one says why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """One metric as value [low, high]; `value`, `low` and `high` are None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None
    n: int  # images judged (label known)
    n_patients: int  # patients these images belong to
    n_positive: int  # images with the finding
    draws: int  # bootstrap replicates used; fewer than asked for where a replicate had only one class
    reason: str = ""  # why value, low or high is None

    def __str__(self) -> str:
        return interval_text(self.value, self.low, self.high)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """A paired difference "first minus second" on the same images and the same draws."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None  # two-sided bootstrap share: 2 (min(#<=0, #>=0) + 1) / (draws + 1), at most 1
    draws: int  # replicates used
    reason: str = ""

    def __str__(self) -> str:
        return interval_text(self.value, self.low, self.high, signed=True)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


def percentile_interval(replicates: NDArray[np.float64], confidence: float) -> tuple[float | None, float | None, int]:
    """Percentile interval of a statistic's bootstrap replicates (Efron 1979).

    Args:
        replicates: (R,) one value a draw; NaN marks a draw in which the statistic was undefined.
        confidence: coverage in (0, 1).

    Returns:
        low, high (None when no draw is usable) and the number of draws used.
    """
    used = replicates[~np.isnan(replicates)]
    if not used.size:
        return None, None, 0
    tail = (1 - confidence) / 2
    low, high = np.quantile(used, (tail, 1 - tail))
    return float(low), float(high), int(used.size)


def two_sided_share(differences: NDArray[np.float64]) -> float | None:
    """How often the bootstrap puts a difference on the other side of 0, both sides counted, never 0 itself.

    With R usable draws: min(1, 2 (min(#(d <= 0), #(d >= 0)) + 1) / (R + 1)), the "+1" after Davison and
    Hinkley 1997, eq. 4.11.
    """
    used = differences[~np.isnan(differences)]
    if not used.size:
        return None
    fewer = min(int((used <= 0).sum()), int((used >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (used.size + 1))


def interval_text(
    value: float | None, low: float | None, high: float | None, *, signed: bool = False, digits: int = 3
) -> str:
    """`0.853 [0.812, 0.891]`; `undefined` without a value, `[–, –]` without an interval."""
    if value is None:
        return "undefined"
    sign = "+" if signed else ""
    ends = ["–" if end is None else f"{end:{sign}.{digits}f}" for end in (low, high)]
    return f"{value:{sign}.{digits}f} [{', '.join(ends)}]".replace("-", "−" if signed else "-")
