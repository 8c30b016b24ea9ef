"""A folder for timm: our tensors under its names, and back, every bit; timm itself reads it in its own environment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import hilum
from hilum.errors import ConfigError
from hilum.exporting.formats import export_encoder
from hilum.exporting.timm import ratio_for
from hilum.schema import Preprocessing
from tests.exporting.encoders import batch, vit_encoder

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("cls", {}),
    "mean of normed tokens": ("mean", {}),
    "norm of the mean": ("mean", {"final_norm": False, "pool_norm": True}),
    "no final norm": ("cls", {"final_norm": False}),
    "no class token": ("mean", {"class_token": False}),
    "registers, layer scale, mask token": ("cls", {"registers": 3, "layer_scale": 0.1, "mask_token": True}),
    "gated": ("cls", {"mlp": "swiglu", "layer_scale": 0.1}),
    "clip": ("cls", {"pre_norm": True, "patch_bias": False, "mlp": "quick_gelu", "norm_eps": 1e-5}),
    "sub-LN": ("cls", {"mlp_norm": True, "attention_norm": True, "mlp_ratio": 2.7}),
    "eva tiny": (
        "mean",
        {
            "rotary": "eva",
            "rotary_grid": 4,
            "mlp": "swiglu",
            "key_bias": False,
            "final_norm": False,
            "pool_norm": True,
        },
    ),
    "eva base": (
        "mean",
        {
            "rotary": "eva",
            "rotary_grid": 2,
            "mlp": "swiglu_split",
            "mlp_norm": True,
            "attention_norm": True,
            "key_bias": False,
            "final_norm": False,
            "pool_norm": True,
            "mlp_ratio": 8 / 3,
        },
    ),
    "dinov3": (
        "cls",
        {
            "rotary": "dinov3",
            "position": "none",
            "registers": 4,
            "layer_scale": 0.1,
            "qkv_bias": False,
            "norm_eps": 1e-5,
        },
    ),
    "beit-like": ("cls", {"key_bias": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_bit_comes_back(case: str, tmp_path: Path) -> None:
    pool, sizes = CASES[case]
    encoder = vit_encoder(pool, **sizes)  # type: ignore[arg-type]
    exported = export_encoder(encoder, "timm", tmp_path / "out")
    again = hilum.load(tmp_path / "out")
    assert (again.preprocessing, again.pool) == (encoder.preprocessing, encoder.pool)
    back, expected = again.model.state_dict(), encoder.model.state_dict()
    assert ("mask_token" in expected) == bool(exported.written.left_behind)
    expected.pop("mask_token", None)
    assert set(back) == set(expected)
    assert all(torch.equal(back[key], value) for key, value in expected.items())
    assert replace(again.model.config, mask_token=encoder.model.config.mask_token) == encoder.model.config


@pytest.mark.timm
@pytest.mark.parametrize("case", CASES)
def test_timm_loads_it_and_sees_the_same(case: str, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    pool, sizes = CASES[case]
    encoder = vit_encoder(pool, **sizes)  # type: ignore[arg-type]
    export_encoder(encoder, "timm", tmp_path / "out")
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    with torch.no_grad():
        expected = encoder.model.forward_features(batch())
        torch.testing.assert_close(model.forward_features(batch()), expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(model(batch()), encoder.embed(batch()), atol=1e-4, rtol=0)
    saved = load_file(tmp_path / "out/model.safetensors")
    theirs = model.state_dict()
    assert set(theirs) == set(saved)
    assert all(torch.equal(theirs[key], saved[key]) for key in saved)


@pytest.mark.timm
@pytest.mark.parametrize("pool", ["cls", "mean", "cls+mean"])
def test_the_lines_of_the_card_load_it(pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm")
    encoder = vit_encoder(pool, registers=2)
    exported = export_encoder(encoder, "timm", tmp_path / "FOLDER")
    monkeypatch.chdir(tmp_path)
    seen: dict[str, Any] = {"images": batch()}
    lines = exported.written.loading.lines.format(here="FOLDER").splitlines()
    exec("\n".join(line for line in lines if not line.startswith("images = ...")), seen)
    assert (encoder.embed(batch())[:, :16] - seen["vector"]).abs().max() < 1e-4


@pytest.mark.timm
@pytest.mark.parametrize(
    "record",
    [
        Preprocessing(size=32, eight_bit=True),
        Preprocessing(size=32, eight_bit=True, resize="shortest", resize_to=36, interpolation="bilinear"),
    ],
)
def test_timms_own_transform_makes_our_pixels(record: Preprocessing, tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    from PIL import Image

    from tests.exporting.encoders import film

    encoder = vit_encoder(pixels=record)
    export_encoder(encoder, "timm", tmp_path / "out")
    model = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    grey = film(72, 72)  # an even margin: crops agree
    seen = transform(Image.fromarray(grey).convert("RGB"))
    torch.testing.assert_close(seen, encoder.transform(grey), atol=1e-3, rtol=0)


def test_the_config_is_that_of_timms_hub(tmp_path: Path) -> None:
    export_encoder(vit_encoder(registers=2), "timm", tmp_path / "out")
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert {"architecture", "num_classes", "num_features", "model_args", "pretrained_cfg"} <= set(config)
    assert config["num_features"] == 16
    assert config["pretrained_cfg"]["input_size"] == [3, 32, 32]
    assert config["pretrained_cfg"]["crop_mode"] == "squash"


@pytest.mark.parametrize(
    ("sizes", "field"),
    [
        ({"patch_stride": 4}, "patch_stride = 4"),
        ({"norm_eps": 1e-12}, "norm_eps = 1e-12"),
        ({"pool_norm": True}, "pool_norm = True"),
        ({"patch_bias": False}, "patch_bias = False"),
        ({"rotary": "eva"}, "key_bias = True"),
        ({"rotary": "eva", "key_bias": False, "mlp": "quick_gelu"}, "mlp = 'quick_gelu'"),
        ({"rotary": "eva", "key_bias": False, "mlp": "swiglu", "mlp_norm": True}, "mlp_norm = True"),
    ],
)
def test_what_has_no_place_is_refused_by_its_field(sizes: dict[str, Any], field: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"no place for {field}"):
        export_encoder(vit_encoder(**sizes), "timm", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("record", "word"), [({"rescale": "minmax"}, "rescale"), ({"resize": "pad"}, "fill = 'black'")]
)
def test_pixels_that_timm_cannot_say_are_named(record: dict[str, Any], word: str, tmp_path: Path) -> None:
    exported = export_encoder(vit_encoder(pixels=Preprocessing(size=32, **record)), "timm", tmp_path / "out")
    assert any(word in line for line in exported.lines())
    assert word in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("width", [192, 384, 768, 1024, 1536])
def test_a_ratio_gives_its_hidden_width_again(width: int) -> None:
    for hidden in range(width, 5 * width, 37):
        assert int(width * ratio_for(hidden, width)) == hidden
