"""Attention rollout against a plain product, and what must hold for any attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hilum.heads.rollout import read_rows, rollout
from tests.oracles.saliency import slow_rollout

SIZES = st.tuples(*(st.integers(1, high) for high in (3, 3, 7)))  # blocks, heads, tokens


def attention(seed: int, blocks: int, heads: int, tokens: int, films: int = 2) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    raw = torch.from_numpy(rng.normal(0, 2, (blocks, films, heads, tokens, tokens)))
    return list(raw.softmax(dim=-1))


@given(st.integers(0, 2**31), SIZES)
def test_it_is_the_product_of_the_blocks(seed: int, sizes: tuple[int, int, int]) -> None:
    weights = attention(seed, *sizes)
    found = rollout(weights)
    assert len(found) == sizes[0]
    for film in range(2):
        for depth, joint in enumerate(found, 1):
            wanted = slow_rollout([block[film].numpy() for block in weights[:depth]])
            np.testing.assert_allclose(joint[film], wanted, atol=1e-12)


@given(st.integers(0, 2**31), SIZES)
def test_rows_are_shares_and_the_order_of_tokens_does_not_matter(seed: int, sizes: tuple[int, int, int]) -> None:
    weights = attention(seed, *sizes)
    joint = rollout(weights)[-1]
    assert float(joint.min()) >= 0
    np.testing.assert_allclose(joint.sum(dim=-1), 1, atol=1e-12)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(sizes[2]))
    moved = rollout([block[..., order, :][..., order] for block in weights])[-1]
    np.testing.assert_allclose(moved, joint[:, order][:, :, order], atol=1e-12)


def test_means_over_heads_may_be_given_instead() -> None:
    weights = attention(3, 2, 4, 5)
    same = rollout([block.mean(dim=1) for block in weights])
    for one, other in zip(rollout(weights), same, strict=True):
        torch.testing.assert_close(one, other)


def test_what_goes_around_the_attention_stays_at_its_place() -> None:
    torch.testing.assert_close(rollout([torch.eye(4).expand(1, 4, 4)])[0][0], torch.eye(4))
    everywhere = torch.full((1, 4, 4), 0.25)
    assert float(rollout([everywhere], residual=0.0)[0][0, 0, 0]) == 0.25
    assert float(rollout([everywhere], residual=0.9)[0][0, 0, 0]) == pytest.approx(0.925)


def test_a_reading_takes_rows_by_its_weights() -> None:
    joint = rollout(attention(1, 2, 2, 4))[-1]
    whole = torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0]], dtype=joint.dtype)
    found = read_rows(joint, whole)
    assert found.shape == (2, 2, 4)
    torch.testing.assert_close(found[:, 0], joint[:, 0])
    torch.testing.assert_close(found[:, 1], joint[:, 1:3].mean(dim=1))
    each = whole.expand(2, 2, 4).clone()
    each[1] = each[1].flip(0)
    torch.testing.assert_close(read_rows(joint, each)[1, 0], joint[1, 1:3].mean(dim=0))
