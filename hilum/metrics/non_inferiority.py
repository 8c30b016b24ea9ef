"""Is the first at most a margin worse than the second? The verdict that an interval of the difference allows.

"No significant difference" is no evidence of equality. Non-inferiority asks for a margin, named before the data are
seen, and for an interval of the difference (first minus second, larger = better) that lies wholly above its negative.

Source: Piaggio et al. 2012, "Reporting of noninferiority and equivalence randomized trials" (CONSORT extension),
figure 1: the same cases by the place of the interval.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from hilum.metrics.estimate import Difference

Verdict = Literal["superior", "non-inferior", "inferior", "inconclusive", "undefined"]


@dataclass(frozen=True)
class NonInferiority:
    """A verdict with what it rests on."""

    verdict: Verdict
    margin: float
    low: float | None  # lower end of the interval of the difference: what is compared with -margin
    high: float | None
    reason: str = ""  # why the verdict is "undefined"

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"undefined: {self.reason}"
        return f"{self.verdict} at a margin of {self.margin:g}: interval from {self.low:+.3f} to {self.high:+.3f}"

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


def non_inferiority(difference: Difference, margin: float) -> NonInferiority:
    """Judge a paired difference against a margin.

    The ends of a two-sided 95 % interval give a one-sided test at 2.5 %.

    Args:
        difference: first minus second of a metric of which more is better.
        margin: the largest loss that would still be accepted, above 0, in units of the metric.

    Returns:
        "superior" (whole interval above 0), "non-inferior" (above -margin), "inferior" (below -margin),
        "inconclusive" (the interval holds -margin), or "undefined" without an interval.

    Raises:
        ValueError: the margin is not above 0.
    """
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, got {margin}")
    low, high = difference.low, difference.high
    if low is None or high is None:
        return NonInferiority("undefined", margin, None, None, difference.reason or "no interval")
    if low > 0:
        return NonInferiority("superior", margin, low, high)
    if low > -margin:
        return NonInferiority("non-inferior", margin, low, high)
    return NonInferiority("inferior" if high < -margin else "inconclusive", margin, low, high)
