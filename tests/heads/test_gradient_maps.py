"""Relevance and Grad-CAM against loops, and what scaling a score does to them."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hilum.heads.gradient_maps import grad_cam, relevance
from tests.oracles.saliency import slow_grad_cam, slow_relevance

SIZES = st.tuples(*(st.integers(1, high) for high in (3, 3, 6)))


def drawn(seed: int, blocks: int, heads: int, tokens: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    rng = np.random.default_rng(seed)
    shape = (blocks, 2, heads, tokens, tokens)
    weights = torch.from_numpy(rng.normal(0, 2, shape)).softmax(dim=-1)
    return list(weights), list(torch.from_numpy(rng.normal(0, 1, shape)))


@given(st.integers(0, 2**31), SIZES)
def test_relevance_is_what_the_rule_says(seed: int, sizes: tuple[int, int, int]) -> None:
    weights, gradients = drawn(seed, *sizes)
    found = relevance(weights, gradients)
    for film in range(2):
        parts = [[block[film].numpy() for block in given] for given in (weights, gradients)]
        np.testing.assert_allclose(found[film], slow_relevance(*parts), atol=1e-12)


@given(st.integers(0, 2**31), st.floats(0.01, 100))
def test_what_scaling_a_score_does(seed: int, factor: float) -> None:
    weights, gradients = drawn(seed, 1, 2, 4)
    same = torch.eye(4, dtype=torch.float64)
    one = relevance(weights, gradients) - same
    torch.testing.assert_close(relevance(weights, [factor * g for g in gradients]) - same, factor * one)
    rng = np.random.default_rng(seed)
    places, slopes = (torch.from_numpy(rng.normal(0, 1, (2, 5, 3))) for _ in range(2))
    torch.testing.assert_close(grad_cam(places, factor * slopes), factor * grad_cam(places, slopes))


def test_what_lowers_a_score_is_not_shown() -> None:
    weights, gradients = drawn(0, 2, 2, 3)
    lowered = relevance(weights, [-g.abs() for g in gradients])
    torch.testing.assert_close(lowered, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    places = torch.rand(1, 4, 3)
    assert not grad_cam(places, -torch.rand(1, 4, 3)).any()
    assert grad_cam(places, torch.rand(1, 4, 3)).all()


@given(st.integers(0, 2**31))
def test_grad_cam_is_what_the_equations_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places, slopes = rng.normal(0, 1, (2, 2, 5, 3))
    found = grad_cam(torch.from_numpy(places), torch.from_numpy(slopes))
    for film in range(2):
        np.testing.assert_allclose(found[film], slow_grad_cam(places[film], slopes[film]), atol=1e-12)


def test_behind_a_mean_and_a_linear_layer_it_is_the_class_activation_map() -> None:
    rng = np.random.default_rng(0)
    places = torch.from_numpy(rng.normal(0, 1, (2, 6, 3))).requires_grad_()
    weight = torch.from_numpy(rng.normal(0, 1, 3))
    (places.mean(dim=1) @ weight).sum().backward()
    assert places.grad is not None
    found = grad_cam(places.detach(), places.grad)
    torch.testing.assert_close(found, (places.detach() @ weight / 6).clamp(min=0))
