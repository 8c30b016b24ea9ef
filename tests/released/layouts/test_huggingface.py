"""Vision Transformers of transformers: every token of theirs, at their size and at others; what is odd is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel, ViTConfig, ViTModel

import hilum
from hilum.encoder import Encoder
from hilum.errors import CheckpointError
from hilum.models.backbone import build_backbone
from hilum.models.pretrained.huggingface_names import to_ours
from hilum.models.vit import VisionTransformer
from hilum.models.vit import ViTConfig as OurConfig
from hilum.released.asked import Asked
from hilum.released.layouts.huggingface import LAYOUT, OFFSET
from hilum.released.source import Source
from tests.released.huggingface_models import NETWORKS, network, saved, tokens


def config(encoder: Encoder) -> OurConfig:
    assert isinstance(encoder.model.config, OurConfig)
    return encoder.model.config


def edit(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    values = json.loads((folder / "config.json").read_text())
    change(values)
    (folder / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(32, 32), (48, 48), (24, 40)])
def test_every_token_is_theirs(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    model = network(name)
    model.save_pretrained(tmp_path)
    encoder = hilum.load(tmp_path)
    images = torch.randn(2, config(encoder).channels, *size, generator=torch.Generator().manual_seed(1))
    if config(encoder).position_resize == "bicubic_offset":  # the rule of transformers 4; see the next test
        other = VisionTransformer(replace(config(encoder), position_resize="bicubic"))
        other.load_state_dict(encoder.model.state_dict())
        ours = other.eval().forward_features(images)
    else:
        ours = encoder.model.forward_features(images)
    torch.testing.assert_close(ours, tokens(model, images), rtol=1e-5, atol=2e-5)
    assert encoder.origin["layout"] == "huggingface"


@pytest.mark.parametrize("size", ["70x70", "98x98", "56x84"])
def test_rad_dino_is_the_golden_one_at_every_size(size: str, shared: Path) -> None:
    golden = np.load(shared / "golden/checkpoints/rad_dino.npz")
    encoder = hilum.load(shared / "golden/checkpoints/rad_dino")
    assert isinstance(encoder.model, VisionTransformer)
    images = torch.from_numpy(golden[f"in/pixel_values/{size}"])
    close = {"rtol": 1e-4, "atol": 1e-5}
    found = encoder.model.forward_features(images)
    torch.testing.assert_close(found, torch.from_numpy(golden[f"out/{size}/last_hidden_state"]), **close)
    torch.testing.assert_close(encoder.embed(images), torch.from_numpy(golden[f"out/{size}/pooler_output"]), **close)
    first = encoder.model.forward_intermediates(images, encoder.model.config.depth)[0]
    torch.testing.assert_close(first, torch.from_numpy(golden[f"out/{size}/hidden_state_1"]), **close)
    newer = golden[f"out/{size}/last_hidden_state_newer_transformers"]
    assert np.allclose(found.detach(), newer, rtol=1e-4, atol=1e-4) == (size == "70x70")


def test_rad_dino_brings_its_own_pixels_and_says_which_rule(shared: Path) -> None:
    encoder = hilum.load(shared / "golden/checkpoints/rad_dino")
    pixels = encoder.preprocessing
    assert (pixels.size, pixels.resize, pixels.interpolation) == (70, "shortest", "bicubic")
    assert pixels.mean == (0.5307,) * 3
    assert pixels.std == (0.2583,) * 3
    assert config(encoder).heads == 4
    assert OFFSET in encoder.origin["notes"]


def test_the_distillation_token_is_a_register(tmp_path: Path) -> None:
    encoder = hilum.load(saved("deit", tmp_path))
    assert config(encoder).registers == 1
    assert encoder.model.num_prefix_tokens == 2


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("vit", "pooler.dense.bias, pooler.dense.weight: a layer behind the class token"),
        ("vit fine-tuned", "classifier.bias, classifier.weight: the classifier"),
        ("vit_mae", "more: a decoder"),
        ("dinov3 without registers", "embeddings.register_tokens: no registers"),
    ],
)
def test_what_is_left_behind_is_said(name: str, left: str, tmp_path: Path) -> None:
    notes = hilum.load(saved(name, tmp_path)).origin["notes"]
    assert any(left in note for note in notes if note.startswith("dropped"))


@pytest.mark.parametrize("name", ["vit", "vit_mae", "deit", "ijepa", "dinov2", "registers", "dinov3", "dinov2 gated"])
@pytest.mark.parametrize("inside", [False, True], ids=["names of files", "names of modules"])
def test_a_bare_file_is_told_by_its_names(name: str, inside: bool, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / "whole")
    weights = network(name).state_dict() if inside else load_file(folder / "model.safetensors")
    save_file({key: value.contiguous() for key, value in weights.items()}, tmp_path / "bare.safetensors")
    whole, bare = hilum.load(folder), hilum.load(tmp_path / "bare.safetensors", heads=2, image_size=32)
    assert config(bare) == config(whole)
    assert all(torch.equal(value, bare.model.state_dict()[key]) for key, value in whole.model.state_dict().items())
    with pytest.raises(CheckpointError, match=r"width 16 does not divide into 3 heads.*--heads"):
        hilum.load(tmp_path / "bare.safetensors", heads=3)
    assert any(
        "no tensor tells (--heads)" in note for note in hilum.load(tmp_path / "bare.safetensors").origin["notes"]
    )


def test_the_image_side_of_a_larger_model_is_found(tmp_path: Path) -> None:
    folder = saved("vit", tmp_path)
    weights = load_file(folder / "model.safetensors")
    inner = {f"encoder.{key}": value for key, value in weights.items()}
    inner["decoder.bert.encoder.layer.0.attention.self.query.weight"] = torch.zeros(4, 4)
    save_file(inner, folder / "model.safetensors")
    alone = json.loads((folder / "config.json").read_text())
    whole = {"model_type": "vision-encoder-decoder", "encoder": alone, "decoder": {"model_type": "bert"}}
    (folder / "config.json").write_text(json.dumps(whole))
    encoder = hilum.load(folder)
    assert torch.equal(encoder.model.state_dict()["cls_token"], weights["embeddings.cls_token"])


def test_pixels_are_the_folder_s_then_the_family_s(tmp_path: Path) -> None:
    folder = saved("vit fine-tuned", tmp_path)
    encoder = hilum.load(folder)
    assert encoder.preprocessing.mean == (0.5,)
    assert any("no preprocessor_config.json" in note for note in encoder.origin["notes"])
    said = {"image_processor_type": "ViTImageProcessor", "size": 32, "image_mean": [0.4] * 3, "image_std": [0.2] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    assert hilum.load(folder).preprocessing.mean == (0.4,)
    said["image_mean"] = [0.4, 0.5, 0.6]
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match="takes 1 channels, and the preprocessing beside it makes 3"):
        hilum.load(folder)


GIANT = {"hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24, "use_swiglu_ffn": True}
LARGEST = {"hidden_size": 4096, "num_hidden_layers": 40, "num_attention_heads": 32, "intermediate_size": 8192}
GATED = {"use_gated_mlp": True, "hidden_act": "silu", "query_bias": False, "value_bias": False}


@pytest.mark.parametrize(
    ("kind", "settings", "millions"),
    [
        (Dinov2Model, Dinov2Config(image_size=518), 86.6),  # RAD-DINO
        (Dinov2Model, Dinov2Config(image_size=518, **GIANT), 1136.5),
        (ViTModel, ViTConfig(), 85.8),
        (DINOv3ViTModel, DINOv3ViTConfig(num_register_tokens=4, **LARGEST, **GATED), 6716.0),
    ],
)
def test_the_real_sizes_can_be_built(kind: Any, settings: Any, millions: float) -> None:
    with torch.device("meta"):
        theirs = kind(settings)
    source = Source(Path("release"), theirs.state_dict(), settings.to_dict())
    found = LAYOUT.read(source, Asked())
    with torch.device("meta"):
        model = build_backbone(found.architecture)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert shapes == {key: value.shape for key, value in found.image.items()}
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)


def test_networks_that_are_not_built_are_named(tmp_path: Path) -> None:
    folder = saved("vit", tmp_path)
    edit(folder, lambda values: values.update(hidden_act="relu"))
    with pytest.raises(CheckpointError, match="a ViT whose MLP has the activation 'relu', which Hilum does not build"):
        hilum.load(folder)
    edit(folder, lambda values: values.update(hidden_act="gelu", image_size=[16, 64]))
    with pytest.raises(CheckpointError, match="16 x 64 pixels, not squares"):
        hilum.load(folder)
    edit(folder, lambda values: values.update(model_type="swin"))
    with pytest.raises(CheckpointError, match=r"\(model_type swin\)"):
        hilum.load(folder)


def test_two_image_encoders_are_one_too_many(tmp_path: Path) -> None:
    folder = saved("vit", tmp_path)
    weights = load_file(folder / "model.safetensors")
    twice = {f"{side}.{key}": value.clone() for side in ("left", "right") for key, value in weights.items()}
    save_file(twice, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds 2 image encoders"):
        hilum.load(folder)


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_rad_dino_in_the_names_of_dinov2_is_the_same_encoder(prefix: str, shared: Path, tmp_path: Path) -> None:
    """The model card offers a file in DINOv2's own names too, beside its projection head of pretraining."""
    folder = shared / "golden/checkpoints/rad_dino"
    original, _ = to_ours(load_file(folder / "model.safetensors"), "dinov2")  # our names are DINOv2's
    head = {"last_layer.weight_g": torch.ones(32, 1), "last_layer.weight_v": torch.ones(32, 8)}
    for number in (0, 2, 4):
        head |= {f"mlp.{number}.weight": torch.ones(8, 8), f"mlp.{number}.bias": torch.ones(8)}
    whole = {f"{prefix}{key}": value for key, value in original.items()}
    whole |= {f"dino_head.{key}": value for key, value in head.items()} if prefix else {}
    torch.save({"teacher": whole} if prefix else whole, tmp_path / "rad_dino.pth")
    theirs, ours = hilum.load(folder), hilum.load(tmp_path / "rad_dino.pth", heads=4)
    assert config(ours) == config(theirs)
    images = torch.randn(1, 3, 56, 84, generator=torch.Generator().manual_seed(1))
    assert torch.equal(ours.embed(images), theirs.embed(images))
    assert prefix == "" or any("dino_head" in note for note in ours.origin["notes"])
