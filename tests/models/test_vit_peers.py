"""The backbone against the networks of transformers and timm with the same random weights, at several sizes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from hilum.models.fill import fill
from hilum.models.pretrained.huggingface_names import to_ours
from hilum.models.vit import VisionTransformer, ViTConfig

SIZES: dict[str, Any] = {
    "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96,
    "image_size": 64, "patch_size": 16,
}  # fmt: skip
OURS: dict[str, Any] = {"image_size": 64, "width": 48, "depth": 2, "heads": 3, "mlp_ratio": 2.0}
DINOV2: dict[str, Any] = {"layer_scale": 1.0, "mask_token": True, "norm_eps": 1e-6}
DINOV3: dict[str, Any] = {
    "position": "none", "rotary": "dinov3", "key_bias": False, "layer_scale": 1.0, "registers": 4, "norm_eps": 1e-5,
    "mask_token": True,
}  # fmt: skip
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # model_type, their options, ours
    "vit": ("vit", {}, {"norm_eps": 1e-12}),
    "dinov2": ("dinov2", {"mlp_ratio": 2}, DINOV2),
    "dinov2 gated": (
        "dinov2", {"mlp_ratio": 2, "use_swiglu_ffn": True}, {**DINOV2, "mlp": "swiglu"}
    ),
    "registers": (
        "dinov2_with_registers", {"mlp_ratio": 2, "num_register_tokens": 3},
        {**DINOV2, "registers": 3, "position_resize": "bicubic_antialias"},
    ),
    "dinov3": ("dinov3_vit", {"num_register_tokens": 4}, DINOV3),
    "dinov3 gated": (
        "dinov3_vit", {"num_register_tokens": 4, "use_gated_mlp": True, "hidden_act": "silu"},
        {**DINOV3, "mlp": "swiglu_split"},
    ),
}  # fmt: skip


def _randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.15)
    return module.eval()


@torch.no_grad()
def _same(ours: VisionTransformer, theirs: Any, sizes: tuple[tuple[int, int], ...]) -> None:
    """The tokens of both for images of some (height, width)."""
    for rows, columns in sizes:
        images = torch.randn(2, 3, rows, columns)
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_equal_to_transformers(case: str, tmp_path: Path) -> None:
    kind, more, options = CASES[case]
    config = transformers.AutoConfig.for_model(kind, **SIZES, **more)
    theirs = _randomised(transformers.AutoModel.from_config(config, attn_implementation="eager"))
    theirs.save_pretrained(tmp_path)
    weights, left = to_ours(load_file(tmp_path / "model.safetensors"), kind)
    assert all("pooler" in name for name in left)
    ours = VisionTransformer(ViTConfig(**OURS, **options)).eval()
    fill(ours, weights, where=case)
    sizes = ((64, 64), (96, 32)) if kind == "dinov3_vit" else ((64, 64),)
    _same(ours, lambda images: theirs(images).last_hidden_state, sizes)
    images = torch.randn(1, 3, 64, 64)
    attentions = theirs(images, output_attentions=True).attentions
    assert len(attentions) == 2
    for block, attention in enumerate(attentions):
        torch.testing.assert_close(ours.attention(images, block), attention, rtol=1e-4, atol=1e-6)


def test_equal_to_transformers_clip() -> None:
    theirs = _randomised(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**SIZES, hidden_act="quick_gelu")))
    weights = {key.removeprefix("vision_model."): value for key, value in theirs.state_dict().items()}
    found: dict[str, Tensor] = {
        "cls_token": weights["embeddings.class_embedding"][None, None],
        "pos_embed": weights["embeddings.position_embedding.weight"][None],
        "patch_embed.proj.weight": weights["embeddings.patch_embedding.weight"],
        **{f"norm_pre.{part}": weights[f"pre_layrnorm.{part}"] for part in ("weight", "bias")},
        **{f"norm.{part}": weights[f"post_layernorm.{part}"] for part in ("weight", "bias")},
    }
    parts = {"layer_norm1": "norm1", "layer_norm2": "norm2", "self_attn.out_proj": "attn.proj", "mlp": "mlp"}
    for key, value in weights.items():
        if match := re.match(r"encoder\.layers\.(\d+)\.(layer_norm\d|self_attn\.out_proj|mlp)\.(.*)", key):
            found[f"blocks.{match[1]}.{parts[match[2]]}.{match[3]}"] = value
    for number in range(2):
        for part in ("weight", "bias"):
            three = [weights[f"encoder.layers.{number}.self_attn.{name}_proj.{part}"] for name in "qkv"]
            found[f"blocks.{number}.attn.qkv.{part}"] = torch.cat(three)
    config = ViTConfig(**OURS, pre_norm=True, patch_bias=False, mlp="quick_gelu", norm_eps=1e-5)
    ours = VisionTransformer(config).eval()
    fill(ours, found, where="CLIP")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        want, raw = theirs(images), ours.forward_intermediates(images)[0]
        torch.testing.assert_close(raw, want.last_hidden_state, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours(images)[:, 0], want.pooler_output, rtol=1e-4, atol=1e-5)


def _from_timm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """timm's names to ours where they differ: LayerScale, packed gates, query, key and value apart."""
    found: dict[str, Tensor] = {}
    for key, value in weights.items():
        key = re.sub(r"gamma_([12])$", r"ls\1.gamma", key)
        if "blocks.0.mlp.fc1_g.weight" not in weights and weights["blocks.0.mlp.fc1.weight"].shape[0] != 96:
            key = key.replace("mlp.fc1.", "mlp.w12.").replace("mlp.fc2.", "mlp.w3.")
        key = re.sub(r"attn\.([qv])_proj\.bias", r"attn.\1_bias", key)
        found[key] = value
    for number in range(2):
        stem = f"blocks.{number}.attn."
        if f"{stem}q_proj.weight" in found:
            found[f"{stem}qkv.weight"] = torch.cat([found.pop(f"{stem}{name}_proj.weight") for name in "qkv"])
    return found


