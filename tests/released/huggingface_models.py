"""Tiny networks of transformers with random weights, for the tests of what reads and what writes their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    DeiTConfig,
    DeiTModel,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    IJepaConfig,
    IJepaModel,
    ViTConfig,
    ViTForImageClassification,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTModel,
    ViTMSNConfig,
    ViTMSNModel,
)

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "image_size": 32,
    "patch_size": 8,
}
_DECODER = {
    "decoder_hidden_size": 8,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 8,
}
_DINOV3 = {"num_register_tokens": 4}
# name -> (network, configuration, options besides SIZES)
NETWORKS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "vit": (ViTModel, ViTConfig, {}),
    "vit without qkv bias": (ViTModel, ViTConfig, {"qkv_bias": False}),
    "vit of quick gelu": (ViTModel, ViTConfig, {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}),
    "vit fine-tuned": (ViTForImageClassification, ViTConfig, {"num_channels": 1}),
    "deit": (DeiTModel, DeiTConfig, {}),
    "vit_mae": (ViTMAEForPreTraining, ViTMAEConfig, _DECODER),
    "vit_msn": (ViTMSNModel, ViTMSNConfig, {}),
    "ijepa": (IJepaModel, IJepaConfig, {}),
    "dinov2": (Dinov2Model, Dinov2Config, {}),
    "dinov2 gated": (Dinov2Model, Dinov2Config, {"use_swiglu_ffn": True}),
    "dinov2 fine-tuned": (Dinov2ForImageClassification, Dinov2Config, {"use_mask_token": False}),
    "registers": (Dinov2WithRegistersModel, Dinov2WithRegistersConfig, {}),
    "dinov3": (DINOv3ViTModel, DINOv3ViTConfig, _DINOV3),
    "dinov3 without registers": (DINOv3ViTModel, DINOv3ViTConfig, {"rope_theta": 50.0}),
    "dinov3 gated": (DINOv3ViTModel, DINOv3ViTConfig, {**_DINOV3, "use_gated_mlp": True, "hidden_act": "silu"}),
    "dinov3 with all biases": (DINOv3ViTModel, DINOv3ViTConfig, {**_DINOV3, "key_bias": True}),
    "dinov3 without biases": (DINOv3ViTModel, DINOv3ViTConfig, {**_DINOV3, "query_bias": False, "value_bias": False}),
}


def network(name: str) -> Any:
    """A network of `NETWORKS`, every weight drawn: at their initial values many mistakes do not show."""
    kind, config, options = NETWORKS[name]
    torch.manual_seed(0)
    model = kind(config(**{**SIZES, **options})).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model


def saved(name: str, folder: Path) -> Path:
    """The folder of a network of `NETWORKS`, as `save_pretrained` writes it."""
    network(name).save_pretrained(folder)
    return folder


@torch.no_grad()
def tokens(model: Any, images: torch.Tensor) -> torch.Tensor:
    """Its tokens after the final norm, (B, prefix + patches, D)."""
    base = model.base_model if "For" in type(model).__name__ else model
    resized = {} if model.config.model_type.startswith("dino") else {"interpolate_pos_encoding": True}
    if model.config.model_type == "vit_mae":  # nothing hidden, nothing shuffled
        base.config.mask_ratio = 0.0
        count = images.shape[-1] * images.shape[-2] // model.config.patch_size**2
        resized["noise"] = torch.arange(count).float().expand(len(images), -1)
    found: torch.Tensor = base(images, **resized).last_hidden_state
    return found
