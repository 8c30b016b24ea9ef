"""Probabilities that mean what they say: scaling fitted on validation films, stored with the head, used ever after.

Independent findings are scaled one by one, by temperature or by Platt's two numbers (`metrics/scaling.py`). Classes of
which exactly one holds share one temperature (Guo et al. 2017), so that their probabilities still sum to 1. Either way
the order of the films by any finding stays as it was, for independent findings exactly.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from hilum.labels import Targets
from hilum.metrics.scaling import Scaling, fit_platt, fit_temperature, rescale

Calibrate = Literal["none", "temperature", "platt"]
Floats = NDArray[np.float64]

_EDGE = 1e-12  # probabilities are kept this far from 0
_STEEPEST = 1e3  # a slope at this bound means that no best one exists


def fit_calibration(targets: NDArray[np.floating], scores: Floats, how: Calibrate, kind: Targets) -> dict[str, Any]:
    """Scaling of a head's probabilities as plain JSON values, {} for "none"; never give it films that judge.

    Args:
        targets: (N, K) of 1, 0 and NaN, of validation films.
        scores: (N, K) probabilities.
        how: of independent findings; classes know temperature only.
        kind: independent findings, or classes.
    """
    if how == "none":
        return {}
    if kind == "multilabel":
        return (fit_temperature if how == "temperature" else fit_platt)(targets, scores).to_json()
    slope, reason = _class_slope(np.asarray(targets, dtype=np.float64), scores)
    count = scores.shape[1]
    return Scaling("temperature", (slope,) * count, (0.0,) * count, (reason,) * count).to_json()


def calibrated(scores: Floats, calibration: dict[str, Any], kind: Targets) -> Floats:
    """Probabilities (N, K) after the scaling that `fit_calibration` gave; unchanged where there is none."""
    if not calibration:
        return scores
    scaling = Scaling.from_json(calibration)
    if kind == "multilabel":
        return rescale(scores, scaling)
    return scores if scaling.reasons[0] else _sharpened(scores, scaling.slopes[0])


def unfitted(calibration: dict[str, Any], findings: tuple[str, ...]) -> dict[str, str]:
    """Findings whose scores stay as they are, with the reason."""
    return {name: why for name, why in zip(findings, calibration.get("reasons", ()), strict=False) if why}


def _class_slope(targets: Floats, scores: Floats) -> tuple[float, str]:
    """1 / T with the least log-loss of the classes, and why there is none."""
    known = ~np.isnan(targets).any(axis=1)
    true, score = targets[known].argmax(axis=1), scores[known]
    if not known.any() or (score.argmax(axis=1) == true).all():
        return 1.0, "no film is taken for another class: no best temperature exists"

    def loss(log_slope: float) -> float:
        picked = _sharpened(score, float(np.exp(log_slope)))[np.arange(true.size), true]
        return float(-np.log(np.clip(picked, _EDGE, 1)).mean())

    bound = float(np.log(_STEEPEST))
    found = minimize_scalar(loss, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-8})
    if abs(found.x) > bound - 1e-3:
        return 1.0, "the scores do not order these films usefully: no best temperature exists"
    return float(np.exp(found.x)), ""


def _sharpened(scores: Floats, slope: float) -> Floats:
    logits = np.log(np.clip(scores, _EDGE, 1)) * slope
    return np.asarray(np.exp(logits - logsumexp(logits, axis=1, keepdims=True)), dtype=np.float64)
