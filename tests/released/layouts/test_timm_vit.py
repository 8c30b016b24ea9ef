"""timm's names without timm: whose a bare file is, what a folder tells, and EVA-02 in BAAI's own names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.positions import sincos_table
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.timm_vit import LAYOUT
from hilum.released.source import Source

SIZES: dict[str, Any] = {"image_size": 32, "patch_size": 8, "width": 16, "depth": 2, "heads": 2}


def network(**sizes: Any) -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(**{**SIZES, "position_resize": "bicubic_antialias", **sizes})).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight.data, std=0.3)
    return model


def weights(**sizes: Any) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network(**sizes).state_dict().items()}


def bare(tensors: dict[str, Tensor]) -> Source:
    return Source(Path("weights.pth"), tensors)


def folder(path: Path, tensors: dict[str, Tensor], **config: Any) -> Path:
    path.mkdir(exist_ok=True)
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config))
    return path


def test_a_plain_file_is_timms_and_a_sine_cosine_one_maes() -> None:
    tensors = weights()
    assert layout_of(bare(tensors)) == "timm"
    tensors["pos_embed"] = sincos_table(16, (4, 4), class_token=True).float()
    assert layout_of(bare(tensors)) == "mae"
    assert layout_of(bare({**weights(), "decoder_embed.weight": torch.ones(8, 16)})) == "mae"
    assert layout_of(bare(weights(final_norm=False, pool_norm=True))) == "mae"
    assert layout_of(bare(weights(layer_scale=0.1, final_norm=False, pool_norm=True))) == "timm"
    assert LAYOUT.fits is not None
    assert LAYOUT.fits(bare(tensors))  # with --layout timm


def test_metas_files_are_left_to_their_layouts() -> None:
    assert layout_of(bare(weights(mask_token=True, layer_scale=0.1))) == "dinov2"
    assert not LAYOUT.recognise(bare({**weights(), "storage_tokens": torch.zeros(1, 4, 16)}))
    assert not LAYOUT.recognise(bare({"conv1.weight": torch.zeros(1)}))


def test_a_bare_file_says_what_it_assumes(tmp_path: Path) -> None:
    save_file({f"backbone.{key}": value for key, value in weights().items()}, tmp_path / "vit.safetensors")
    encoder = hilum.load(tmp_path / "vit.safetensors")
    notes = encoder.origin["notes"]
    assert "1 heads, the usual number for width 16: no tensor tells (--heads)" in notes
    assert "nothing says which pixels it saw: ImageNet's at 32 px are taken" in notes
    assert encoder.preprocessing.mean == (0.485, 0.456, 0.406)


def test_a_folder_brings_its_pixels_its_heads_and_its_vector(tmp_path: Path) -> None:
    cfg = {"input_size": [3, 32, 32], "crop_pct": 0.8, "interpolation": "bilinear", "mean": [0.1] * 3, "std": [0.2] * 3}
    model = network(final_norm=False, pool_norm=True)
    tensors = {**model.state_dict(), "head.weight": torch.ones(3, 16), "head.bias": torch.ones(3)}
    place = folder(
        tmp_path / "timm",
        tensors,
        architecture="vit_tiny_patch16_224",
        global_pool="avg",
        pretrained_cfg=cfg,
        model_args={"num_heads": 2},
    )
    encoder = hilum.load(place)
    pixels = encoder.preprocessing
    assert (pixels.size, pixels.resize_to, pixels.interpolation, pixels.mean) == (32, 40, "bilinear", (0.1,) * 3)
    assert encoder.pool == "mean"
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(encoder.embed(images), model.pooled_mean(model.forward_features(images)))
    assert any("head.bias, head.weight: the classifier" in note for note in encoder.origin["notes"])


def test_what_no_tensor_tells_is_in_the_name_or_the_arguments() -> None:
    plain = weights()

    def read(tensors: dict[str, Tensor], **config: Any) -> ViTConfig:
        found = LAYOUT.read(Source(Path("timm"), tensors, config), Asked(heads=2)).architecture
        assert isinstance(found, ViTConfig)
        return found

    assert read(plain, architecture="vit_base_patch16_224").norm_eps == 1e-6
    clip = weights(pre_norm=True, patch_bias=False)
    assert read(clip, architecture="vit_base_patch16_clip_quickgelu_224").mlp == "quick_gelu"
    assert read(clip, architecture="vit_base_patch16_clip_224").norm_eps == 1e-5
    assert read(plain, architecture="vit_base_patch16_224", model_args={"act_layer": "quick_gelu"}).mlp == "quick_gelu"
    turned = {"use_rot_pos_emb": True, "rope_type": "cat", "rope_temperature": 50.0, "ref_feat_shape": [8, 8]}
    eva = read(plain, architecture="eva02_base_patch14_224", model_args=turned)
    assert (eva.rotary, eva.rotary_base, eva.rotary_grid) == ("eva", 50.0, 8)
    with pytest.raises(CheckpointError, match="activation 'relu', which Hilum does not build"):
        read(plain, architecture="vit_base_patch16_224", model_args={"act_layer": "relu"})


@pytest.mark.parametrize(
    ("architecture", "why"),
    [
        ("vit_base_patch16_rpn_224", "normalises after each branch"),
        ("vit_base_patch16_rope_224", "those of RoPE-ViT"),
        ("vit_pe_core_base_patch16_224", "those of the Perception Encoder"),
        ("vit_so400m_patch16_siglip_256", "tanh approximation"),
    ],
)
def test_what_has_the_names_but_another_formula_is_refused(architecture: str, why: str) -> None:
    with pytest.raises(CheckpointError, match=f"is a {architecture} of timm, which Hilum does not build.*{why}"):
        LAYOUT.read(Source(Path("timm"), weights(), {"architecture": architecture}), Asked())


def test_attention_pooling_is_left_behind_with_a_note() -> None:
    tensors = {**weights(), "attn_pool.latent": torch.ones(1, 1, 16), "attn_pool.kv.weight": torch.ones(32, 16)}
    found = LAYOUT.read(bare(tensors), Asked(heads=2))
    assert found.pool == "cls"
    assert "its pooling by attention is left out: the class token stands for the film" in found.notes
    classless = LAYOUT.read(bare(weights(class_token=False)), Asked(heads=2))
    assert classless.pool == "mean"


def as_baai(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """EVA-02 under the names of BAAI's pretraining: w1, w2, w3, inner norms, a head and a mask token."""
    renames = {"fc1_g": "w1", "fc1_x": "w2", "fc2": "w3", "mlp.norm": "mlp.ffn_ln", "attn.norm": "attn.inner_attn_ln"}
    theirs = {}
    for key, value in tensors.items():
        name = re.sub(r"^fc_norm\.", "norm.", key)
        for ours, old in renames.items():
            name = name.replace(ours, old)
        theirs[name] = value
    for number in range(2):
        block = f"blocks.{number}.attn."
        for part, value in zip("qkv", theirs.pop(f"{block}qkv.weight").chunk(3), strict=True):
            theirs[f"{block}{part}_proj.weight"] = value
    return {
        **theirs,
        "mask_token": torch.zeros(1, 1, 16),
        "lm_head.weight": torch.ones(4, 16),
        "lm_head.bias": torch.ones(4),
        "rope.freqs_cos": torch.ones(16, 8),
    }


def test_eva02_of_baai_is_read_too() -> None:
    options = {"mlp": "swiglu_split", "mlp_norm": True, "attention_norm": True, "key_bias": False}
    sizes = {"rotary": "eva", "rotary_grid": 16, "final_norm": False, "pool_norm": True, "mlp_ratio": 2.0, **options}
    model = network(**sizes)
    source = bare(as_baai(dict(model.state_dict())))
    assert layout_of(source) == "timm"
    found = LAYOUT.read(source, Asked(heads=2))
    assert found.architecture == model.config
    assert found.pool == "mean"
    assert all(torch.equal(found.image[key], value) for key, value in model.state_dict().items())
    assert {key for key, _ in found.dropped} == {"mask_token", "lm_head.weight", "lm_head.bias", "rope.freqs_cos"}
    source = bare({**source.tensors, "rope.freqs": torch.ones(2, 2)})
    with pytest.raises(CheckpointError, match=r"no place for: rope\.freqs"):
        LAYOUT.read(source, Asked(heads=2))
