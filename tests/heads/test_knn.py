"""k-NN scores against a loop over queries and neighbours."""

from __future__ import annotations

import math

import pytest
import torch

from hilum.heads.knn import knn_scores


@pytest.mark.parametrize("k", [1, 5, 100])
def test_equal_to_a_loop(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    train, queries = (torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (30, 9))
    targets = (torch.rand(30, 2, generator=generator) < 0.4).double()
    targets[torch.rand(30, 2, generator=generator) < 0.3] = math.nan
    got = knn_scores(train, targets, queries, k=k, block=4)
    for row, query in enumerate(queries):
        similar = [float(x @ query / (x.norm() * query.norm())) for x in train]
        nearest = sorted(range(30), key=lambda i: -similar[i])[:k]
        for column in range(2):
            votes = [(math.exp(similar[i] / 0.07), float(targets[i, column])) for i in nearest]
            votes = [(weight, label) for weight, label in votes if not math.isnan(label)]
            if votes:
                expected = sum(w * y for w, y in votes) / sum(w for w, _ in votes)
            else:
                expected = float(targets[:, column].nanmean())
            assert float(got[row, column]) == pytest.approx(expected, rel=1e-9)


def test_nobody_knows() -> None:
    scores = knn_scores(torch.eye(3), torch.full((3, 1), math.nan), torch.eye(3))
    assert (scores == 0.5).all()
