"""Net benefit: what a score is worth to someone who acts on it, for each threshold of risk at which he would act.

Acting on a film (calling the patient back, ordering a CT) is worth it above a risk p_t, which says how many false
alarms one hit is worth: (1 - p_t) / p_t. Net benefit counts in hits per film: TP/n - FP/n * p_t / (1 - p_t). A score is
of use only where it beats both acting on everyone and acting on no one (0).

Net benefit is the mean over images of +1 (a hit), -p_t / (1 - p_t) (a false alarm) or 0, so its interval and the paired
difference to acting on everyone come from the same draws of whole patients as any mean (`resample.py`).

Source: Vickers and Elkin 2006, "Decision curve analysis". It needs probabilities: calibrate first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.estimate import Difference, Estimate
from hilum.metrics.judged import judged
from hilum.metrics.resample import Resample

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit at T thresholds with intervals; acting on no one has 0 throughout."""

    thresholds: tuple[float, ...]
    model: tuple[Estimate, ...]
    everyone: tuple[Estimate, ...]  # acting on every film
    over_everyone: tuple[Difference, ...]  # model minus everyone, paired


def net_benefit(
    labels: ArrayLike, scores: ArrayLike, thresholds: ArrayLike, counts: ArrayLike | None = None
) -> Floats | None:
    """Net benefit of acting where score >= threshold.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) probabilities in [0, 1].
        thresholds: (T,) risks in (0, 1) at which one would act.
        counts: (N,) how often each image is taken.

    Returns:
        (T,) at most the prevalence; None without labels.

    Raises:
        ValueError: a score lies outside [0, 1] or a threshold outside (0, 1).
    """
    positive, score, weight = judged(labels, scores, counts)
    risk = _checked(score, thresholds)
    if not score.size:
        return None
    called = score[:, None] >= risk
    hits, alarms = (weight * positive) @ called, (weight * ~positive) @ called
    return np.asarray((hits - alarms * risk / (1 - risk)) / weight.sum(), dtype=np.float64)


def decision_curve(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    thresholds: ArrayLike,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> DecisionCurve:
    """Net benefit of one finding with patient-level intervals, beside acting on everyone.

    Args:
        labels: (N,) 1, 0, or NaN (left out).
        scores: (N,) probabilities in [0, 1].
        patients: (N,) patient ids; images of one id are drawn together.
        thresholds: (T,) risks in (0, 1).
        draws: replicates.
        seed: of the draws.
    """
    label, score = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    risk = _checked(judged(label, score)[1], thresholds)
    resample = Resample(patients, draws=draws, seed=seed)
    worth = [np.where(label == 1, 1.0, np.where(np.isnan(label), np.nan, -t / (1 - t))) for t in risk]
    gained = [np.where(np.isnan(label) | (score >= t), item, 0.0) for t, item in zip(risk, worth, strict=True)]
    n_positive = int((label == 1).sum())
    return DecisionCurve(
        tuple(map(float, risk)),
        tuple(replace(resample.mean(item), n_positive=n_positive) for item in gained),
        tuple(replace(resample.mean(item), n_positive=n_positive) for item in worth),
        tuple(resample.difference(one, two) for one, two in zip(gained, worth, strict=True)),
    )


def _checked(score: Floats, thresholds: ArrayLike) -> Floats:
    risk = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if ((score < 0) | (score > 1)).any():
        raise ValueError("net benefit needs probabilities: a score lies outside [0, 1]")
    if not ((risk > 0) & (risk < 1)).all():
        raise ValueError("net benefit needs thresholds inside (0, 1)")
    return risk
