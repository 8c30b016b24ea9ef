"""A folder in the layout of timm's Hub: `timm.create_model("local-dir:FOLDER", pretrained=True)` loads it.

Our names are timm's, so most tensors go as they are. config.json names one of timm's architectures and the arguments
that give it the encoder's sizes (`model_args`); what is no plain JSON there (norms, gated MLPs) comes with the
architecture. Plain networks become timm's VisionTransformer, rotary and EVA ones its Eva.

Where names or shapes differ: registers have rows in timm's position table, here zeros, which add nothing; the gated MLP
of DINOv2 is `fc1`, `fc2` there (our w12, w3), LayerScale of Eva `gamma_1`, `gamma_2`. The mask token has no place and
stays behind. The key `hilum` of config.json keeps our own record, for `hilum.load`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from hilum.checkpoint import CONFIG, WEIGHTS, write_weights
from hilum.encoder import Encoder
from hilum.exporting.formats import Written
from hilum.exporting.limits import check_fields, refusal, vit_sizes
from hilum.model_card import Loading
from hilum.models.mlp import gated_width, hidden_width
from hilum.models.rotary import ROTARY_BASES
from hilum.models.vit import ViTConfig
from hilum.schema import Preprocessing

# (gated MLP of DINOv2, epsilon of the norms) -> the architecture of timm's VisionTransformer that has them
PLAIN: Final[dict[tuple[bool, float], str]] = {
    (False, 1e-6): "vit_base_patch16_224",
    (False, 1e-5): "vit_base_patch16_clip_224",
    (True, 1e-6): "vit_giant_patch14_dinov2",
}
EVAS: Final[dict[float, str]] = {1e-6: "eva02_base_patch14_224", 1e-5: "vit_small_patch16_dinov3"}
CROPS: Final = {"squeeze": "squash", "shortest": "center", "pad": "border"}  # our rule -> timm's crop_mode


def write(encoder: Encoder, folder: Path) -> Written:
    """Write config.json and model.safetensors.

    Raises:
        ConfigError: timm has no network like it; names the field.
    """
    sizes = vit_sizes(encoder, "timm")
    if sizes.stride != sizes.patch_size:
        raise refusal("patch_stride", sizes.stride, "timm")
    pool = "token" if encoder.pool != "mean" and sizes.class_token else "avg"
    named = _eva(sizes) if is_eva(sizes) else _plain(sizes)
    architecture, arguments = named
    weights = to_timm(encoder.model.state_dict(), sizes)
    pixels, notes = _pretrained_cfg(encoder.preprocessing)
    config = {
        "architecture": architecture,
        "num_classes": 0,
        "num_features": sizes.width,
        "global_pool": pool,
        "model_args": {**_sizes(sizes), **arguments, "num_classes": 0, "global_pool": pool},
        "pretrained_cfg": pixels,
        "hilum": encoder.describe(),
    }
    write_weights(folder / WEIGHTS, weights)
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    left = () if encoder.towers is None else ("the report encoder, which this format has no place for",)
    if sizes.mask_token:
        left = (*left, "the mask token, which only pretraining needs")
    return Written(
        f"timm {architecture} of {len(weights)} tensors", Loading("timm", _lines(encoder, sizes), tuple(notes)), left
    )


def is_eva(sizes: ViTConfig) -> bool:
    """Whether timm's Eva holds it, rather than its VisionTransformer."""
    return sizes.rotary is not None or sizes.mlp == "swiglu_split" or not sizes.key_bias


def to_timm(weights: Mapping[str, Tensor], sizes: ViTConfig) -> dict[str, Tensor]:
    """Our weights under timm's names, all but the mask token."""
    renames = {r"\.mlp\.w12\.": ".mlp.fc1.", r"\.mlp\.w3\.": ".mlp.fc2."}
    if is_eva(sizes):
        renames |= {r"\.ls([12])\.gamma$": r".gamma_\1"}
    theirs: dict[str, Tensor] = {}
    for key, value in weights.items():
        name = key
        for old, new in renames.items():
            name = re.sub(old, new, name)
        if key == "pos_embed" and sizes.registers:  # their rows of the table, between class token and patches
            prefix = int(sizes.class_token)
            rows = value.new_zeros(1, sizes.registers, value.shape[-1])
            value = torch.cat([value[:, :prefix], rows, value[:, prefix:]], dim=1)
        if key != "mask_token":
            theirs[name] = value
    return theirs


def _sizes(sizes: ViTConfig) -> dict[str, Any]:
    """The arguments both classes take."""
    return {
        "img_size": sizes.image_size,
        "patch_size": sizes.patch_size,
        "in_chans": sizes.channels,
        "embed_dim": sizes.width,
        "depth": sizes.depth,
        "num_heads": sizes.heads,
        "qkv_bias": sizes.qkv_bias,
        "init_values": sizes.layer_scale,
        "class_token": sizes.class_token,
    }


