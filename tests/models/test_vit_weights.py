"""Weights for a network built differently: another grid, fewer parts, positions that learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.models.vit_weights import Part, at_grid, learnable_positions, less

SIZES = ViTConfig(image_size=32, patch_size=8, width=12, depth=1, heads=3, position_resize="bicubic_antialias")


def build(**options: Any) -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(replace(SIZES, **options))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize(
    "options", [{}, {"position": "none"}, {"class_token": False, "rotary": "eva", "rotary_grid": 4}]
)
def test_another_image_size_gives_what_resizing_at_run_time_gives(options: dict[str, Any]) -> None:
    small = build(**options)
    large = VisionTransformer(replace(small.config, image_size=48)).eval()
    large.load_state_dict(at_grid(small.state_dict(), small.config, large.config))
    images = torch.randn(1, 3, 48, 48)
    torch.testing.assert_close(large(images), small(images))


@pytest.mark.parametrize(
    "parts", [("final_norm",), ("pool_norm", "mask_token"), ("final_norm", "pool_norm", "mask_token")]
)
@pytest.mark.parametrize("there", [False, True])
def test_fewer_parts_fill_the_network_that_has_fewer(parts: tuple[Part, ...], there: bool) -> None:
    model = build(pool_norm=there, mask_token=there)
    sizes, weights = less(model.config, model.state_dict(), *parts)
    other = VisionTransformer(sizes).eval()
    other.load_state_dict(weights)
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(other.forward_intermediates(images)[0], model.forward_intermediates(images)[0])
    assert not any(name.startswith("mask_token") for name in weights) or "mask_token" not in parts
    assert "blocks.0.norm1.weight" in weights
    assert ("norm.weight" in weights) == ("final_norm" not in parts)


def test_positions_learn_where_there_are_any() -> None:
    for before, after in (("sincos", "learned"), ("learned", "learned"), ("none", "none")):
        assert learnable_positions(replace(SIZES, position=before)).position == after  # type: ignore[arg-type]
