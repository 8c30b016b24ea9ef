"""ConvNeXt: the names of four releases to transformers' features, the real sizes, variants refused by name."""

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
from hilum.models.convnext import ConvNext, ConvNextConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.convnext import LAYOUT
from hilum.released.source import Source
from tests.models.tiny_convolutions import films, stirred

SIZES: dict[str, Any] = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 2, 1, 1]}
TO_TIMM = ((r"^norm\.", "head.norm."),)
TO_FACEBOOK = (
    (r"^stem\.", "downsample_layers.0."), (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
    (r"^stages\.(\d)\.blocks\.", r"stages.\1."), (r"\.conv_dw\.", ".dwconv."), (r"\.mlp\.fc1\.", ".pwconv1."),
    (r"\.mlp\.fc2\.", ".pwconv2."), (r"\.mlp\.grn\.weight", ".grn.gamma"), (r"\.mlp\.grn\.bias", ".grn.beta"),
)  # fmt: skip


def network(**changes: Any) -> ConvNext:
    torch.manual_seed(0)
    sizes = {"widths": (8, 12, 16, 24), "blocks": (1, 2, 1, 1), "layer_scale": 1e-6, **changes}
    model: ConvNext = stirred(ConvNext(ConvNextConfig(**sizes)))
    return model


def renamed(model: ConvNext, rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """Weights in others' names, with a classifier."""
    found = {"head.fc.weight": torch.zeros(5, 24), "head.fc.bias": torch.zeros(5)}
    for name, value in model.state_dict().items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        found[name] = value[None, None, None] if name.endswith((".grn.gamma", ".grn.beta")) else value
    return found


def load(folder: Path, weights: dict[str, Tensor], **options: Any) -> hilum.Encoder:
    save_file({key: value.contiguous() for key, value in weights.items()}, folder / "file.safetensors")
    return hilum.load(folder / "file.safetensors", **options)


@pytest.mark.parametrize("version", ["first", "second"])
@pytest.mark.parametrize("rules", [TO_TIMM, TO_FACEBOOK], ids=["timm", "facebook"])
def test_other_names_give_the_same_features(rules: Any, version: str, tmp_path: Path) -> None:
    model = network() if version == "first" else network(layer_scale=None, response_norm=True)
    encoder = load(tmp_path, {f"module.{key}": value for key, value in renamed(model, rules).items()})
    assert encoder.model.config == model.config
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(films(2, 70, 3)), model(films(2, 70, 3))[:, 0], rtol=0, atol=0)
    assert (encoder.origin["layout"], encoder.preprocessing.resize_to) == ("convnext", 256)
    assert any("head.fc.bias" in note and "the classifier" in note for note in encoder.origin["notes"])


def test_linear_layers_stored_as_convolutions(tmp_path: Path) -> None:
    weights = renamed(network(), TO_TIMM)
    weights = {k: v[:, :, None, None] if re.search(r"mlp\.fc\d\.weight", k) else v for k, v in weights.items()}
    encoder = load(tmp_path, weights)
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed(films(1, 64, 3)), network()(films(1, 64, 3))[:, 0], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["first", "second", "dinov3"])
def test_transformers_gives_the_same(kind: str, tmp_path: Path) -> None:
    import transformers

    name = {"first": "ConvNext", "second": "ConvNextV2", "dinov3": "DINOv3ConvNext"}[kind]
    config = getattr(transformers, f"{name}Config")(**SIZES)
    torch.manual_seed(0)
    theirs = stirred(getattr(transformers, f"{name}Model")(config))
    with torch.no_grad():
        for key, value in theirs.state_dict().items():
            if key.endswith("layer_scale_parameter"):
                value.uniform_(0.5, 1.5)
    theirs.save_pretrained(tmp_path / "folder")
    encoder = hilum.load(tmp_path / "folder")
    images = films(2, 96, 3)
    with torch.no_grad():
        expected = theirs(images)
        pooled, last = expected.pooler_output, expected.last_hidden_state
        torch.testing.assert_close(encoder.embed(images), pooled, rtol=1e-4, atol=1e-5)
        if kind == "dinov3":  # its cells pass the norm, as ours do
            torch.testing.assert_close(encoder.model(images), last, rtol=1e-4, atol=1e-5)
        else:
            torch.testing.assert_close(encoder.model.forward_stages(images)[3], last, rtol=1e-4, atol=1e-5)  # type: ignore[union-attr]
    pixels = encoder.preprocessing
    assert (pixels.resize, pixels.resize_to) == (("squeeze", None) if kind == "dinov3" else ("shortest", 256))


@pytest.mark.parametrize(
    ("widths", "blocks", "parameters"),
    [
        ((96, 192, 384, 768), (3, 3, 9, 3), 27_820_128),
        ((96, 192, 384, 768), (3, 3, 27, 3), 49_454_688),
        ((128, 256, 512, 1024), (3, 3, 27, 3), 87_566_464),
        ((192, 384, 768, 1536), (3, 3, 27, 3), 196_230_336),
    ],
)
def test_the_real_sizes(widths: Any, blocks: Any, parameters: int) -> None:
    with torch.device("meta"):
        model = ConvNext(ConvNextConfig(widths=widths, blocks=blocks))
        tensors = renamed(model, TO_FACEBOOK)
    source = Source(Path("convnext.pth"), tensors)
    assert layout_of(source) == "convnext"
    found = LAYOUT.read(source, Asked(image_size=384))
    assert found.architecture == ConvNextConfig(image_size=384, widths=widths, blocks=blocks)
    assert {k: v.shape for k, v in found.image.items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert len(found.image) + len(found.dropped) == len(tensors)
    assert sum(part.numel() for part in model.parameters()) == parameters
    assert (found.preprocessing.resize, found.preprocessing.resize_to) == ("squeeze", None)


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    weights: dict[str, Any] = {**renamed(network(), TO_TIMM), **{k.replace("__", "."): v for k, v in changes.items()}}
    return {key: value for key, value in weights.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed(stem__2__weight=torch.zeros(8)), "does not build: its patches overlap"),
        (changed(stem__0__weight=torch.zeros(8, 3, 2, 2)), "does not build: its first convolution is not 4 x 4"),
        (changed(norm_pre__weight=torch.zeros(24)), "it normalises before it takes the mean"),
        (changed(stages__1__blocks__1__norm__weight=None), "stages.1.blocks.1.norm.weight is missing"),
        (changed(stages__3__blocks__0__gamma=torch.zeros(3)), r"gamma is \(3,\) and must be \(24,\)"),
        (changed(stages__0__blocks__0__extra__weight=torch.zeros(3)), "no place for: stages.0.blocks.0.extra.weight"),
        (changed(head__norm__weight=None), "has a ConvNeXt without norm.weight"),
    ],
)
def test_variants_and_broken_files_are_refused(tensors: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path, tensors)


def test_variants_that_only_their_name_tells(tmp_path: Path) -> None:
    save_file(renamed(network(), TO_TIMM), tmp_path / "model.safetensors")
    config: dict[str, Any] = {"architecture": "convnext_xxlarge", "pretrained_cfg": {"input_size": [3, 256, 256]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="of timm's convnext_xxlarge its LayerNorm has another epsilon"):
        hilum.load(tmp_path)
    config = {**config, "architecture": "convnext_tiny", "model_args": {"norm_eps": 1e-5}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    sizes: Any = hilum.load(tmp_path).model.config
    assert (sizes.norm_eps, sizes.image_size) == (1e-5, 256)
