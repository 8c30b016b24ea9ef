"""Slow, independent formulas for likelihoods of times to an event: loops over subjects and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence


def cox_efron(risk: Sequence[float], time: Sequence[float], event: Sequence[float]) -> float:
    """Mean over events of the negative log partial likelihood, Efron's ties, term by term."""
    rows = [row for row in zip(risk, time, event, strict=True) if not any(map(math.isnan, row))]
    total, events = 0.0, 0
    for moment in sorted({t for _, t, e in rows if e == 1}):
        tied = [r for r, t, e in rows if e == 1 and t == moment]
        at_risk = sum(math.exp(r) for r, t, _ in rows if t >= moment)
        dying = sum(math.exp(r) for r in tied)
        for place, r in enumerate(tied):
            total += math.log(at_risk - place / len(tied) * dying) - r
            events += 1
    return total / events if events else 0.0


def discrete(
    logits: Sequence[Sequence[float]], time: Sequence[float], event: Sequence[float], edges: Sequence[float]
) -> float:
    """Mean over subjects; the censored survive an interval when half of it or more was observed."""
    total, subjects = 0.0, 0
    for row, t, e in zip(logits, time, event, strict=True):
        if math.isnan(t) or math.isnan(e):
            continue
        subjects += 1
        for logit, start, end in zip(row, edges[:-1], edges[1:], strict=True):
            hazard = 1 / (1 + math.exp(-logit))
            if e == 1 and start < t <= end:
                total -= math.log(hazard)
            elif (e == 1 and t > end) or (e != 1 and t >= (start + end) / 2):
                total -= math.log(1 - hazard)
    return total / max(subjects, 1)


def binary(logits: Sequence[float], time: Sequence[float], event: Sequence[float], horizon: float) -> float:
    """Mean cross-entropy over the subjects whose state at the horizon is known."""
    terms = []
    for logit, t, e in zip(logits, time, event, strict=True):
        if math.isnan(t) or math.isnan(e) or (e == 0 and t < horizon):
            continue
        came = e == 1 and t <= horizon
        terms.append(math.log1p(math.exp(-logit)) if came else math.log1p(math.exp(logit)))
    return sum(terms) / len(terms) if terms else 0.0
