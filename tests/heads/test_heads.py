"""Conformance: every head in the table keeps the contract that grid and fine-tuning rely on."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest
import torch

from hilum.config import override, to_json
from hilum.errors import ConfigError
from hilum.heads import HEADS
from hilum.heads.grid import build_head
from hilum.heads.inputs import Features
from hilum.heads.taps import Taps
from hilum.lookup import lookup


def reads(name: str) -> str:
    return str(lookup(HEADS, name, kind="head").reads)


POOLED = [name for name in HEADS if reads(name) == "pooled"]
SMALL: dict[str, dict[str, Any]] = {"glori": {"dim": 16, "heads": 2, "feedforward": 24, "dropout": 0.0}}


def config_of(name: str) -> Any:
    """A small configuration whose head says the same twice."""
    return lookup(HEADS, name, kind="head").Config(**SMALL.get(name, {}))


def features(name: str, films: int, width: int, seed: int = 0) -> Features:
    """What the head reads."""
    generator = torch.Generator().manual_seed(seed)
    pooled = torch.randn(films, width, generator=generator)
    return pooled if reads(name) == "pooled" else Taps(pooled, torch.randn(films, 5, width, generator=generator))


@pytest.mark.parametrize("name", HEADS)
class TestEveryHead:
    def test_shapes_and_gradients(self, name: str) -> None:
        head = build_head(name, 12, 3, config_of(name), seed=0)
        out = head(features(name, 5, 12))
        assert out.shape == (5, 3)
        if name in POOLED:
            assert head(torch.randn(2, 7, 12)).shape == (2, 7, 3)
        out.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())

    def test_config_is_frozen_and_rebuilds_the_head(self, name: str) -> None:
        factory, config = lookup(HEADS, name, kind="head"), config_of(name)
        assert is_dataclass(config)
        with pytest.raises(FrozenInstanceError):
            setattr(config, fields(config)[0].name, 1)
        head = build_head(name, 12, 3, config, seed=0)
        again = factory(12, 3, override(factory.Config(), to_json(head.config), where="head"))  # type: ignore[arg-type]
        again.load_state_dict(head.state_dict())
        x = features(name, 4, 12)
        torch.testing.assert_close(head(x), again(x))

    def test_what_it_reads_decides_what_is_read(self, name: str) -> None:
        config = lookup(HEADS, name, kind="head").Config()
        assert reads(name) in ("pooled", "taps")
        assert (hasattr(config, "blocks") and set(config.parts) <= {"cls", "patch"}) is (reads(name) == "taps")

    def test_variants_are_options_and_the_first_is_ours(self, name: str) -> None:
        factory = lookup(HEADS, name, kind="head")
        variants = getattr(factory, "VARIANTS", {"hilum": {}})
        assert variants["hilum"] == {}
        for options in variants.values():
            head = build_head(name, 12, 3, factory.Config(**{**options, **SMALL.get(name, {})}), seed=0)
            assert head(features(name, 2, 12)).shape == (2, 3)
        assert all(0 < lr <= 0.1 for lr in getattr(factory, "LRS", ()))

    def test_first_scores_are_near_one_half(self, name: str) -> None:
        if name == "chexfound-probe":
            pytest.skip("starts from N(0, 0.01), as published")
        head = build_head(name, 64, 3, seed=0)
        assert head(features(name, 50, 64)).abs().max() < 0.01

    def test_seeded_start_leaves_the_global_generator_alone(self, name: str) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        one, two = (build_head(name, 6, 2, config_of(name), seed=1) for _ in range(2))
        torch.testing.assert_close(torch.rand(3), expected)
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", POOLED)
def test_the_statistics_of_features_live_in_the_head(name: str) -> None:
    x = torch.randn(100, 6, generator=torch.Generator().manual_seed(0)) * 1000 + 5e4
    x[:, 2] = 7.0  # constant: centred, not divided by nothing
    plain, fitted = build_head(name, 6, 2, seed=0), build_head(name, 6, 2, seed=0)
    fitted.get_submodule("standardise").fit(x)  # type: ignore[operator]
    standard = (x - x.mean(0)) / x.std(0, correction=0).masked_fill(torch.arange(6) == 2, 1.0)
    torch.testing.assert_close(fitted(x), plain(standard), rtol=1e-3, atol=1e-6)
    assert {"standardise.mean", "standardise.std"} <= fitted.state_dict().keys()


def test_a_wrong_name_lists_the_right_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown head 'liner'.*Did you mean 'linear'.*linear, mlp"):
        build_head("liner", 4, 2)
