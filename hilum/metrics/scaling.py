"""Scaling of probabilities, fitted on validation: temperature (one number a finding) or Platt (two).

Both act on the logit z of a probability and keep the order of scores: p' = sigmoid(slope * z + intercept), slope > 0.
Temperature scaling has no intercept and slope 1 / T; it can undo over-confidence but not a wrong base rate. Platt
scaling does both. Each finding is fitted by itself, by Newton's method on the mean log-loss, which is convex.

Platt's targets are drawn in from 0 and 1 to 1 / (N- + 2) and (N+ + 1) / (N+ + 2), so that a fit exists even where the
scores separate the classes; temperature scaling has no such guard, and where no best temperature exists it says so.

Sources: Guo et al. 2017, "On calibration of modern neural networks"; Platt 1999, "Probabilistic outputs for support
vector machines"; Lin, Lin and Weng 2007 (Newton with back-tracking). Referee: statsmodels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from hilum.metrics.judged import judged, undefined_reason

Floats = NDArray[np.float64]

EDGE: Final = 1e-9  # probabilities are kept this far from 0 and 1, whose logits are infinite
STEPS: Final = 100
STEEPEST: Final = 1e3  # a slope beyond this (T < 0.001) is a step function: the classes are separated


@dataclass(frozen=True)
class Scaling:
    """Slopes and intercepts of K findings; where a finding could not be fitted, identity (1, 0) and the reason."""

    kind: Literal["temperature", "platt"]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    reasons: tuple[str, ...]  # "" where fitted

    @property
    def temperatures(self) -> tuple[float, ...]:
        """1 / slope."""
        return tuple(1 / slope for slope in self.slopes)

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values; `Scaling.from_json` reads them."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Scaling:
        """What `to_json` wrote."""
        return cls(fields["kind"], tuple(fields["slopes"]), tuple(fields["intercepts"]), tuple(fields["reasons"]))


def fit_temperature(labels: ArrayLike, scores: ArrayLike) -> Scaling:
    """One temperature a finding: the slope that minimises the log-loss, without intercept.

    Args:
        labels: (N,) or (N, K) 1, 0, or NaN (left out).
        scores: probabilities in [0, 1] of the same shape; of the validation split, never of test.

    Raises:
        ValueError: shapes differ or a judged score lies outside [0, 1].
    """
    return _fit("temperature", labels, scores)


def fit_platt(labels: ArrayLike, scores: ArrayLike) -> Scaling:
    """Slope and intercept a finding, fitted to Platt's targets.

    Args:
        labels: (N,) or (N, K) 1, 0, or NaN (left out).
        scores: probabilities in [0, 1] of the same shape; of the validation split, never of test.

    Raises:
        ValueError: shapes differ or a judged score lies outside [0, 1].
    """
    return _fit("platt", labels, scores)


def rescale(scores: ArrayLike, scaling: Scaling) -> Floats:
    """Probabilities after scaling, of the shape given: (N, K), or (N,) for a scaling of one finding.

    Findings that could not be fitted come back unchanged, to the last bit.
    """
    score = np.asarray(scores, dtype=np.float64)
    table = score[:, None] if score.ndim == 1 else score
    if table.shape[1] != len(scaling.slopes):
        raise ValueError(f"scores {score.shape} do not fit a scaling of {len(scaling.slopes)} findings")
    found = expit(np.array(scaling.slopes) * _logits(table) + np.array(scaling.intercepts))
    fitted = np.array([not reason for reason in scaling.reasons])
    return np.where(fitted, found, table).reshape(score.shape)


def _fit(kind: Literal["temperature", "platt"], labels: ArrayLike, scores: ArrayLike) -> Scaling:
    label, score = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if label.shape != score.shape or label.ndim not in (1, 2):
        raise ValueError(f"labels {label.shape} and scores {score.shape} must have one shape, (N,) or (N, K)")
    columns = [(label, score)] if label.ndim == 1 else list(zip(label.T, score.T, strict=True))
    fits = [_fit_finding(kind, *column) for column in columns]
    return Scaling(kind, tuple(fit[0] for fit in fits), tuple(fit[1] for fit in fits), tuple(fit[2] for fit in fits))


def _fit_finding(kind: str, label: Floats, score: Floats) -> tuple[float, float, str]:
    positive, score, _ = judged(label, score)
    if ((score < 0) | (score > 1)).any():
        raise ValueError("calibration needs probabilities: a score lies outside [0, 1]")
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if reason := undefined_reason(n_positive, n_negative):
        return 1.0, 0.0, reason
    if np.ptp(score) == 0:
        return 1.0, 0.0, "every score is the same"
    order = np.lexsort((positive, score))  # sums that do not depend on the order of rows
    positive, z = positive[order], _logits(score[order])
    if kind == "temperature":
        if (z[positive] >= 0).all() and (z[~positive] <= 0).all():
            return 1.0, 0.0, "no film is on the wrong side of 0.5: no best temperature exists"
        design, target, start = z[:, None], positive.astype(np.float64), np.ones(1)
    else:
        target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
        design = np.stack([z, np.ones(z.size)], axis=1)
        start = np.array([1.0, logit(target.mean()) - z.mean()])
    found = _newton(design, target, start)
    slope, intercept = float(found[0]), float(found[1]) if kind == "platt" else 0.0
    if not 1 / STEEPEST < slope < STEEPEST:
        return 1.0, 0.0, f"the best slope is {slope:.3g}: the scores do not order these films usefully"
    return slope, intercept, ""


def _newton(design: Floats, target: Floats, start: Floats) -> Floats:
    """Minimise the mean log-loss of sigmoid(design @ w) against `target` in [0, 1], halving steps that do not help."""

    def loss(weights: Floats) -> float:
        z = design @ weights
        return float((np.logaddexp(0, z) - target * z).mean())

    weights, value = start, loss(start)
    for _ in range(STEPS):
        p = expit(design @ weights)
        gradient = design.T @ (p - target) / target.size
        curvature = (design * (p * (1 - p))[:, None]).T @ design / target.size
        step = np.linalg.solve(curvature + 1e-14 * np.eye(weights.size), gradient)
        while (here := loss(weights - step)) > value + 1e-15 and np.abs(step).max() > 1e-14:
            step = step / 2
        weights, value = weights - step, here
        if np.abs(step).max() <= 1e-13 * max(1.0, float(np.abs(weights).max())):
            break
    return weights


def _logits(score: Floats) -> Floats:
    return np.asarray(logit(np.clip(score, EDGE, 1 - EDGE)), dtype=np.float64)
