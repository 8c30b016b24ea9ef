"""EVA-X: the official features, both layouts of its blocks, fine-tuned files, what is refused, the real sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.fill import check_fit, fill
from hilum.models.positions import resize_table
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.asked import Asked
from hilum.released.layouts.eva_x import LAYOUT
from hilum.released.source import Source

SIZES: dict[str, Any] = {
    "image_size": 64, "width": 24, "depth": 2, "heads": 3, "key_bias": False, "rotary": "eva", "rotary_grid": 4,
    "position_resize": "bicubic_antialias", "final_norm": False, "pool_norm": True, "init": "trunc_normal",
}  # fmt: skip
SMALL = ViTConfig(**SIZES, mlp="swiglu")
BASE = ViTConfig(**SIZES, mlp="swiglu_split", mlp_ratio=8 / 3, mlp_norm=True, attention_norm=True)
THEIRS = {
    "mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2", "mlp.fc2": "mlp.w3", "mlp.norm": "mlp.ffn_ln",
    "attn.norm": "attn.inner_attn_ln", "fc_norm": "norm",
}  # fmt: skip


def network(sizes: ViTConfig) -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(sizes)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def pretraining_file(model: VisionTransformer) -> dict[str, Tensor]:
    """The tensors as EVA-X's pretraining names them."""
    file = {}
    for key, value in model.state_dict().items():
        for ours, theirs in THEIRS.items():
            key = re.sub(rf"(^|\.){re.escape(ours)}\.", rf"\1{theirs}.", key)
        file[key] = value
    if model.config.mlp == "swiglu_split":  # base keeps query, key and value apart
        for number in range(model.config.depth):
            stem = f"blocks.{number}.attn."
            for name, part in zip("qkv", file.pop(f"{stem}qkv.weight").chunk(3), strict=True):
                file[f"{stem}{name}_proj.weight"] = part
    extra = {"mask_token": torch.zeros(1, 1, 24), "lm_head.weight": torch.zeros(5, 24), "lm_head.bias": torch.zeros(5)}
    rope = {"rope.freqs_cos": torch.zeros(16, 8), "blocks.0.attn.rope.freqs_sin": torch.zeros(16, 8)}
    return {**file, **extra, **rope}


def fine_tuned_file(model: VisionTransformer) -> dict[str, Tensor]:
    """The tensors as timm's network names them after fine-tuning."""
    file = {}
    for key, value in model.state_dict().items():
        key = key.replace("mlp.w12.", "mlp.fc1.").replace("mlp.w3.", "mlp.fc2.")
        if model.config.mlp == "swiglu_split":
            key = re.sub(r"attn\.([qv])_bias", r"attn.\1_proj.bias", key)
            if "qkv" in key:
                stem = key.removesuffix("qkv.weight")
                file |= {f"{stem}{name}_proj.weight": part for name, part in zip("qkv", value.chunk(3), strict=True)}
                continue
        file[key] = value
    return {**file, "head.weight": torch.zeros(14, 24), "head.bias": torch.zeros(14)}


def read(tensors: dict[str, Tensor], **asked: Any) -> tuple[VisionTransformer, Any]:
    source = Source(Path("evax.pt"), tensors)
    assert LAYOUT.recognise(source)
    found = LAYOUT.read(source, Asked(**{"heads": 3, **asked}))
    assert isinstance(found.architecture, ViTConfig)
    model = VisionTransformer(found.architecture)
    fill(model, found.image, where="evax.pt")
    return model.eval(), found


