"""A folder that `transformers.AutoModel.from_pretrained` loads, without code of ours.

| encoder | becomes |
|---|---|
| plain | ViTModel |
| LayerScale, gated MLP or mask token | Dinov2Model |
| the same, or plain, with registers | Dinov2WithRegistersModel |
| rotary "dinov3" | DINOv3ViTModel |

Where a model of theirs has a part that ours lacks, the part is written as nothing: LayerScale of ones, a mask token of
zeros, a pooler that hands the class token on (identity matrix, linear activation; transformers before pooler_act puts
tanh on it). Products with 1 and sums with 0 are exact, so every token is ours. The key `hilum` of config.json
keeps our own record, so that `hilum.load` restores the encoder as it was, whatever the family could not say.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from hilum.checkpoint import CONFIG, WEIGHTS, write_weights
from hilum.encoder import Encoder
from hilum.exporting.formats import Written
from hilum.exporting.limits import check_fields, refusal, vit_sizes
from hilum.exporting.processor import PIL, PROCESSOR, processor
from hilum.model_card import Loading
from hilum.models.mlp import hidden_width
from hilum.models.pretrained.huggingface_names import Family, to_theirs
from hilum.models.rotary import ROTARY_BASES
from hilum.models.vit import ViTConfig

MODELS: Final[dict[Family, str]] = {
    "vit": "ViTModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
}
# position_resize that a model applies itself, as transformers 5 has it; rotary positions need none
RESIZES: Final[dict[Family, str]] = {
    "vit": "bicubic",
    "dinov2": "bicubic",
    "dinov2_with_registers": "bicubic_antialias",
}
_EVERY: Final[dict[str, tuple[Any, ...]]] = {  # what holds in all four
    "class_token": (True,),
    "final_norm": (True,),
    "pre_norm": (False,),
    "pool_norm": (False,),
    "mlp_norm": (False,),
    "attention_norm": (False,),
    "patch_bias": (True,),
    "rotary_grid": (None,),
}
_TABLE: Final[dict[str, tuple[Any, ...]]] = {"position": ("learned", "sincos"), "rotary": (None,), "key_bias": (True,)}
LIMITS: Final[dict[Family, dict[str, tuple[Any, ...]]]] = {
    "vit": {**_EVERY, **_TABLE, "mlp": ("gelu", "quick_gelu")},
    "dinov2": {**_EVERY, **_TABLE, "mlp": ("gelu", "quick_gelu", "swiglu")},
    "dinov2_with_registers": {**_EVERY, **_TABLE, "mlp": ("gelu", "quick_gelu", "swiglu")},
    "dinov3_vit": {**_EVERY, "position": ("none",), "mlp": ("gelu", "quick_gelu", "swiglu_split")},
}


def write(encoder: Encoder, folder: Path) -> Written:
    """Write config.json, model.safetensors and, where it can say our pixels, preprocessor_config.json.

    Raises:
        ConfigError: no model of transformers holds this encoder; names the field.
    """
    sizes = vit_sizes(encoder, "transformers")
    family = family_for(sizes)
    check_fields(sizes, LIMITS[family], f"transformers' {MODELS[family]}")
    if sizes.stride != sizes.patch_size:
        raise refusal("patch_stride", sizes.stride, f"transformers' {MODELS[family]}")
    weights = {key: value.detach() for key, value in encoder.model.state_dict().items()}
    theirs = to_theirs({**weights, **_nothing(sizes, family, weights)}, family)
    if family == "vit":  # a pooler that hands the class token on
        like = weights["norm.weight"]
        theirs["pooler.dense.weight"] = torch.eye(sizes.width, dtype=like.dtype, device=like.device)
        theirs["pooler.dense.bias"] = torch.zeros_like(like)
    write_weights(folder / WEIGHTS, theirs, {"format": "pt"})
    config = {**_config(sizes, family, weights), "hilum": encoder.describe()}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    pixels, notes = processor(encoder.preprocessing)
    if pixels is not None:
        (folder / PROCESSOR).write_text(json.dumps(pixels, indent=2) + "\n")
    return Written(
        f"{MODELS[family]} of {len(theirs)} tensors",
        Loading("transformers", _lines(encoder, sizes, processed=pixels is not None), (*notes, *_notes(sizes, family))),
        () if encoder.towers is None else ("the report encoder, which this format has no place for",),
    )


def family_for(sizes: ViTConfig) -> Family:
    """The family that holds these sizes best; whether it holds all of them, `LIMITS` says."""
    if sizes.rotary == "dinov3":
        return "dinov3_vit"
    if sizes.registers:
        return "dinov2_with_registers"
    return "dinov2" if sizes.layer_scale is not None or sizes.mlp == "swiglu" or sizes.mask_token else "vit"


def _nothing(sizes: ViTConfig, family: Family, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ours that the family demands and this encoder does not have, so chosen that they change nothing."""
    like, added = weights["norm.weight"], dict[str, Tensor]()
    if family != "vit" and sizes.layer_scale is None:
        for index in range(sizes.depth):
            added |= {f"blocks.{index}.ls{part}.gamma": torch.ones_like(like) for part in (1, 2)}
    if family in ("dinov2_with_registers", "dinov3_vit") and not sizes.mask_token:
        added["mask_token"] = torch.zeros_like(like)[None]
    if family == "dinov3_vit" and not sizes.registers:
        added["reg_token"] = like.new_zeros(1, 0, sizes.width)
    return added


