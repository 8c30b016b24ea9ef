"""What Hilum exported comes back as it was: every bit, the sizes, the pixels and the vector, from either format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import hilum
from hilum.encoder import Encoder, Pool
from hilum.exporting.formats import export_encoder
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing

SIZES: dict[str, Any] = {"image_size": 32, "width": 16, "depth": 2, "heads": 2, "patch_size": 8}
PIXELS = Preprocessing(size=32, resize="pad", rescale="minmax", mean=(0.4,) * 3, std=(0.2,) * 3)
CASES: dict[str, tuple[str, Pool, dict[str, Any]]] = {
    "plain to transformers": ("huggingface", "mean", {"position_resize": "bicubic_offset", "drop_path": 0.1}),
    "registers without layer scale": ("huggingface", "cls+mean", {"registers": 2}),
    "layer scale and mask token": ("huggingface", "cls", {"layer_scale": 0.1, "mask_token": True}),
    "dinov3": ("huggingface", "cls", {"rotary": "dinov3", "position": "none", "rotary_base": 50.0, "key_bias": False}),
    "plain to timm": ("timm", "mean", {"position_resize": "bicubic", "position": "sincos"}),
    "registers and gate": ("timm", "cls", {"registers": 2, "mlp": "swiglu", "layer_scale": 0.1}),
    "eva": (
        "timm",
        "mean",
        {
            "rotary": "eva",
            "rotary_grid": 4,
            "mlp": "swiglu_split",
            "mlp_ratio": 8 / 3,
            "mlp_norm": True,
            "attention_norm": True,
            "key_bias": False,
            "pool_norm": True,
            "final_norm": False,
        },
    ),
    "clip": ("timm", "cls", {"pre_norm": True, "patch_bias": False, "mlp": "quick_gelu", "norm_eps": 1e-5}),
}


def exported(case: str, folder: Path) -> Encoder:
    form, pool, options = CASES[case]
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(**{**SIZES, **options}))
    for weight in model.parameters():
        torch.nn.init.normal_(weight.data, std=0.3)
    encoder = Encoder(model, PIXELS, {"method": "mae"}, pool=pool)
    export_encoder(encoder, form, folder)
    return encoder


@pytest.mark.parametrize("case", CASES)
def test_every_bit_comes_back(case: str, tmp_path: Path) -> None:
    encoder = exported(case, tmp_path / "out")
    again = hilum.load(tmp_path / "out")
    assert again.model.config == encoder.model.config
    assert (again.preprocessing, again.pool) == (encoder.preprocessing, encoder.pool)
    found, expected = again.model.state_dict(), encoder.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_who_trained_on_has_another_encoder(tmp_path: Path) -> None:
    encoder = exported("registers without layer scale", tmp_path / "out")
    weights = load_file(tmp_path / "out/model.safetensors")
    weights["encoder.layer.1.layer_scale1.lambda1"][3] = 0.5
    save_file(weights, tmp_path / "out/model.safetensors")
    (tmp_path / "out/files.json").unlink(missing_ok=True)
    again = hilum.load(tmp_path / "out")
    assert isinstance(again.model.config, ViTConfig)
    assert again.model.config.layer_scale is not None
    assert again.preprocessing != encoder.preprocessing


def test_a_record_that_cannot_be_read_is_no_record(tmp_path: Path) -> None:
    exported("plain to timm", tmp_path / "out")
    file = tmp_path / "out/config.json"
    for broken in ({"architecture": {"width": "wide"}}, {}, {"kind": "encoder"}, "text"):
        config = json.loads(file.read_text())
        file.write_text(json.dumps({**config, "hilum": broken}))
        (tmp_path / "out/files.json").unlink(missing_ok=True)
        assert isinstance(hilum.load(tmp_path / "out").model, VisionTransformer)
