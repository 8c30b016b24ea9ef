"""A number with its interval and the counts it rests on; an undefined one says why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

ENOUGH_DRAWS: Final = 100  # below, a 95 % interval rests on the two or three most extreme draws
TIE: Final = 1e-12  # two values this close are equal: sums in another order differ by less
NO_DRAW: Final = "no usable draw: no interval"
NO_BCA: Final = "all draws lie on one side of the value, or nothing is left without a patient: no BCa interval"


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
    p: float | None  # two-sided: of the bootstrap (`two_sided_share`), or of the normal law where `draws` is 0
    draws: int  # replicates used; 0 where the interval has a formula (DeLong)
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


def bca_interval(
    point: float, replicates: NDArray[np.float64], jackknife: NDArray[np.float64], confidence: float
) -> tuple[float | None, float | None, int]:
    """Bias-corrected and accelerated interval (Efron 1987): percentiles moved for bias and skewness.

    z0 = Phi^-1(share of replicates below the point, equal ones half), a = sum d^3 / (6 (sum d^2)^1.5) with d the
    jackknife's mean minus its values, and each tail z becomes Phi(z0 + (z0 + z) / (1 - a (z0 + z))).

    Args:
        point: the statistic on the data themselves.
        replicates: (R,) one value a draw; NaN marks a draw in which the statistic was undefined.
        jackknife: (G,) the statistic without each patient, or group of patients, in turn; NaN where undefined.
        confidence: coverage in (0, 1).

    Returns:
        low, high and the number of draws used. Both ends are None when no draw is usable, when all draws lie on one
        side of the point, or when fewer than two jackknife values are defined: then there is no such interval.
    """
    used, left = replicates[~np.isnan(replicates)], jackknife[~np.isnan(jackknife)]
    if not used.size or left.size < 2 or np.isnan(point):
        return None, None, int(used.size)
    tie = TIE * max(1.0, abs(point))  # equal but for the order of a sum
    if (np.abs(used - point) <= tie).all():
        return float(point), float(point), int(used.size)
    share = ((used < point - tie).sum() + (used <= point + tie).sum()) / (2 * used.size)
    if not 0 < share < 1:
        return None, None, int(used.size)
    off = left.mean() - left
    spread = (off**2).sum()
    # leaving out no matter whom changes nothing: no skewness to correct
    acceleration = (off**3).sum() / (6 * spread**1.5) if spread > 1e-24 else 0.0
    z0, tail = norm.ppf(share), norm.ppf((1 - confidence) / 2)
    along = z0 + np.array([tail, -tail])
    if (acceleration * along >= 1).any():
        return None, None, int(used.size)
    low, high = np.quantile(used, norm.cdf(z0 + along / (1 - acceleration * along)))
    return float(low), float(high), int(used.size)


def interval_of(
    point: float, replicates: NDArray[np.float64], jackknife: NDArray[np.float64] | None, confidence: float
) -> tuple[float | None, float | None, int, str]:
    """Percentile interval, or BCa where a jackknife is given: low, high, draws used, and why there is no interval."""
    if jackknife is None:
        low, high, used = percentile_interval(replicates, confidence)
    else:
        low, high, used = bca_interval(point, replicates, jackknife, confidence)
    if low is not None:
        return low, high, used, ""
    return None, None, used, NO_BCA if used else NO_DRAW


def few_draws(draws: int, asked: int | None = None) -> str:
    """What a page must say of an interval from fewer than 100 usable draws; empty when there are enough.

    Args:
        draws: replicates used, `Estimate.draws`.
        asked: replicates asked for.
    """
    if draws >= ENOUGH_DRAWS:
        return ""
    of = "" if asked is None or asked == draws else f" of {asked:,}"
    noun = "draw" if draws == 1 and not of else "draws"
    return (
        f"Only {draws}{of} {noun} could be used: fewer than {ENOUGH_DRAWS}, so the ends of this interval are guesses."
    )


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