def _config(sizes: ViTConfig, family: Family, weights: dict[str, Tensor]) -> dict[str, Any]:
    """Their config.json."""
    hidden = hidden_width(sizes.width, sizes.mlp_ratio)
    config: dict[str, Any] = {
        "model_type": family,
        "architectures": [MODELS[family]],
        "dtype": str(weights["norm.weight"].dtype).removeprefix("torch."),
        "hidden_size": sizes.width,
        "num_hidden_layers": sizes.depth,
        "num_attention_heads": sizes.heads,
        "image_size": sizes.image_size,
        "patch_size": sizes.patch_size,
        "num_channels": sizes.channels,
        "layer_norm_eps": sizes.norm_eps,
        "hidden_act": sizes.mlp if sizes.mlp == "quick_gelu" else "gelu",
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
    }
    if family == "vit":
        plain = {"qkv_bias": sizes.qkv_bias, "intermediate_size": hidden}
        return {**config, **plain, "pooler_act": "linear", "pooler_output_size": sizes.width}
    config["layerscale_value"] = 1.0 if sizes.layer_scale is None else sizes.layer_scale
    config["drop_path_rate"] = 0.0
    if family == "dinov3_vit":
        keys = sizes.qkv_bias and sizes.key_bias
        gated = sizes.mlp == "swiglu_split"
        return {
            **config,
            "hidden_act": "silu" if gated else config["hidden_act"],
            "intermediate_size": hidden,
            "use_gated_mlp": gated,
            "mlp_bias": True,
            "query_bias": sizes.qkv_bias,
            "key_bias": keys,
            "value_bias": sizes.qkv_bias,
            "proj_bias": True,
            "num_register_tokens": sizes.registers,
            "rope_theta": sizes.rotary_base or ROTARY_BASES["dinov3"],
            "pos_embed_rescale": None,
        }
    if hidden % sizes.width:  # their config takes whole numbers only
        raise refusal("mlp_ratio", sizes.mlp_ratio, f"transformers' {MODELS[family]}")
    config |= {"qkv_bias": sizes.qkv_bias, "mlp_ratio": hidden // sizes.width, "use_swiglu_ffn": sizes.mlp == "swiglu"}
    if family == "dinov2_with_registers":
        return {**config, "num_register_tokens": sizes.registers}
    return {**config, "use_mask_token": sizes.mask_token}


def _lines(encoder: Encoder, sizes: ViTConfig, *, processed: bool) -> str:
    """The Python that loads it and reads the encoder's vector."""
    first = 1 + sizes.registers
    read = {
        "cls": "tokens[:, 0]",
        "mean": f"tokens[:, {first}:].mean(dim=1)",
        "cls+mean": f"torch.cat([tokens[:, 0], tokens[:, {first}:].mean(dim=1)], dim=1)",
    }[encoder.pool]
    ready = [
        f'processor = AutoImageProcessor.from_pretrained("{{here}}", {PIL})',
        'pixels = processor(Image.open("film.png").convert("RGB"), return_tensors="pt")["pixel_values"]',
    ]
    by_hand = f"pixels = ...  # (1, {sizes.channels}, {sizes.image_size}, {sizes.image_size}), made as below"
    return "\n".join(
        [
            "import torch",
            *(["from PIL import Image"] if processed else []),
            f"from transformers import {'AutoImageProcessor, ' if processed else ''}AutoModel",
            "",
            'model = AutoModel.from_pretrained("{here}").eval()',
            *(ready if processed else [by_hand]),
            "with torch.no_grad():",
            f"    tokens = model(pixel_values=pixels).last_hidden_state  # (1, {first} + patches, {sizes.width})",
            f"features = {read}",
        ]
    )


def _notes(sizes: ViTConfig, family: Family) -> tuple[str, ...]:
    """Where the network of transformers differs from ours."""
    if family not in RESIZES:
        return ()
    native = f"{sizes.image_size} x {sizes.image_size} px"
    if sizes.position_resize != RESIZES[family]:
        return (
            f"at {native} every token is the encoder's; at other sizes transformers resizes the position table by its "
            f"own rule ({RESIZES[family]}), not the encoder's ({sizes.position_resize}), and features differ",
        )
    asked = " (with interpolate_pos_encoding=True)" if family == "vit" else ""
    return (f"films of other sizes than {native} work as in the encoder{asked}",)
