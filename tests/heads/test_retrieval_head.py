"""Ranks and class shares against slow loops; ties of equal vectors; nearest items with either index."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from hilum.errors import ConfigError, MissingDependencyError
from hilum.heads import retrieval
from hilum.heads.retrieval import make_index, rank_hits, score_blocks, share_of_class
from hilum.metrics.retrieval import chance_recall, first_rank, recall_at


def vectors(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed)).round()  # whole numbers: ties happen


def test_counts_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "CELLS", 60)  # several blocks
    queries, gallery = vectors(17, 0), vectors(30, 1)
    query_group, gallery_group = torch.arange(17) % 9, torch.arange(30) % 10
    own = torch.where(torch.arange(17) % 3 == 0, torch.arange(17), -1)
    ranks = rank_hits(queries, gallery, query_group, gallery_group, own=own)
    scores = queries @ gallery.T
    for q in range(17):
        others = [g for g in range(30) if g != own[q]]
        hits = [g for g in others if gallery_group[g] == query_group[q]]
        best = max((scores[q, g] for g in hits), default=torch.tensor(-torch.inf))
        wrong = [g for g in others if g not in hits]
        assert ranks.above[q] == sum(bool(scores[q, g] > best) for g in wrong)
        assert ranks.tied[q] == sum(bool(scores[q, g] == best) for g in wrong)
        assert ranks.hits_tied[q] == sum(bool(scores[q, g] == best) for g in hits)
        assert (ranks.hits[q], ranks.gallery[q]) == (len(hits), len(others))


def test_a_query_whose_only_hit_is_itself_has_none() -> None:
    alone = rank_hits(torch.eye(3), torch.eye(3), torch.arange(3), torch.arange(3), own=torch.arange(3))
    assert alone.hits.tolist() == [0, 0, 0]
    assert np.isnan(first_rank(alone)).all()


def test_constant_vectors_rank_at_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    queries, gallery = torch.randn(7, 33, generator=generator), torch.randn(1, 33, generator=generator).expand(50, 33)
    ranks = rank_hits(queries, gallery, torch.arange(7), torch.arange(50))
    assert ranks.tied.tolist() == [49] * 7
    np.testing.assert_allclose(recall_at(ranks, 5), chance_recall(ranks, 5))


def test_equal_gallery_rows_have_equal_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    distinct = torch.randn(40, 97, generator=generator)
    gallery = distinct[torch.arange(200) % 40]
    for _, scores in score_blocks(torch.randn(11, 97, generator=generator), gallery):
        assert bool((scores[:, :40] == scores[:, 160:]).all())


def test_class_shares_are_those_of_sorting() -> None:
    queries, gallery = torch.randn(8, 6), torch.randn(25, 6)
    belongs, study = torch.arange(25) % 3 == 0, torch.arange(25) // 2
    found = share_of_class(queries, gallery, belongs, 5, query_study=torch.arange(8), gallery_study=study)
    for q in range(8):
        order = [g for g in (-(queries[q] @ gallery.T)).argsort().tolist() if study[g] != q][:5]
        assert found[q] == pytest.approx(np.mean([bool(belongs[g]) for g in order]))


def test_class_shares_of_constant_scores_are_the_prevalence() -> None:
    belongs = torch.arange(20) < 7
    found = share_of_class(torch.ones(2, 3), torch.ones(20, 3), belongs, 10)
    np.testing.assert_allclose(found, 0.35)
    assert share_of_class(torch.ones(1, 3), torch.ones(4, 3), belongs[:4], 10)[0] == 1.0  # fewer items than k
    own = torch.zeros(4, dtype=torch.int64)
    nothing = share_of_class(
        torch.ones(1, 3), torch.ones(4, 3), belongs[:4], 10, query_study=own[:1], gallery_study=own
    )
    assert np.isnan(nothing).all()


def test_the_exact_index_finds_the_nearest_in_order() -> None:
    queries, gallery = torch.randn(4, 6), torch.randn(15, 6)
    found = make_index("exact", gallery).search(queries, 3)
    assert found.items.tolist() == (queries @ gallery.T).argsort(dim=1, descending=True)[:, :3].tolist()
    assert make_index("exact", torch.ones(3, 2)).search(torch.ones(1, 2), 9).items.tolist() == [[0, 1, 2]]
    with pytest.raises(ConfigError, match="the gallery is empty"):
        make_index("exact", torch.zeros(0, 2))


def test_faiss_agrees_or_says_how_to_install_it() -> None:
    gallery = torch.nn.functional.normalize(torch.randn(300, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    if find_spec("faiss") is None:
        with pytest.raises(MissingDependencyError, match=r"pip install 'hilum\[search\]'"):
            make_index("faiss", gallery)
    else:
        assert make_index("faiss", gallery).search(gallery, 1).items[:, 0].tolist() == list(range(300))
