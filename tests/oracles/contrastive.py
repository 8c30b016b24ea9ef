"""Contrasts of films and reports one pair at a time, from the equations: scalars, loops, torch only for gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def cosine(a: Tensor, b: Tensor) -> Tensor:
    dot, aa, bb = a.new_zeros(()), a.new_zeros(()), a.new_zeros(())
    for x, y in zip(a, b, strict=True):
        dot, aa, bb = dot + x * y, aa + x * x, bb + y * y
    return dot / (aa.sqrt() * bb.sqrt())


def cross_entropy(row: Callable[[int], Tensor], own: int, others: Sequence[int]) -> Tensor:
    """-log of the share of exp(row(own)) among exp(row(k)), k in others and own."""
    values = {k: row(k) for k in {own, *others}}
    top = max(value.item() for value in values.values())
    total = torch.zeros((), dtype=torch.float64)
    for value in values.values():
        total = total + (value - top).exp()
    return total.log() + top - values[own]


def pair_losses(
    v: Tensor,
    t: Tensor,
    gain: Callable[[int], Tensor],
    groups: Sequence[int] | None,
    has: Sequence[bool],
    *,
    back: bool,
) -> dict[int, Tensor]:
    """Loss of each film that has a report; the gain belongs to the film or report that asks."""
    present = [i for i in range(len(v)) if has[i]]
    losses = {}
    for i in present:
        others = [k for k in present if k != i and (groups is None or groups[k] != groups[i])]

        def row(k: int, i: int = i) -> Tensor:
            return gain(i) * (cosine(v[k], t[i]) if back else cosine(v[i], t[k]))

        losses[i] = cross_entropy(row, i, others)
    return losses


def clip(
    v: Tensor, t: Tensor, scale: Tensor, groups: Sequence[int] | None, has: Sequence[bool], directions: str
) -> Tensor:
    means = []
    for back in (False, True) if directions != "image" else (False,):
        losses = pair_losses(v, t, lambda i: scale, groups, has, back=back)
        means.append(sum(losses.values(), torch.zeros((), dtype=torch.float64)) / len(losses))
    together = sum(means, torch.zeros((), dtype=torch.float64))
    return together if directions == "sum" else together / len(means)


def released(
    v: Tensor, t: Tensor, p: Tensor, scale: Tensor, groups: Sequence[int] | None, has: Sequence[bool], directions: str
) -> Tensor:
    """Sheet section 2: a quarter of each of two gained and two weighted cross-entropies."""
    g = [(1 + value.exp()).log() for value in p]
    terms = []
    for back in (False, True) if directions != "image" else (False,):
        gained = pair_losses(v, t, lambda i: g[i] * scale, groups, has, back=back)
        plain = pair_losses(v, t, lambda i: scale, groups, has, back=back)
        mean = sum(gained.values(), torch.zeros((), dtype=torch.float64)) / len(gained)
        total = sum(g[i].item() for i in plain)
        weighed = sum((g[i].item() * plain[i] for i in plain), torch.zeros((), dtype=torch.float64)) / total
        terms += [mean, weighed]
    together = sum(terms, torch.zeros((), dtype=torch.float64)) / 2
    return together if directions == "sum" else together * 2 / len(terms)


def paper(
    v: Tensor,
    t: Tensor,
    p: Tensor,
    tau3: Tensor,
    *,
    tau1: float,
    tau2: float,
    d: int,
    groups: Sequence[int] | None,
    has: Sequence[bool],
    directions: str,
    reduction: str,
) -> Tensor:
    """Eq. 2 and 3; D films after one another among those with a report."""
    present = [i for i in range(len(v)) if has[i]]
    w_t: dict[int, Tensor] = {}
    w_l: dict[int, float] = {}
    batches = [present[first : first + d] for first in range(0, len(present), d)]
    for batch in batches:
        top = max(p[i].item() for i in batch)
        shared = sum((((p[i] - top) / tau1).exp() for i in batch), torch.zeros((), dtype=torch.float64))
        for i in batch:
            w_t[i] = (((p[i] - top) / tau1).exp() / shared).exp()
            w_l[i] = math.exp((p[i].item() - top) / tau2) / sum(math.exp((p[k].item() - top) / tau2) for k in batch)
    together = []
    for back in (False, True) if directions != "image" else (False,):
        losses = pair_losses(v, t, lambda i: 1 / (w_t[i] * tau3), groups, has, back=back)
        weighed = sum((w_l[i] * losses[i] for i in present), torch.zeros((), dtype=torch.float64))
        together.append(weighed / {"weighted": len(batches), "mean": len(present), "sum": 1}[reduction])
    whole = sum(together, torch.zeros((), dtype=torch.float64))
    return whole if directions == "sum" else whole / len(together)
