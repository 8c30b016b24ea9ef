"""Likelihoods of times to an event with censoring: Cox's partial one, a discrete-time one, and the plain binary form.

Targets are two columns: `time` in days from the film (> 0) and `event` (0 censored, 1 event, 2 another cause came
first); NaN where nobody knows. Cox's and the discrete likelihood are of the cause-specific hazard: a competing cause
ends the observation like censoring. The binary form asks for the event within the horizon, so a competing cause
before it is a known "no", and censoring before it leaves the answer unknown.

Sources: Cox 1972 (partial likelihood); Efron 1977 (ties); Gensheimer and Narasimhan, https://arxiv.org/abs/1805.00917
(discrete-time likelihood, half-interval rule for the censored).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EVENT = 1.0  # the code of the event asked for; 0 and 2 end the observation without it


def cox_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Negative log partial likelihood a mean over the events; ties by Efron's average.

    For the d events tied at one time, with S the sum of exp(risk) over all who are then under observation and D that
    over the tied ones: `sum_l log(S - l/d D) - sum risk`, l = 0 .. d - 1. All sums are in logarithms and stay finite
    for any finite risk. The risk set is the batch, so a small batch is a biased, noisier likelihood.

    Args:
        risk: (..., B) log hazard ratios, up to a constant.
        time: (B,) days; NaN rows are left out.
        event: (B,) 0, 1 or 2; only 1 counts as an event.

    Returns:
        (...): 0, with a zero gradient, where the batch has no event.
    """
    risk = _wide(risk)
    known = (~(time.isnan() | event.isnan())).nonzero()[:, 0]
    order = known[time[known].argsort(descending=True, stable=True)]
    risk, died = risk[..., order], event[order] == EVENT
    if not died.any():
        return risk[..., :0].sum(dim=-1)
    _, moment, sizes = torch.unique_consecutive(time[order], return_inverse=True, return_counts=True)
    at_risk = risk.logcumsumexp(dim=-1)[..., sizes.cumsum(0) - 1]  # log S of each distinct time
    _, tie, deaths = torch.unique_consecutive(moment[died], return_inverse=True, return_counts=True)
    first = deaths.cumsum(0) - deaths
    share = (torch.arange(len(tie), device=tie.device) - first[tie]).to(risk) / deaths[tie]  # l / d of each event
    dying = risk[..., died]
    log_s = at_risk[..., moment[died]]
    log_d = _grouped_logsumexp(dying, tie, len(deaths))[..., tie]
    return (log_s + torch.log1p(-share * (log_d - log_s).exp()) - dying).mean(dim=-1)


def discrete_loss(logits: Tensor, time: Tensor, event: Tensor, edges: Tensor) -> Tensor:
    """Negative log likelihood of hazards in J intervals, a mean over subjects.

    Interval j is (edges[j], edges[j + 1]]; its hazard `sigmoid(logit_j)` is the probability of the event in it for
    who enters it. An event in interval j adds `-log h_j - sum_{k<j} log(1 - h_k)`; a censored subject has survived
    the intervals of which half or more was observed. Whoever is observed beyond the last edge survived them all.

    Args:
        logits: (..., B, J).
        time: (B,) days; NaN rows are left out.
        event: (B,) 0, 1 or 2; only 1 counts as an event.
        edges: (J + 1,) rising days, the first 0.

    Returns:
        (...): 0, with a zero gradient, where nothing is known.
    """
    logits = _wide(logits)
    known = ~(time.isnan() | event.isnan())
    days = time.nan_to_num(0.0).contiguous()
    edges = edges.to(days)
    entered = torch.bucketize(days, edges[1:], right=False)  # the interval of an event; J beyond the last edge
    observed = torch.bucketize(days, (edges[:-1] + edges[1:]) / 2, right=True)  # midpoints passed by a censored one
    died = event == EVENT
    interval = torch.arange(logits.shape[-1], device=days.device)
    survived = known[:, None] & (interval < torch.where(died, entered, observed)[:, None])
    ended = (known & died)[:, None] & (interval == entered[:, None])
    cells = torch.where(survived, F.softplus(logits), 0.0) + torch.where(ended, F.softplus(-logits), 0.0)
    return cells.sum(dim=(-2, -1)) / known.sum().clamp(min=1)


def event_by(horizon: float, time: Tensor, event: Tensor) -> Tensor:
    """Whether the event came by `horizon` days: 1, 0, or NaN for who was censored before it.

    Args:
        horizon: days.
        time: (...) days.
        event: (...) 0, 1 or 2.

    Returns:
        (...): 0 also for a competing cause before the horizon, after which the event can no longer come.
    """
    came = (event == EVENT) & (time <= horizon)
    did_not = (time >= horizon) | ((event > EVENT) & (time <= horizon))
    answer = torch.where(came, 1.0, torch.where(did_not, 0.0, torch.nan)).to(time)
    return torch.where(time.isnan() | event.isnan(), torch.full_like(answer, torch.nan), answer)


def discrete_risk(logits: Tensor, edges: Tensor, horizon: float) -> Tensor:
    """1 - S(horizon), in [0, 1]: the chance of the event by `horizon`, which must be one of the edges.

    Args:
        logits: (..., J).
        edges: (J + 1,) rising days.
        horizon: days.
    """
    log_survival = -torch.where(edges[1:].to(logits.device) <= horizon, F.softplus(_wide(logits)), 0.0).sum(dim=-1)
    return -torch.expm1(log_survival)


def interval_edges(event_times: Tensor, horizon: float, intervals: int) -> Tensor:
    """Edges (J + 1,) float64: 0, the quantiles of the training events' times that cut them evenly, and the horizon.

    The horizon is an edge so that survival at it needs no interpolation. Quantiles are observed times; those that
    coincide are kept once, so that J may be smaller than `intervals` + 1.

    Args:
        event_times: (E,) days of the events, E >= 1.
        horizon: days.
        intervals: how many parts the events are cut into.
    """
    levels = torch.arange(1, intervals + 1, dtype=torch.float64) / intervals
    ordered = event_times.double().sort().values
    cuts = ordered[(levels * len(ordered)).ceil().long().clamp(1, len(ordered)) - 1]
    return torch.unique(torch.cat([cuts.new_zeros(1), cuts, cuts.new_tensor([horizon])]))  # type: ignore[no-any-return]


def _grouped_logsumexp(x: Tensor, group: Tensor, groups: int) -> Tensor:
    """Log-sum-exp of x (..., E) within groups (E,) -> (..., groups)."""
    places = group.expand_as(x)
    empty = x.new_full((*x.shape[:-1], groups), -torch.inf)
    peak = empty.scatter_reduce(-1, places, x.detach(), "amax")
    return peak + torch.zeros_like(peak).scatter_add(-1, places, (x - peak[..., group]).exp()).log()


def _wide(x: Tensor) -> Tensor:
    """At least float32: sums over thousands of subjects do not fit half precision."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
