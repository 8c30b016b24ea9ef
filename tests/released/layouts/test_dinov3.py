"""DINOv3 under Meta's names: every token is transformers'; masks, periods and gates are read as what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import hilum
from hilum.errors import CheckpointError
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.asked import Asked
from hilum.released.layouts.dinov3 import LAYOUT
from hilum.released.source import Source
from tests.oracles.dinov3_names import as_meta
from tests.released.huggingface_models import network, tokens

CASES = ("dinov3", "dinov3 gated", "dinov3 with all biases", "dinov3 without biases")


def meta(name: str, folder: Path) -> dict[str, Tensor]:
    network(name).save_pretrained(folder)
    return as_meta(load_file(folder / "model.safetensors"), heads=2)


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, Tensor]:
    return meta("dinov3", tmp_path / "theirs")


def read(tensors: dict[str, Tensor]) -> ViTConfig:
    config = LAYOUT.read(Source(Path("dinov3.pth"), tensors), Asked()).architecture
    assert isinstance(config, ViTConfig)
    return config


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [(32, 32), (48, 24)])
def test_every_token_is_transformers(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    torch.save(meta(name, tmp_path / "theirs"), tmp_path / "dinov3.pth")
    encoder = hilum.load(tmp_path / "dinov3.pth", image_size=32)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    ours = encoder.model.forward_features(images)
    torch.testing.assert_close(ours, tokens(network(name), images), rtol=1e-5, atol=2e-5)
    assert encoder.origin["layout"] == "dinov3"
    assert encoder.preprocessing.size == 32


def test_periods_tell_heads_and_base(plain: dict[str, Tensor]) -> None:
    config = read(plain)
    assert (config.heads, config.rotary, config.rotary_base, config.norm_eps) == (2, "dinov3", 100.0, 1e-5)
    plain["rope_embed.periods"] = torch.tensor([1.0, 50.0**0.5])
    assert read(plain).rotary_base == pytest.approx(50.0, rel=1e-5)
    plain["rope_embed.periods"] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(CheckpointError, match="no powers of one base"):
        read(plain)
    plain["rope_embed.periods"] = torch.ones(3)
    with pytest.raises(CheckpointError, match="3 rotary periods for a width of 16"):
        read(plain)
    del plain["rope_embed.periods"]
    assert read(plain).heads == 1  # 16 // 64, at least one


def test_a_mask_of_the_keys_leaves_two_biases(plain: dict[str, Tensor]) -> None:
    found = LAYOUT.read(Source(Path("dinov3.pth"), plain), Asked())
    assert isinstance(found.architecture, ViTConfig)
    assert not found.architecture.key_bias
    assert torch.equal(found.image["blocks.1.attn.q_bias"], plain["blocks.1.attn.qkv.bias"][:16])
    plain["blocks.0.attn.qkv.bias_mask"] = torch.full((48,), torch.nan)  # as a mask that was never set
    with pytest.raises(CheckpointError, match=r"mask blocks\.0\.attn\.qkv\.bias_mask of other values than 0 and 1"):
        read(plain)


def test_what_pretraining_alone_needs_is_left_behind(plain: dict[str, Tensor]) -> None:
    plain |= {"local_cls_norm.weight": torch.ones(16), "local_cls_norm.bias": torch.zeros(16)}
    dropped = dict(LAYOUT.read(Source(Path("dinov3.pth"), plain), Asked()).dropped)
    assert dropped == dict.fromkeys(
        ("local_cls_norm.weight", "local_cls_norm.bias"), "the norm of small crops, of use in pretraining only"
    )


def test_norms_apart_are_refused(plain: dict[str, Tensor]) -> None:
    plain["cls_norm.weight"] = torch.ones(16)
    with pytest.raises(CheckpointError, match="normalises class token and patches apart"):
        read(plain)


# width, depth, heads, hidden width, gated; the releases' sizes of arXiv 2508.10104, table 2 (from memory)
RELEASES = {
    "S": (384, 12, 6, 1536, False),
    "S+": (384, 12, 6, 1536, True),
    "L": (1024, 24, 16, 4096, False),
    "H+": (1280, 32, 20, 5120, True),
    "7B": (4096, 40, 32, 8192, True),
}


@pytest.mark.parametrize("size", RELEASES)
def test_the_real_sizes_can_be_built(size: str) -> None:
    width, depth, heads, hidden, gated = RELEASES[size]

    def empty(*shape: int) -> Tensor:
        return torch.empty(shape, device="meta")

    tensors = {"cls_token": empty(1, 1, width), "storage_tokens": empty(1, 4, width), "mask_token": empty(1, width)}
    tensors |= {"patch_embed.proj.weight": empty(width, 3, 16, 16), "patch_embed.proj.bias": empty(width)}
    tensors |= {"norm.weight": empty(width), "norm.bias": empty(width)}
    tensors["rope_embed.periods"] = empty(width // heads // 4)
    rows = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    rows |= {"mlp.w1": (hidden, width), "mlp.w2": (hidden, width), "mlp.w3": (width, hidden)} if gated else {}
    rows |= {} if gated else {"mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden)}
    for number in range(depth):
        block = f"blocks.{number}."
        for name, shape in rows.items():
            tensors |= {f"{block}{name}.weight": empty(*shape), f"{block}{name}.bias": empty(shape[0])}
        for norm in ("norm1", "norm2"):
            tensors |= {f"{block}{norm}.weight": empty(width), f"{block}{norm}.bias": empty(width)}
        tensors |= {f"{block}ls{part}.gamma": empty(width) for part in "12"}
        tensors[f"{block}attn.qkv.bias_mask"] = empty(3 * width)
    found = LAYOUT.read(Source(Path("dinov3.pth"), tensors), Asked())
    assert isinstance(found.architecture, ViTConfig)
    assert (found.architecture.depth, found.architecture.heads, found.dropped) == (depth, heads, ())
    with torch.device("meta"):
        model = VisionTransformer(found.architecture)
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in found.image.items()
    }
