"""One ONNX file runs in onnxruntime as the encoder does: any batch, any size, every rule, every kind of network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import MissingDependencyError
from hilum.exporting.formats import export_encoder
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.schema import Preprocessing
from tests.exporting.encoders import PIXELS, batch, shake, vit_encoder

pytest.importorskip("onnxscript", reason="needs hilum[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs hilum[onnx]")

VITS: dict[str, tuple[str, dict[str, Any]]] = {
    "bicubic": ("cls", {}),
    "antialiased, registers, gated": (
        "mean",
        {"position_resize": "bicubic_antialias", "registers": 2, "layer_scale": 0.1, "mlp": "swiglu"},
    ),
    "offset": ("cls+mean", {"position_resize": "bicubic_offset", "qkv_bias": False}),
    "eva": (
        "mean",
        {
            "rotary": "eva",
            "rotary_grid": 4,
            "mlp": "swiglu_split",
            "mlp_norm": True,
            "attention_norm": True,
            "key_bias": False,
            "pool_norm": True,
            "final_norm": False,
        },
    ),
    "dinov3": ("cls", {"rotary": "dinov3", "position": "none", "registers": 2}),
    "clip": ("cls", {"pre_norm": True, "patch_bias": False, "mlp": "quick_gelu"}),
}


def session_of(folder: Path) -> Any:
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "files.json", "model.onnx"]
    return onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def check(session: Any, encoder: Encoder, images: torch.Tensor) -> None:
    tokens, vector = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = encoder.model.forward_features(images)
    torch.testing.assert_close(torch.from_numpy(tokens), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.from_numpy(vector), encoder.embed(images), atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", VITS)
def test_any_batch_and_any_size(case: str, tmp_path: Path) -> None:
    pool, sizes = VITS[case]
    encoder = vit_encoder(pool, **sizes)  # type: ignore[arg-type]
    export_encoder(encoder, "onnx", tmp_path / "out")
    session = session_of(tmp_path / "out")
    for count, height, width in ((1, 32, 32), (3, 32, 32), (1, 16, 56), (3, 64, 48), (1, 24, 24)):
        check(session, encoder, batch(count, height, width))


def test_the_file_says_how_films_are_prepared(tmp_path: Path) -> None:
    encoder = vit_encoder(pixels=Preprocessing(size=32, rescale="minmax"))
    exported = export_encoder(encoder, "onnx", tmp_path / "out")
    told = session_of(tmp_path / "out").get_modelmeta().custom_metadata_map
    assert Preprocessing.from_json(json.loads(told["hilum.preprocessing"])) == encoder.preprocessing
    assert json.loads(told["hilum.architecture"])["width"] == 16
    assert (told["hilum.pool"], told["hilum.prefix_tokens"]) == ("cls", "1")
    inputs = session_of(tmp_path / "out").get_inputs()
    assert [node.name for node in session_of(tmp_path / "out").get_outputs()] == ["tokens", "vector"]
    assert inputs[0].name == "images"
    assert [isinstance(side, int) for side in inputs[0].shape] == [False, True, False, False]
    assert "any height and width in steps of 8 px" in "\n".join(exported.lines())


def test_overlapping_patches_keep_their_size(tmp_path: Path) -> None:
    encoder = vit_encoder(patch_stride=4)
    exported = export_encoder(encoder, "onnx", tmp_path / "out")
    check(session_of(tmp_path / "out"), encoder, batch(3))
    assert "the size is fixed" in "\n".join(exported.lines())


@pytest.mark.parametrize("enlarged", [None, 40])
def test_a_resnet(enlarged: int | None, tmp_path: Path) -> None:
    model = ResNet(ResNetConfig(image_size=32, enlarged=enlarged, stem=4, planes=4, blocks=(1, 1, 1, 1)))
    shake(model)
    encoder = Encoder(model, PIXELS, pool="cls")
    export_encoder(encoder, "onnx", tmp_path / "out")
    session = session_of(tmp_path / "out")
    for count in (1, 3):
        check(session, encoder, batch(count))


def test_without_onnx_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hilum\[onnx\]'"):
        export_encoder(vit_encoder(), "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())
