"""Survival metrics by the definitions: loops over subjects and pairs, written from the papers, slow on purpose.

Events are 0 (censored), 1 (the event) and larger (competing causes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Numbers = Sequence[float]


def survival(times: Numbers, events: Numbers, t: float) -> float:
    """Kaplan and Meier 1958: the product over event times up to t of the share that survives each."""
    value = 1.0
    for u in sorted({time for time, event in zip(times, events, strict=True) if event == 1 and time <= t}):
        n = sum(time >= u for time in times)
        d = sum(time == u and event == 1 for time, event in zip(times, events, strict=True))
        value *= (n - d) / n
    return value


def greenwood(times: Numbers, events: Numbers, t: float) -> float:
    """Greenwood 1926: the variance of S(t)."""
    total = 0.0
    for u in sorted({time for time, event in zip(times, events, strict=True) if event == 1 and time <= t}):
        n = sum(time >= u for time in times)
        d = sum(time == u and event == 1 for time, event in zip(times, events, strict=True))
        if n > d:
            total += d / (n * (n - d))
    return survival(times, events, t) ** 2 * total


def incidence(times: Numbers, events: Numbers, t: float, cause: int = 1) -> float:
    """Aalen and Johansen 1978, as a product of transition matrices; state 0 is alive, the others are causes."""
    causes = sorted({int(event) for event in events if event} | {cause})
    occupied = [1.0] + [0.0] * len(causes)
    for u in sorted({time for time in times if time <= t}):
        n = sum(time >= u for time in times)
        moved = [
            occupied[0] * sum(time == u and event == code for time, event in zip(times, events, strict=True)) / n
            for code in causes
        ]
        occupied = [occupied[0] - sum(moved), *(old + new for old, new in zip(occupied[1:], moved, strict=True))]
    return occupied[1 + causes.index(cause)]


def incidence_variance(times: Numbers, events: Numbers, t: float, cause: int = 1) -> float:
    """The delta method's three sums, each time's terms on their own."""
    at = incidence(times, events, t, cause)
    merged = [1.0 if event else 0.0 for event in events]
    total = 0.0
    for u in sorted({time for time in times if time <= t}):
        n = sum(time >= u for time in times)
        d = sum(time == u and event > 0 for time, event in zip(times, events, strict=True))
        dc = sum(time == u and event == cause for time, event in zip(times, events, strict=True))
        before = survival(times, merged, math.nextafter(u, -math.inf))
        gap = at - incidence(times, events, u, cause)
        if n > d:
            total += gap**2 * d / (n * (n - d))
        total += before**2 * dc * (n - dc) / n**3 - 2 * gap * before * dc / n**2
    return total


def log_rank(times: Numbers, events: Numbers, groups: Sequence[int]) -> float:
    """Mantel 1966 for two groups: (observed - expected)^2 / variance of the first group."""
    first = min(groups)
    gap, variance = 0.0, 0.0
    for u in sorted({time for time, event in zip(times, events, strict=True) if event == 1}):
        n = sum(time >= u for time in times)
        n1 = sum(time >= u and group == first for time, group in zip(times, groups, strict=True))
        rows = list(zip(times, events, groups, strict=True))
        d = sum(time == u and event == 1 for time, event, _ in rows)
        d1 = sum(time == u and event == 1 and group == first for time, event, group in rows)
        gap += d1 - d * n1 / n
        if n > 1:
            variance += d * (n1 / n) * (1 - n1 / n) * (n - d) / (n - 1)
    return gap**2 / variance


def watched(times: Numbers, events: Numbers, t: float) -> float:
    """G(t-): Kaplan-Meier estimate of not being censored before t; at equal times events come first."""
    value = 1.0
    for u in sorted({time for time, event in zip(times, events, strict=True) if event == 0 and time < t}):
        n = sum(time > u or (time == u and event == 0) for time, event in zip(times, events, strict=True))
        c = sum(time == u and event == 0 for time, event in zip(times, events, strict=True))
        value *= (n - c) / n
    return value


def concordance(times: Numbers, events: Numbers, scores: Numbers, tau: float | None = None) -> float | None:
    """Harrell's C (tau None), or Uno's C_tau: sum of G(T_i-)^-2 over the pairs that the score orders rightly."""
    right, pairs = 0.0, 0.0
    for i, (ti, ei, si) in enumerate(zip(times, events, scores, strict=True)):
        if ei != 1 or (tau is not None and ti >= tau):
            continue
        weight = 1.0 if tau is None else watched(times, events, ti) ** -2
        for j, (tj, ej, sj) in enumerate(zip(times, events, scores, strict=True)):
            if i != j and (tj > ti or (tj == ti and ej != 1)):
                pairs += weight
                right += weight * ((si > sj) + 0.5 * (si == sj))
    return right / pairs if pairs else None


def auroc_at(times: Numbers, events: Numbers, scores: Numbers, t: float) -> float | None:
    """Sum over cases and controls of w_i w_j (s_i > s_j) / sum of w_i w_j, w_i = 1 / G(T_i-), w_j = 1 / G(t)."""
    rows = list(zip(times, events, scores, strict=True))
    later = watched(times, events, math.nextafter(t, math.inf))
    cases = [(score, 1 / watched(times, events, time)) for time, event, score in rows if time <= t and event == 1]
    controls = [(score, 1 / later) for time, _, score in rows if time > t]
    if not cases or not controls:
        return None
    pairs = [(wi * wj, si, sj) for si, wi in cases for sj, wj in controls]
    return sum(w * ((si > sj) + 0.5 * (si == sj)) for w, si, sj in pairs) / sum(w for w, _, _ in pairs)