def _plain(sizes: ViTConfig) -> tuple[str, dict[str, Any]]:
    """Architecture and arguments of timm's VisionTransformer."""
    place = "timm's VisionTransformer"
    check_fields(sizes, {"patch_bias": (not sizes.pre_norm,)}, place)
    if sizes.final_norm and sizes.pool_norm:
        raise refusal("pool_norm", True, f"{place} with a final norm")
    gated = sizes.mlp == "swiglu"
    if (gated, sizes.norm_eps) not in PLAIN:
        raise refusal("norm_eps", sizes.norm_eps, place)
    hidden = hidden_width(sizes.width, sizes.mlp_ratio)
    act = {} if gated else {"act_layer": "quick_gelu" if sizes.mlp == "quick_gelu" else "gelu"}
    return PLAIN[gated, sizes.norm_eps], {
        "mlp_ratio": ratio_for(2 * gated_width(hidden) if gated else hidden, sizes.width),
        "scale_attn_norm": sizes.attention_norm,
        "scale_mlp_norm": sizes.mlp_norm,
        "pos_embed": "none" if sizes.position == "none" else "learn",
        "reg_tokens": sizes.registers,
        "no_embed_class": False,
        "pre_norm": sizes.pre_norm,
        "final_norm": sizes.final_norm or sizes.pool_norm,
        "fc_norm": sizes.pool_norm,
        **act,
    }


def _eva(sizes: ViTConfig) -> tuple[str, dict[str, Any]]:
    """Architecture and arguments of timm's Eva."""
    place = "timm's Eva"
    check_fields(
        sizes,
        {
            "patch_bias": (not sizes.pre_norm,),
            "mlp": ("gelu", "swiglu", "swiglu_split"),
            "norm_eps": tuple(EVAS),
            "key_bias": (False, not sizes.qkv_bias),
            "mlp_norm": (False, sizes.mlp != "swiglu"),
        },
        place,
    )
    hidden = hidden_width(sizes.width, sizes.mlp_ratio)
    turned = sizes.rotary or "eva"
    return EVAS[sizes.norm_eps], {
        "mlp_ratio": ratio_for(gated_width(hidden) if sizes.mlp == "swiglu" else hidden, sizes.width),
        "qkv_fused": True,
        "swiglu_mlp": sizes.mlp != "gelu",
        "swiglu_align_to": int(sizes.mlp == "swiglu_split"),  # 1: two matrices, as wide as they are
        "scale_mlp": sizes.mlp_norm,
        "scale_attn_inner": sizes.attention_norm,
        "num_reg_tokens": sizes.registers,
        "no_embed_class": False,
        "use_abs_pos_emb": sizes.position != "none",
        "use_rot_pos_emb": sizes.rotary is not None,
        "rope_type": {"eva": "cat", "dinov3": "dinov3"}[turned],
        "rope_temperature": sizes.rotary_base or ROTARY_BASES[turned],
        "rope_rotate_half": turned == "dinov3",
        "ref_feat_shape": None if sizes.rotary_grid is None else [sizes.rotary_grid, sizes.rotary_grid],
        "use_pre_transformer_norm": sizes.pre_norm,
        "use_post_transformer_norm": sizes.final_norm,
        "use_fc_norm": sizes.pool_norm,
        "dynamic_img_size": False,
    }


def ratio_for(hidden: int, width: int) -> float:
    """The ratio that timm's int(width * ratio) takes back to `hidden`."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 1e-6) / width


def _pretrained_cfg(record: Preprocessing) -> tuple[dict[str, Any], list[str]]:
    """Timm's words for the preprocessing record, and what they do not say."""
    lacking = [
        f"{name} = {getattr(record, name)!r}"
        for name, said in (
            ("resize", record.resize in CROPS),
            ("interpolation", record.interpolation in ("bicubic", "bilinear", "lanczos", "nearest")),
            ("antialias", record.antialias),
            ("rescale", record.rescale == "none"),
            ("reduce", record.reduce == "crop" or record.resize_to is None),
            ("fill", record.resize != "pad" or record.fill == "mean"),  # timm fills with the mean
        )
        if not said
    ]
    config = {
        "custom_load": False,
        "input_size": [record.channels, record.size, record.size],
        "fixed_input_size": True,
        "interpolation": record.interpolation,
        "crop_pct": record.seen,
        "crop_mode": CROPS.get(record.resize, "center"),
        "mean": list(record.mean),
        "std": list(record.std),
        "num_classes": 0,
        "pool_size": None,
        "first_conv": "patch_embed.proj",
        "classifier": "head",
    }
    if not lacking:
        notes = [] if record.eight_bit else ["timm's transform resizes in 8 bits, the encoder in floating point"]
        if record.resize != "squeeze" and record.margin != "even":
            notes.append("where a crop leaves an odd margin, timm's crop lies one pixel beside the encoder's")
        return config, notes
    said = f"pretrained_cfg cannot say {', '.join(lacking)} of the preprocessing record"
    return config, [f"{said}: timm's transform would make other pixels, prepare films with hilum's Encoder.transform"]


def _lines(encoder: Encoder, sizes: ViTConfig) -> str:
    """The Python that loads it and reads tokens and vector."""
    first = int(sizes.class_token) + sizes.registers
    vector = "model(images)" if encoder.pool != "cls+mean" else "tokens[:, 0]  # beside the mean of the patch tokens"
    lines = [
        "import timm",
        "",
        'model = timm.create_model("local-dir:{here}", pretrained=True).eval()  # on the Hub: "hf-hub:{here}"',
        f"images = ...  # (B, {sizes.channels}, {sizes.image_size}, {sizes.image_size}), made as below",
        f"tokens = model.forward_features(images)  # (B, {first} + patches, {sizes.width})",
        f"vector = {vector}",
    ]
    return "\n".join(lines)
