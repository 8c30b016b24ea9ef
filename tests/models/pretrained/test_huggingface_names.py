"""Each family of Hugging Face: a saved model under our names and back, every bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    ViTConfig,
    ViTModel,
)

from hilum.models.pretrained.huggingface_names import Family, to_ours, to_theirs

SIZES = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 32}
CASES = {
    "vit": (ViTModel, ViTConfig, {}, "vit"),
    "vit without qkv bias": (ViTModel, ViTConfig, {"qkv_bias": False}, "vit"),
    "dinov2": (Dinov2Model, Dinov2Config, {}, "dinov2"),
    "dinov2 gated": (Dinov2Model, Dinov2Config, {"use_swiglu_ffn": True}, "dinov2"),
    "registers": (Dinov2WithRegistersModel, Dinov2WithRegistersConfig, {}, "dinov2_with_registers"),
    "dinov3": (DINOv3ViTModel, DINOv3ViTConfig, {"num_register_tokens": 4}, "dinov3_vit"),
    "dinov3 gated": (DINOv3ViTModel, DINOv3ViTConfig, {"num_register_tokens": 4, "use_gated_mlp": True}, "dinov3_vit"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_saved_model_goes_there_and_back_bit_for_bit(case: str, tmp_path: Path) -> None:
    network, config, options, family = CASES[case]
    model = network(config(**SIZES, patch_size=16, **options))
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    ours, left = to_ours(saved, family)
    assert set(left) <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert ours["blocks.1.attn.qkv.weight"].shape == (24, 8)
    assert not any("encoder" in key or "layer." in key for key in ours)
    back = to_theirs(ours, family)
    assert set(back) == set(saved) - set(left)
    assert all(torch.equal(back[key], saved[key]) for key in back)


@pytest.mark.parametrize("family", ["vit", "dinov2"])
def test_query_key_and_value_lie_in_this_order(family: Family) -> None:
    prefix = "encoder.layer.3.attention.attention"
    theirs = {f"{prefix}.{part}.bias": torch.full((2,), i) for i, part in enumerate(("query", "key", "value"))}
    ours, _ = to_ours(theirs, family)
    assert ours["blocks.3.attn.qkv.bias"].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_key_without_bias_leaves_two_biases_apart() -> None:
    theirs = {f"layer.0.attention.{part}_proj.bias": torch.ones(2) for part in "qv"}
    ours, _ = to_ours(theirs, "dinov3_vit")
    assert set(ours) == {"blocks.0.attn.q_bias", "blocks.0.attn.v_bias"}
    assert set(to_theirs(ours, "dinov3_vit")) == set(theirs)


def test_a_missing_matrix_is_not_joined() -> None:
    ours, _ = to_ours({"encoder.layer.0.attention.attention.query.weight": torch.ones(2, 2)}, "vit")
    assert set(ours) == {"blocks.0.attn.query.weight"}  # no name of ours, so that filling refuses it


def test_a_tensor_without_a_name_there_is_refused() -> None:
    with pytest.raises(KeyError, match="ls1"):
        to_theirs({"blocks.0.ls1.gamma": torch.ones(2)}, "vit")