@pytest.mark.parametrize("name", ["evax_small", "evax_base"])
def test_golden(shared: Path, name: str) -> None:
    golden = np.load(shared / f"golden/checkpoints/{name}.npz")
    encoder = hilum.load(shared / f"golden/checkpoints/{name}.pt", heads=3)
    assert encoder.origin["layout"] == "eva-x"
    assert encoder.pool == "mean"
    model = encoder.model
    assert isinstance(model, VisionTransformer)
    images, larger = (torch.from_numpy(golden[f"in/{key}"]) for key in ("imgs", "imgs_larger"))
    assert model.pos_embed is not None
    got = {
        "tokens": model(images),
        "features": encoder.embed(images),
        "tokens_larger": model(larger),
        "pos_embed_larger": resize_table(model.pos_embed, (4, 4), (6, 6), prefix=1, rule="bicubic_antialias"),
    }
    for key, value in got.items():
        np.testing.assert_allclose(value.detach().numpy(), golden[f"out/{key}"], rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("write", [pretraining_file, fine_tuned_file])
@pytest.mark.parametrize("sizes", [SMALL, BASE], ids=["small", "base"])
def test_every_tensor_finds_its_place_or_a_reason(sizes: ViTConfig, write: Callable[..., dict[str, Tensor]]) -> None:
    original = network(sizes)
    file = write(original)
    model, found = read(file)
    assert model.config == sizes
    assert all(torch.equal(value, original.state_dict()[key]) for key, value in model.state_dict().items())
    reasons = dict(found.dropped)
    assert {key.split(".")[-2 if "head" in key else -1] for key in reasons} <= {
        "head", "lm_head", "mask_token", "freqs_cos", "freqs_sin",
    }  # fmt: skip
    assert all("no part of" not in why for why in reasons.values())
    assert found.pool == "mean"
    assert "its own grid of 4 x 4" in found.notes[0]


def test_half_precision_behind_a_wrapper_becomes_single() -> None:
    original = network(BASE)
    half = {f"module.{key}": value.half() for key, value in pretraining_file(original).items()}
    model, found = read(half)
    assert all(value.dtype is torch.float32 for value in found.image.values())
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model(images), original(images), atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"blocks.1.mlp.w2.weight": None}, "has no tensor blocks.1.mlp.w2.weight"),
        ({"blocks.1.attn.k_proj.weight": None}, "has no tensor blocks.1.attn.k_proj.weight"),
        ({"norm.bias": None}, "has no tensor norm.bias"),
        ({"blocks.1.gamma_1": torch.ones(24)}, "no place for: blocks.1.gamma_1"),
        ({"blocks.3.norm1.weight": torch.ones(24)}, "has no tensor blocks.2.norm1.weight"),
        ({"blocks.0.mlp.w1.weight": torch.ones(7, 24)}, r"fc1_g.weight is \(7, 24\) and must be \(64, 24\)"),
        ({"pos_embed": torch.ones(1, 16, 24)}, "no square grid"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(fault: dict[str, Tensor | None], message: str) -> None:
    tensors: dict[str, Tensor | None] = {**pretraining_file(network(BASE)), **fault}
    with pytest.raises(CheckpointError, match=message):
        read({key: value for key, value in tensors.items() if value is not None})


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(CheckpointError, match="does not divide into 5 heads"):
        read(pretraining_file(network(SMALL)), heads=5)


def test_other_networks_are_not_taken_for_it() -> None:
    file = pretraining_file(network(SMALL))
    assert LAYOUT.recognise(Source(Path("x"), file))
    assert not LAYOUT.recognise(Source(Path("x"), file, config={"architecture": "eva02_small_patch14_224"}))
    assert not LAYOUT.recognise(Source(Path("x"), {**file, "patch_embed.proj.weight": torch.zeros(24, 3, 14, 14)}))
    assert not LAYOUT.recognise(Source(Path("x"), network(ViTConfig(image_size=32, width=24, depth=1)).state_dict()))
    gated = ViTConfig(image_size=32, width=24, depth=1, heads=3, mlp="swiglu")
    assert not LAYOUT.recognise(Source(Path("x"), network(gated).state_dict()))
    assert not LAYOUT.recognise(Source(Path("x"), {}))


RELEASES = {  # width, heads, gated width; million weights, as the authors' table of models rounds them
    "tiny": (192, 3, 512, 6),
    "small": (384, 6, 1024, 22),
    "base": (768, 12, 2048, 86),
}


def released_shapes(width: int, gated: int, *, base: bool) -> dict[str, Tensor]:
    """The tensors of a real file, without their values: 12 blocks, 224 pixels, patches of 16."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width), "mask_token": (1, 1, width), "pos_embed": (1, 197, width),
        "patch_embed.proj.weight": (width, 3, 16, 16), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,), "lm_head.weight": (768, width), "lm_head.bias": (768,),
        "rope.freqs_cos": (196, 64), "rope.freqs_sin": (196, 64),
    }  # fmt: skip
    lines = {"attn.proj": (width, width), "norm1": (width,), "norm2": (width,), "mlp.w3": (width, gated)}
    if base:
        lines |= {"mlp.w1": (gated, width), "mlp.w2": (gated, width), "mlp.ffn_ln": (gated,)}
    else:
        lines |= {"mlp.w12": (2 * gated, width)}
    for number in range(12):
        stem = f"blocks.{number}."
        for name, shape in lines.items():
            shapes |= {f"{stem}{name}.weight": shape, f"{stem}{name}.bias": shape[:1]}
        three = ("q_proj", "k_proj", "v_proj") if base else ("qkv",)
        shapes |= {f"{stem}attn.{name}.weight": (width * 3 // len(three), width) for name in three}
        shapes |= {f"{stem}attn.{name}_bias": (width,) for name in "qv"}
    return {key: torch.empty(shape, dtype=torch.float16, device="meta") for key, shape in shapes.items()}


@pytest.mark.parametrize("name", RELEASES)
def test_the_real_sizes_are_built(name: str) -> None:
    width, heads, gated, millions = RELEASES[name]
    source = Source(Path(name), released_shapes(width, gated, base=name == "base"))
    assert LAYOUT.recognise(source)
    found = LAYOUT.read(source, Asked())
    sizes = found.architecture
    assert isinstance(sizes, ViTConfig)
    assert (sizes.heads, sizes.depth, sizes.image_size, sizes.rotary_grid) == (heads, 12, 224, 14)
    assert (found.preprocessing.size, found.preprocessing.channels) == (224, 3)
    with torch.device("meta"):
        model = VisionTransformer(sizes)
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert wanted == {key: tuple(value.shape) for key, value in found.image.items()}
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert round(weights / 1e6) == millions
    assert not found.notes


@pytest.mark.timm
@pytest.mark.parametrize("name", RELEASES)
def test_the_real_sizes_are_those_of_timms_networks(name: str) -> None:
    timm = pytest.importorskip("timm", reason="needs hilum[timm]")
    width, _, gated, _ = RELEASES[name]
    found = LAYOUT.read(Source(Path(name), released_shapes(width, gated, base=name == "base")), Asked())
    size = {"patch_size": 16, "ref_feat_shape": (14, 14), "num_classes": 0}
    theirs = timm.create_model(f"eva02_{name}_patch14_224", **size).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    source = Source(Path(name), theirs.state_dict())
    assert LAYOUT.recognise(source)
    encoder = LAYOUT.read(source, Asked())
    assert encoder.architecture == found.architecture
    assert isinstance(encoder.architecture, ViTConfig)
    ours = VisionTransformer(encoder.architecture).eval()
    check_fit(ours, encoder.image, where=name)
    ours.load_state_dict(dict(encoder.image))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours.pooled_mean(ours(images)), theirs(images), rtol=1e-4, atol=1e-4)
