"""Conformance: every head in the table keeps the contract that grid and fine-tuning rely on."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest
import torch

from hilum.config import to_json
from hilum.errors import ConfigError
from hilum.heads import HEADS
from hilum.heads.grid import build_head
from hilum.lookup import lookup


@pytest.mark.parametrize("name", HEADS)
class TestEveryHead:
    def test_shapes_and_gradients(self, name: str) -> None:
        head = build_head(name, 12, 3, seed=0)
        for shape in ((5, 12), (2, 7, 12)):
            out = head(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
            assert out.shape == (*shape[:-1], 3)
        out.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())

    def test_config_is_frozen_and_rebuilds_the_head(self, name: str) -> None:
        factory = lookup(HEADS, name, kind="head")
        config = factory.Config()
        assert is_dataclass(config)
        with pytest.raises(FrozenInstanceError):
            setattr(config, fields(config)[0].name, 1)
        head = build_head(name, 12, 3, config, seed=0)
        again = factory(12, 3, factory.Config(**to_json(head.config)))  # type: ignore[arg-type]
        again.load_state_dict(head.state_dict())
        x = torch.randn(4, 12, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(head(x), again(x))

    def test_the_statistics_of_features_live_in_the_head(self, name: str) -> None:
        x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0)) * 1000 + 5e4
        x[:, 2] = 7.0  # constant: centred, not divided by nothing
        plain, fitted = build_head(name, 6, 2, seed=0), build_head(name, 6, 2, seed=0)
        fitted.get_submodule("standardise").fit(x)  # type: ignore[operator]
        standard = (x - x.mean(0)) / x.std(0, correction=0).masked_fill(torch.arange(6) == 2, 1.0)
        torch.testing.assert_close(fitted(x), plain(standard), rtol=1e-3, atol=1e-6)
        assert {"standardise.mean", "standardise.std"} <= fitted.state_dict().keys()

    def test_first_scores_are_near_one_half(self, name: str) -> None:
        head = build_head(name, 64, 3, seed=0)
        assert head(torch.randn(50, 64)).abs().max() < 0.01

    def test_seeded_start_leaves_the_global_generator_alone(self, name: str) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        one, two = build_head(name, 6, 2, seed=1), build_head(name, 6, 2, seed=1)
        torch.testing.assert_close(torch.rand(3), expected)
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown head 'liner'.*Did you mean 'linear'.*linear, mlp"):
        build_head("liner", 4, 2)
