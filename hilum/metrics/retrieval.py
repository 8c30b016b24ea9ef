"""Ranks of retrieval: was a right item among the first k, and how far down was the first one?

A query has one or more right items (hits) in a gallery. Equal scores have no order, so every number here is the mean
over all orders of the tied items: a search that gives every item the same score gets exactly the chance level, and a
report that stands in the archive ten times is not found by luck of the row order. Three counts a query suffice:

- a: wrong items with a higher score than the best hit,
- t: wrong items tied with it,
- h: hits tied with it (the best one included).

P(a hit among the first k) = 1 - C(t, k - a) / C(t + h, k - a), the chance that k - a draws from the tied items are all
wrong; the expected rank of the first hit is a + (t + h + 1) / (h + 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

CUTOFFS: Final = (1, 5, 10)  # k of "recall at k"


@dataclass(frozen=True)
class Ranks:
    """What the ranks of Q queries follow from; all (Q,). A query without a hit in the gallery has hits = 0."""

    above: Counts  # wrong items with a higher score than the best hit
    tied: Counts  # wrong items with the score of the best hit
    hits_tied: Counts  # hits with the score of the best hit, at least 1
    hits: Counts  # hits in the gallery
    gallery: Counts  # items in the gallery of this query


def recall_at(ranks: Ranks, k: int) -> Floats:
    """Chance that a hit is among the first k, over all orders of tied items.

    Args:
        ranks: of Q queries.
        k: how many items are looked at, at least 1.

    Returns:
        (Q,) in [0, 1]; NaN for a query without a hit.
    """
    found = 1 - _all_wrong(ranks.tied, ranks.hits_tied, k - ranks.above)
    return np.where(ranks.hits > 0, found, np.nan)


def first_rank(ranks: Ranks) -> Floats:
    """Expected rank of the first hit, 1 = best, over all orders of tied items; (Q,), NaN without a hit."""
    rank = ranks.above + (ranks.tied + ranks.hits_tied + 1) / (ranks.hits_tied + 1)
    return np.where(ranks.hits > 0, rank, np.nan)


def chance_recall(ranks: Ranks, k: int) -> Floats:
    """What `recall_at` is for a gallery in random order: 1 - C(G - H, k) / C(G, k); (Q,), NaN without a hit."""
    found = 1 - _all_wrong(ranks.gallery - ranks.hits, ranks.hits, np.full_like(ranks.hits, k))
    return np.where(ranks.hits > 0, found, np.nan)


def chance_rank(ranks: Ranks) -> Floats:
    """Expected rank of the first hit in a gallery in random order: (G + 1) / (H + 1); (Q,), NaN without a hit."""
    return np.where(ranks.hits > 0, (ranks.gallery + 1) / (ranks.hits + 1), np.nan)


def _all_wrong(wrong: Counts, right: Counts, draws: Counts) -> Floats:
    """Chance that `draws` items taken from `wrong` + `right` without replacement are all wrong; 1 without a draw."""
    n = np.minimum(np.maximum(draws, 0), wrong)  # where draws > wrong a right one is certain, settled below
    log = gammaln(wrong + 1.0) - gammaln(wrong - n + 1.0)
    log -= gammaln(wrong + right + 1.0) - gammaln(wrong + right - n + 1.0)
    return np.where(draws > wrong, np.where(right > 0, 0.0, 1.0), np.exp(np.minimum(log, 0.0)))
