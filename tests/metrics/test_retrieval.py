"""Ranks with ties: every order of the tied items written out, and constant scores at the chance level."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest

from hilum.metrics.retrieval import Ranks, chance_rank, chance_recall, first_rank, recall_at


def ranks_of(scores: np.ndarray, hit: np.ndarray) -> Ranks:
    """One query, counted by definition."""
    best = scores[hit].max()
    numbers = [
        (scores[~hit] > best).sum(), (scores[~hit] == best).sum(), (scores[hit] == best).sum(), hit.sum(), hit.size,
    ]  # fmt: skip
    return Ranks(*(np.array([number], dtype=np.int64) for number in numbers))


def by_all_orders(scores: np.ndarray, hit: np.ndarray, k: int) -> tuple[float, float]:
    """Recall at k and rank of the first hit, averaged over every order that sorts the scores."""
    recalls, firsts = [], []
    for order in permutations(range(len(scores))):
        if all(scores[a] >= scores[b] for a, b in pairwise(order)):
            first = 1 + next(place for place, item in enumerate(order) if hit[item])
            recalls.append(first <= k)
            firsts.append(first)
    return float(np.mean(recalls)), float(np.mean(firsts))


@pytest.mark.parametrize("seed", range(12))
def test_ranks_are_the_mean_over_all_orders_of_tied_items(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, 6).astype(float)
    hit = np.zeros(6, bool)
    hit[rng.choice(6, rng.integers(1, 4), replace=False)] = True
    ranks = ranks_of(scores, hit)
    for k in (1, 2, 3, 6):
        recall, first = by_all_orders(scores, hit, k)
        assert recall_at(ranks, k)[0] == pytest.approx(recall)
        assert first_rank(ranks)[0] == pytest.approx(first)


def test_constant_scores_are_exactly_chance() -> None:
    for size, hits, k in ((100, 1, 10), (100, 7, 5), (4, 2, 10), (10_000, 2, 1)):
        hit = np.arange(size) < hits
        ranks = ranks_of(np.zeros(size), hit)
        assert recall_at(ranks, k)[0] == pytest.approx(chance_recall(ranks, k)[0])
        assert first_rank(ranks)[0] == chance_rank(ranks)[0]
    single = ranks_of(np.zeros(100), np.arange(100) < 1)
    assert recall_at(single, 10)[0] == pytest.approx(0.1)
    assert first_rank(single)[0] == 50.5


def test_a_query_without_a_hit_has_no_rank() -> None:
    ranks = Ranks(*(np.array([number]) for number in (3, 0, 0, 0, 3)))
    for value in (recall_at(ranks, 1), first_rank(ranks), chance_recall(ranks, 1), chance_rank(ranks)):
        assert np.isnan(value).all()
