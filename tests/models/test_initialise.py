"""Starting weights follow the table of `initialise.py`."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from hilum.models.vit import VisionTransformer, vit_config

MORE = {"key_bias": False, "pre_norm": True, "pool_norm": True, "mlp": "swiglu_split", "mlp_norm": True}


@pytest.mark.parametrize("scheme", ["xavier", "trunc_normal"])
@pytest.mark.parametrize("more", [{}, {**MORE, "attention_norm": True}], ids=["plain", "every part"])
def test_the_table(scheme: str, more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = VisionTransformer(
        vit_config("vit_tiny_patch16", depth=2, init=scheme, registers=2, layer_scale=1e-5, image_size=64, **more)
    )
    weights = dict(model.named_parameters())
    for name, (fan_out, fan_in) in {"blocks.0.attn.qkv": (576, 192), "patch_embed.proj": (192, 768)}.items():
        matrix = weights[f"{name}.weight"]
        bound = math.sqrt(6 / (fan_in + fan_out))
        deviation = bound / math.sqrt(3) if scheme == "xavier" else 0.02
        assert matrix.std().item() == pytest.approx(deviation, rel=0.02)
        if scheme == "xavier":
            assert bound * 0.98 < matrix.abs().max().item() <= bound
    for name, value in weights.items():
        if name.endswith("bias"):
            assert value.abs().max() == 0, name
        if "norm" in name and name.endswith("weight"):
            assert torch.equal(value, torch.ones_like(value)), name
        if name.endswith("gamma"):
            assert torch.equal(value, torch.full_like(value, 1e-5)), name
    small = 0.02 if scheme == "xavier" else 1e-6
    assert 0.5 * small < weights["cls_token"].std().item() < 2 * small
    assert weights["reg_token"].abs().max().item() < 1e-5
    assert weights["pos_embed"].std().item() == pytest.approx(0.02, rel=0.05)


def test_the_seed_decides() -> None:
    def build() -> VisionTransformer:
        torch.manual_seed(3)
        return VisionTransformer(vit_config("vit_tiny_patch16", depth=1, image_size=32))

    first, second = build().state_dict(), build().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