EVA: dict[str, Any] = {"rotary": "eva", "rotary_grid": 3, "key_bias": False, "position_resize": "bicubic_antialias"}
TIMM: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "eva02 tiny": (
        {"swiglu_mlp": True, "use_rot_pos_emb": True, "ref_feat_shape": (3, 3)},
        {**EVA, "mlp": "swiglu", "mlp_ratio": 3.0, "final_norm": False, "pool_norm": True},
    ),
    "eva02 base": (
        {"swiglu_mlp": True, "use_rot_pos_emb": True, "ref_feat_shape": (3, 3), "qkv_fused": False, "scale_mlp": True},
        {**EVA, "mlp": "swiglu_split", "mlp_norm": True, "final_norm": False, "pool_norm": True},
    ),
    "eva02 clip": (
        {"swiglu_mlp": True, "use_rot_pos_emb": True, "ref_feat_shape": (3, 3), "qkv_fused": False, "scale_mlp": True,
         "scale_attn_inner": True, "global_pool": "token"},
        {**EVA, "mlp": "swiglu_split", "mlp_norm": True, "attention_norm": True},
    ),
    "eva": (
        {"scale_mlp": True, "init_values": 0.1},
        {"key_bias": False, "position_resize": "bicubic_antialias", "mlp_norm": True, "layer_scale": 0.1,
         "final_norm": False, "pool_norm": True},
    ),
    "dinov3": (
        {"rope_type": "dinov3", "use_rot_pos_emb": True, "rope_temperature": 100.0, "rope_rotate_half": True,
         "use_abs_pos_emb": False, "num_reg_tokens": 4, "init_values": 0.1, "qkv_bias": True, "use_fc_norm": False},
        {"position": "none", "rotary": "dinov3", "registers": 4, "layer_scale": 0.1, "key_bias": False},
    ),
}  # fmt: skip


@pytest.mark.timm
@pytest.mark.parametrize("case", TIMM)
def test_equal_to_timms_eva(case: str) -> None:
    timm = pytest.importorskip("timm", reason="needs hilum[timm]")
    more, options = TIMM[case]
    size: dict[str, Any] = {"img_size": 64, "embed_dim": 48, "depth": 2, "num_heads": 3, "mlp_ratio": 2.0}
    theirs = _randomised(timm.models.eva.Eva(**size, num_classes=0, dynamic_img_size=True, **more))
    ours = VisionTransformer(ViTConfig(**{**OURS, **options})).eval()
    fill(ours, _from_timm(theirs.state_dict()), where=case)
    _same(ours, theirs.forward_features, ((64, 64), (96, 96), (32, 80)))
    if options.get("pool_norm"):
        images = torch.randn(2, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(ours.pooled_mean(ours(images)), theirs(images), rtol=1e-4, atol=1e-5)
