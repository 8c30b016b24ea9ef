"""A folder for transformers: AutoModel gives every token, the way back gives every bit, pixels are ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModel

import hilum
from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.exporting.formats import export_encoder
from hilum.models.pretrained.huggingface_names import to_ours
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.schema import Preprocessing
from tests.exporting.encoders import PIXELS, batch, film, vit_encoder

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("ViTModel", {}),
    "sine-cosine": ("ViTModel", {"position": "sincos"}),
    "quick gelu, no qkv bias": ("ViTModel", {"mlp": "quick_gelu", "qkv_bias": False, "norm_eps": 1e-5}),
    "uneven mlp": ("ViTModel", {"mlp_ratio": 2.5}),
    "layer scale": ("Dinov2Model", {"layer_scale": 0.1, "mask_token": True}),
    "gated": ("Dinov2Model", {"mlp": "swiglu"}),
    "registers": ("Dinov2WithRegistersModel", {"registers": 4, "layer_scale": 1.0}),
    "plain registers": ("Dinov2WithRegistersModel", {"registers": 2}),
    "dinov3": (
        "DINOv3ViTModel",
        {"rotary": "dinov3", "position": "none", "registers": 3, "layer_scale": 0.1, "key_bias": False},
    ),
    "dinov3 gated": ("DINOv3ViTModel", {"rotary": "dinov3", "position": "none", "mlp": "swiglu_split"}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_token_and_every_bit(case: str, tmp_path: Path) -> None:
    name, sizes = CASES[case]
    encoder = vit_encoder(**sizes)
    exported = export_encoder(encoder, "huggingface", tmp_path / "out")
    assert exported.lines()[0].startswith(name)
    model, loading = AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    model.eval()
    assert type(model).__name__ == name
    assert not any(loading[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        seen = model(pixel_values=batch())
        expected = encoder.model.forward_features(batch())
    torch.testing.assert_close(seen.last_hidden_state, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.pooler_output, expected[:, 0], atol=1e-5, rtol=0)
    again = hilum.load(tmp_path / "out")
    assert (again.model.config, again.preprocessing) == (encoder.model.config, encoder.preprocessing)
    assert {key: value.tolist() for key, value in again.model.state_dict().items()} == {
        key: value.tolist() for key, value in encoder.model.state_dict().items()
    }
    config = json.loads((tmp_path / "out/config.json").read_text())
    back, left = to_ours(load_file(tmp_path / "out/model.safetensors"), config["model_type"])
    assert set(left) <= {"pooler.dense.weight", "pooler.dense.bias"}
    for key, value in encoder.model.state_dict().items():
        assert torch.equal(back.pop(key), value), key
    for key, value in back.items():  # what the family demands beyond ours says nothing
        assert value.numel() == 0 or value.unique().tolist() == [float(key.endswith("gamma"))], key


@pytest.mark.parametrize(
    ("sizes", "asked"),
    [
        ({}, {"interpolate_pos_encoding": True}),
        ({"layer_scale": 0.1}, {}),
        ({"registers": 2, "position_resize": "bicubic_antialias"}, {}),
        ({"rotary": "dinov3", "position": "none"}, {}),
    ],
)
def test_other_sizes_where_the_rules_agree(sizes: dict[str, Any], asked: dict[str, Any], tmp_path: Path) -> None:
    encoder = vit_encoder(**sizes)
    exported = export_encoder(encoder, "huggingface", tmp_path / "out")
    assert not any("differ" in note and "other sizes" in note for note in exported.written.loading.notes)
    model = AutoModel.from_pretrained(tmp_path / "out").eval()
    images = batch(1, 24, 48)
    with torch.no_grad():
        seen = model(pixel_values=images, **asked).last_hidden_state
        torch.testing.assert_close(seen, encoder.model.forward_features(images), atol=1e-5, rtol=0)


def test_where_the_rules_differ_the_card_says_so(tmp_path: Path) -> None:
    encoder = vit_encoder(layer_scale=0.1, position_resize="bicubic_offset")
    export_encoder(encoder, "huggingface", tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert (
        "transformers resizes the position table by its own rule (bicubic), not the encoder's (bicubic_offset)" in card
    )
    model = AutoModel.from_pretrained(tmp_path / "out").eval()
    images = batch(1, 48, 48)
    with torch.no_grad():
        seen = model(pixel_values=images).last_hidden_state
        assert not torch.allclose(seen, encoder.model.forward_features(images), atol=1e-3)


RECORDS = {
    "squeezed": PIXELS,
    "shortest": Preprocessing(size=32, resize="shortest", eight_bit=True, interpolation="bilinear"),
    "cropped": Preprocessing(
        size=32, resize="shortest", resize_to=38, eight_bit=True, mean=(0.53,) * 3, std=(0.26,) * 3
    ),
    "wide range": Preprocessing(size=32, eight_bit=True, mean=(0.5,) * 3, std=(1 / 2048,) * 3),
}


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("shape", [(50, 40), (32, 32), (33, 64)])
def test_the_image_processor_makes_our_pixels(record: str, shape: tuple[int, int], tmp_path: Path) -> None:
    encoder = vit_encoder(pixels=RECORDS[record])
    export_encoder(encoder, "huggingface", tmp_path / "out")
    grey = film(*shape)
    processor = AutoImageProcessor.from_pretrained(tmp_path / "out", backend="pil")
    seen = processor(Image.fromarray(grey).convert("RGB"), return_tensors="pt")["pixel_values"][0]
    scale = max(1.0, float(encoder.transform(grey).abs().max()) / 10)
    torch.testing.assert_close(seen, encoder.transform(grey), atol=1e-3 * scale, rtol=0)


def test_a_record_in_floating_point_is_within_two_grey_levels_and_says_so(tmp_path: Path) -> None:
    record = Preprocessing(size=32)
    exported = export_encoder(vit_encoder(pixels=record), "huggingface", tmp_path / "out")
    assert any("resizes in 8 bits" in note for note in exported.written.loading.notes)
    processor = AutoImageProcessor.from_pretrained(tmp_path / "out", backend="pil")
    soft = np.array(Image.fromarray(film(10, 8)).resize((80, 100), Image.Resampling.BICUBIC))
    seen = processor(Image.fromarray(soft).convert("RGB"), return_tensors="pt")["pixel_values"][0]
    far = (seen - vit_encoder(pixels=record).transform(soft)).abs().max()
    assert 1e-3 < far < 2 / 255 / 0.224
    whole = film(32, 32)  # nothing to resize: the same to the last digits
    seen = processor(Image.fromarray(whole).convert("RGB"), return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(seen, vit_encoder(pixels=record).transform(whole), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (Preprocessing(size=32, resize="pad"), "resize = 'pad'"),
        (Preprocessing(size=32, rescale="minmax"), "rescale = 'minmax'"),
        (Preprocessing(size=32, antialias=False), "antialias = False"),
        (Preprocessing(size=32, interpolation="area"), "interpolation = 'area'"),
        (Preprocessing(size=32, resize_to=40, reduce="resize"), "reduce = 'resize'"),
    ],
)
def test_pixels_that_cannot_be_said_get_no_processor(record: Preprocessing, word: str, tmp_path: Path) -> None:
    exported = export_encoder(vit_encoder(pixels=record), "huggingface", tmp_path / "out")
    assert not (tmp_path / "out/preprocessor_config.json").exists()
    assert any(word in line for line in exported.lines())
    assert word in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize(
    ("sizes", "field"),
    [
        ({"final_norm": False, "pool_norm": True}, "final_norm = False"),
        ({"pool_norm": True}, "pool_norm = True"),
        ({"rotary": "eva", "mlp": "swiglu_split"}, "rotary = 'eva'"),
        ({"mlp_norm": True}, "mlp_norm = True"),
        ({"pre_norm": True}, "pre_norm = True"),
        ({"class_token": False}, "class_token = False"),
        ({"patch_stride": 4}, "patch_stride = 4"),
        ({"key_bias": False}, "key_bias = False"),
        ({"layer_scale": 0.1, "mlp_ratio": 2.5}, "mlp_ratio = 2.5"),
        ({"rotary": "dinov3"}, "position = 'learned'"),
    ],
)
def test_what_has_no_place_is_refused_by_its_field(sizes: dict[str, Any], field: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^--to: transformers.* has no place for {field}") as error:
        export_encoder(vit_encoder(**sizes), "huggingface", tmp_path / "out")
    assert "Export to hilum or onnx" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_convolutional_network_is_refused(tmp_path: Path) -> None:
    encoder = Encoder(ResNet(ResNetConfig(image_size=32, enlarged=None, planes=2, stem=2, blocks=(1, 1, 1, 1))), PIXELS)
    with pytest.raises(ConfigError, match="no place for family = 'resnet'"):
        export_encoder(encoder, "huggingface", tmp_path / "out")


@pytest.mark.parametrize("pool", ["cls", "mean", "cls+mean"])
def test_the_lines_of_the_card_load_it(pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = vit_encoder(pool, registers=2)
    exported = export_encoder(encoder, "huggingface", tmp_path / "FOLDER")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(film()).save("film.png")
    seen: dict[str, Any] = {}
    exec(exported.written.loading.lines.format(here="FOLDER"), seen)
    torch.testing.assert_close(
        seen["features"], encoder.embed(encoder.transform(np.array(film()))[None]), atol=1e-4, rtol=0
    )


def test_a_released_folder_leaves_as_it_came(shared: Path, tmp_path: Path) -> None:
    folder = shared / "golden/checkpoints/rad_dino"
    encoder = hilum.load(folder)
    export_encoder(encoder, "huggingface", tmp_path / "out")
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    assert set(after) == set(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    told, made = (json.loads((place / "config.json").read_text()) for place in (folder, tmp_path / "out"))
    same = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
    assert {key: told[key] for key in same} == {key: made[key] for key in same}
    grey = Image.fromarray(film(90, 75)).convert("RGB")
    pixels = [
        AutoImageProcessor.from_pretrained(place, backend="pil")(grey, return_tensors="pt")["pixel_values"]
        for place in (folder, tmp_path / "out")
    ]
    assert torch.equal(*pixels)
