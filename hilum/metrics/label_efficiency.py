"""What a curve of metric against label fraction comes to: its area, and the labels needed to reach a value.

Fractions are spaced by factors (1 %, 10 %, 100 %), so both numbers are taken over the logarithm of the fraction:
between two measured fractions the metric is drawn as a straight line in log(fraction). The area is divided by the width
of the range, so it is a weighted mean of the metric and has its unit. Two curves can be compared only over the same
fractions.

Source: none to cite; the trapezium rule, and linear interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelEfficiency:
    """Summary of one curve; None where it is undefined, with the reason."""

    area: float | None  # mean of the metric over log(fraction)
    fraction: float | None  # the smallest fraction, interpolated, at which the metric reaches the target
    reason: str = ""  # why `area` is None
    fraction_reason: str = ""  # why `fraction` is None


def label_efficiency(fractions: ArrayLike, values: ArrayLike, target: float | None = None) -> LabelEfficiency:
    """Area and fraction to reach `target` of a curve.

    Args:
        fractions: (F,) in (0, 1], each once, in any order.
        values: (F,) the metric at each; NaN where undefined, then left out.
        target: the value to be reached; None asks for none.

    Raises:
        ValueError: a fraction is outside (0, 1] or given twice, or lengths differ.
    """
    fraction, value = _rising(fractions, values)
    known = ~np.isnan(value)
    fraction, value = fraction[known], value[known]
    area = log_area(fraction, value)
    reason = "" if area is not None else "fewer than two fractions have a value"
    if target is None:
        return LabelEfficiency(area, None, reason, "no target was asked for")
    found, why = _first_reach(fraction, value, target)
    return LabelEfficiency(area, found, reason, why)


def log_area(fractions: ArrayLike, values: ArrayLike) -> float | None:
    """Mean of the metric over log(fraction) by the trapezium rule; None below two fractions or with a NaN.

    Args:
        fractions: (F,) in (0, 1], each once.
        values: (F,) the metric at each.
    """
    fraction, value = _rising(fractions, values)
    if fraction.size < 2 or np.isnan(value).any():
        return None
    along = np.log(fraction)
    return float(np.trapezoid(value, along) / (along[-1] - along[0]))


def _first_reach(fraction: Floats, value: Floats, target: float) -> tuple[float | None, str]:
    """Where the curve first comes up to the target."""
    if not value.size:
        return None, "no fraction has a value"
    reached = np.flatnonzero(value >= target)
    if not reached.size:
        return None, f"not reached: the best value is {value.max():.3f}"
    first = int(reached[0])
    if first == 0:
        return float(fraction[0]), ""
    rise = (target - value[first - 1]) / (value[first] - value[first - 1])
    low, high = np.log(fraction[first - 1]), np.log(fraction[first])
    return float(np.exp(low + rise * (high - low))), ""


def _rising(fractions: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    fraction, value = np.asarray(fractions, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if fraction.ndim != 1 or fraction.shape != value.shape:
        raise ValueError(f"fractions {fraction.shape} and values {value.shape} must be vectors of one length")
    if not ((fraction > 0) & (fraction <= 1)).all() or np.unique(fraction).size != fraction.size:
        raise ValueError("fractions must lie in (0, 1], each given once")
    order = np.argsort(fraction)
    return fraction[order], value[order]
