"""One space for films and reports: shapes, pools, and rules that cannot be built."""

from __future__ import annotations

import pytest
import torch

from hilum.errors import ConfigError
from hilum.models.text import TextConfig
from hilum.models.towers import Towers, TowersConfig

TEXT = TextConfig(width=12, depth=1, heads=2, hidden=24, positions=10)


def build(config: TowersConfig) -> Towers:
    torch.manual_seed(0)
    return Towers(config, image_width=8, patches=9, vocabulary=30)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_everything_lands_in_one_space(head: str) -> None:
    dim = 12 if head == "linear" else 6
    config = TowersConfig(text=TEXT, dim=dim, hidden=20, head=head, position_weight=head == "linear")  # type: ignore[arg-type]
    towers = build(config)
    tokens, ids = torch.randn(4, 10, 8), torch.randint(1, 30, (4, 10))
    features = towers.text(ids, torch.ones_like(ids))
    assert towers.image_global(tokens).shape == (4, dim)
    assert towers.image_local(tokens[:, 1:]).shape == (4, 9, dim)
    assert towers.text_global(features).shape == (4, dim)
    assert towers.text_local(features.tokens).shape == (4, 10, dim)
    assert (towers.position is not None) == (head == "linear")


def test_a_linear_head_commutes_with_the_mean() -> None:
    towers = build(TowersConfig(text=TEXT, dim=12))
    tokens = torch.randn(3, 10, 8)
    torch.testing.assert_close(towers.image_global(tokens), towers.image_local(tokens[:, 1:]).mean(1))


def test_the_class_token_and_the_first_word_can_speak() -> None:
    towers = build(TowersConfig(text=TEXT, dim=12, image_pool="cls", text_pool="first"))
    tokens, ids = torch.randn(3, 10, 8), torch.randint(1, 30, (3, 10))
    changed = torch.cat([tokens[:, :1], torch.randn(3, 9, 8)], dim=1)
    assert torch.equal(towers.image_global(tokens), towers.image_global(changed))
    features = towers.text(ids, torch.ones_like(ids))
    assert torch.equal(towers.text_global(features), features.tokens[:, 0])


def test_widths_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ConfigError, match="12 wide"):
        TowersConfig(text=TEXT, dim=768)
