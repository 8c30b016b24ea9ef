"""One ONNX file runs in onnxruntime as the encoder does: any batch, any size, every rule, every kind of network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hilum.encoder import Encoder, Pool
from hilum.errors import MissingDependencyError
from hilum.exporting.formats import export_encoder
from hilum.models.backbone import build_backbone
from hilum.models.clip_resnet import ClipResNetConfig
from hilum.models.convnext import ConvNextConfig
from hilum.models.densenet import DenseNetConfig
from hilum.models.resnet import ResNetConfig
from hilum.schema import Preprocessing
from tests.exporting.encoders import PIXELS, batch, shake, vit_encoder

pytest.importorskip("onnxscript", reason="needs hilum[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs hilum[onnx]")

slow = pytest.mark.slow
EVA = {
    "rotary": "eva",
    "rotary_grid": 4,
    "mlp": "swiglu_split",
    "mlp_norm": True,
    "attention_norm": True,
    "key_bias": False,
    "pool_norm": True,
    "final_norm": False,
}
GATED = {"position_resize": "bicubic_antialias", "registers": 2, "layer_scale": 0.1, "mlp": "swiglu"}
CASES: list[Any] = [  # the vector that is read, the sizes
    pytest.param("cls+mean", {"position_resize": "bicubic_offset", "qkv_bias": False}, id="offset"),
    pytest.param("mean", GATED, id="antialiased, registers, gated"),
    pytest.param("cls", {}, id="bicubic", marks=slow),
    pytest.param("mean", EVA, id="eva", marks=slow),
    pytest.param("cls", {"rotary": "dinov3", "position": "none", "registers": 2}, id="dinov3", marks=slow),
    pytest.param("cls", {"pre_norm": True, "patch_bias": False, "mlp": "quick_gelu"}, id="clip", marks=slow),
]
TINY = (1, 1, 1, 1)
CONVOLUTIONS: list[Any] = [
    pytest.param(ResNetConfig(image_size=64, enlarged=None, stem=4, planes=4, blocks=TINY), id="resnet"),
    pytest.param(ResNetConfig(image_size=64, enlarged=80, stem=4, planes=4, blocks=TINY), id="enlarged", marks=slow),
    pytest.param(DenseNetConfig(image_size=64, channels=3, stem=8, growth=4, blocks=TINY), id="densenet", marks=slow),
    pytest.param(ConvNextConfig(image_size=64, widths=(4, 8, 16, 32), blocks=TINY), id="convnext", marks=slow),
    pytest.param(ClipResNetConfig(image_size=64, planes=4, blocks=TINY, heads=2, output=8), id="clip", marks=slow),
]


def session_of(folder: Path) -> Any:
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "model.onnx"]
    return onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def check(session: Any, encoder: Encoder, images: torch.Tensor) -> None:
    tokens, vector = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = encoder.model.forward_features(images)
    torch.testing.assert_close(torch.from_numpy(tokens), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.from_numpy(vector), encoder.embed(images), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("pool", "sizes"), CASES)
def test_any_batch_and_any_size(pool: Pool, sizes: dict[str, Any], tmp_path: Path) -> None:
    encoder = vit_encoder(pool, Preprocessing(size=32, rescale="minmax"), **{**sizes, "depth": 1})
    exported = export_encoder(encoder, "onnx", tmp_path / "out")
    session = session_of(tmp_path / "out")
    for count, height, width in ((1, 32, 32), (3, 32, 32), (1, 16, 56), (3, 64, 48), (2, 8, 24)):
        check(session, encoder, batch(count, height, width))
    told = session.get_modelmeta().custom_metadata_map
    assert Preprocessing.from_json(json.loads(told["hilum.preprocessing"])) == encoder.preprocessing
    assert json.loads(told["hilum.architecture"])["width"] == 16
    assert (told["hilum.pool"], int(told["hilum.prefix_tokens"])) == (pool, encoder.model.num_prefix_tokens)
    assert [node.name for node in session.get_outputs()] == ["tokens", "vector"]
    assert [node.name for node in session.get_inputs()] == ["images"]
    assert [isinstance(side, int) for side in session.get_inputs()[0].shape] == [False, True, False, False]
    assert "any height and width of a multiple of 8 px" in "\n".join(exported.lines())


@slow
def test_overlapping_patches(tmp_path: Path) -> None:
    encoder = vit_encoder(patch_stride=4)
    exported = export_encoder(encoder, "onnx", tmp_path / "out")
    session = session_of(tmp_path / "out")
    for count, height, width in ((3, 32, 32), (1, 8, 44)):
        check(session, encoder, batch(count, height, width))
    assert "of 4 px and a multiple of 4 px" in "\n".join(exported.lines())


@pytest.mark.parametrize("sizes", CONVOLUTIONS)
def test_a_convolutional_network(sizes: Any, tmp_path: Path) -> None:
    model = build_backbone(sizes)
    shake(model, scale=0.05)
    encoder = Encoder(model, PIXELS)
    export_encoder(encoder, "onnx", tmp_path / "out")
    session = session_of(tmp_path / "out")
    for count, height, width in ((1, 64, 64), (3, 64, 64), (2, 96, 160), (1, 80, 80)):
        if not isinstance(sizes, ClipResNetConfig) or height % 32 == 0:
            check(session, encoder, batch(count, height, width))


@slow
def test_weights_beyond_the_limit_lie_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.exporting.onnx.LIMIT", 0)
    encoder = vit_encoder(depth=1)
    export_encoder(encoder, "onnx", tmp_path / "out")
    assert (tmp_path / "out/model.onnx.data").stat().st_size > 1000
    session = onnxruntime.InferenceSession(tmp_path / "out/model.onnx", providers=["CPUExecutionProvider"])
    check(session, encoder, batch(1))


def test_without_onnx_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hilum\[onnx\]'"):
        export_encoder(vit_encoder(), "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())
