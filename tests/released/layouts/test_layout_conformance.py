"""What every layout owes: each tensor is used or dropped with a reason, and none can be missing, misnamed or misshapen.

A layout joins with a line in `CASES`: a name, and what makes a tiny source of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from hilum.errors import CheckpointError
from hilum.lookup import lookup
from hilum.models.backbone import build_backbone
from hilum.models.fill import check_fit
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.found import Found
from hilum.released.layouts import LAYOUTS, Layout
from hilum.released.source import Source, open_source
from tests.oracles.dinov3_names import as_meta
from tests.released.huggingface_models import network, saved

TWO_HEADS = Asked(heads=2)


@dataclass(frozen=True)
class Case:
    """A tiny file of one layout."""

    layout: str
    make: Callable[[Path], Source]
    asked: Asked = TWO_HEADS
    spare: str = "mask_token"  # names that a file may well lack: without them it is another right file


SIZES = {"image_size": 32, "patch_size": 8, "width": 16, "depth": 2, "heads": 2}


def huggingface(name: str) -> Callable[[Path], Source]:
    return lambda folder: open_source(saved(name, folder))


def meta(name: str) -> Callable[[Path], Source]:
    def make(folder: Path) -> Source:
        network(name).save_pretrained(folder)
        return Source(Path("dinov3.pth"), as_meta(load_file(folder / "model.safetensors"), heads=2))

    return make


def timm(architecture: str, rename: Callable[[dict[str, Tensor]], None] | None = None, **sizes: Any) -> Any:
    """A network of ours under timm's names, which are ours but for what `rename` does."""

    def make(folder: Path) -> Source:
        torch.manual_seed(0)
        model = VisionTransformer(ViTConfig(**{**SIZES, **sizes}))
        for weight in model.parameters():
            torch.nn.init.normal_(weight.data)
        tensors = {key: value.detach().clone() for key, value in model.state_dict().items()}
        if rename is not None:
            rename(tensors)
        tensors |= {"head.weight": torch.ones(3, 16), "head.bias": torch.ones(3)}
        return Source(Path("timm.pth"), tensors, {"architecture": architecture} if architecture else {})

    return make


def split_queries(tensors: dict[str, Tensor]) -> None:
    for number in range(2):
        block = f"blocks.{number}.attn."
        for part, value in zip("qkv", tensors.pop(f"{block}qkv.weight").chunk(3), strict=True):
            tensors[f"{block}{part}_proj.weight"] = value.clone()
        for part in "qv":
            tensors[f"{block}{part}_proj.bias"] = tensors.pop(f"{block}{part}_bias")


def distilled(tensors: dict[str, Tensor]) -> None:
    tensors["dist_token"] = tensors.pop("reg_token")
    tensors["pos_embed"] = torch.cat(
        [tensors["pos_embed"][:, :1], torch.ones(1, 1, 16), tensors["pos_embed"][:, 1:]], 1
    )


def without_class_position(tensors: dict[str, Tensor]) -> None:
    tensors["pos_embed"] = tensors["pos_embed"][:, 1:].clone()


def packed_gate(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if ".w12." in key or ".w3." in key]:
        tensors[key.replace("w12", "fc1").replace("w3", "fc2")] = tensors.pop(key)


def scales(tensors: dict[str, Tensor]) -> None:
    for key in [key for key in tensors if ".ls" in key]:
        tensors[re.sub(r"\.ls([12])\.gamma", r".gamma_\1", key)] = tensors.pop(key)


EVA = {"rotary": "eva", "rotary_grid": 4, "key_bias": False, "final_norm": False, "pool_norm": True}
EVA_BASE = {**EVA, "mlp": "swiglu_split", "mlp_norm": True}
DINOV3 = {"rotary": "dinov3", "position": "none", "registers": 4, "layer_scale": 0.1, "qkv_bias": False}
CASES = {
    "ViT": Case("huggingface", huggingface("vit")),
    "ViT of one channel, fine-tuned": Case("huggingface", huggingface("vit fine-tuned")),
    "DeiT": Case("huggingface", huggingface("deit")),
    "ViTMAE": Case("huggingface", huggingface("vit_mae")),
    "ViTMSN": Case("huggingface", huggingface("vit_msn")),
    "I-JEPA": Case("huggingface", huggingface("ijepa")),
    "DINOv2": Case("huggingface", huggingface("dinov2")),
    "DINOv2, gated": Case("huggingface", huggingface("dinov2 gated")),
    "DINOv2 with registers": Case("huggingface", huggingface("registers")),
    "DINOv3 of Hugging Face": Case("huggingface", huggingface("dinov3")),
    "DINOv3 of Hugging Face, gated": Case("huggingface", huggingface("dinov3 gated")),
    "DINOv3 of Meta": Case("dinov3", meta("dinov3"), spare="mask_token|rope_embed"),
    "DINOv3 of Meta, gated": Case("dinov3", meta("dinov3 gated"), spare="mask_token|rope_embed"),
    "timm": Case("timm", timm("vit_tiny_patch16_224")),
    "timm, bare": Case("timm", timm("")),
    "timm, distilled": Case("timm", timm("deit_tiny_distilled_patch16_224", distilled, registers=1)),
    "timm, registers": Case(
        "timm", timm("vit_small_patch14_reg4_dinov2", without_class_position, registers=4, layer_scale=0.1)
    ),
    "timm, CLIP": Case("timm", timm("vit_base_patch16_clip_224", pre_norm=True, patch_bias=False)),
    "timm, DINOv2 giant": Case("timm", timm("vit_giant_patch14_dinov2", packed_gate, mlp="swiglu", layer_scale=0.1)),
    "timm, EVA-02": Case("timm", timm("eva02_base_patch14_224", split_queries, **EVA_BASE)),
    "timm, EVA-02 small": Case("timm", timm("eva02_small_patch14_224", packed_gate, mlp="swiglu", **EVA)),
    "timm, DINOv3": Case("timm", timm("vit_small_patch16_dinov3", scales, **DINOV3)),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Source]:
    chosen = CASES[request.param]
    return chosen, chosen.make(tmp_path_factory.mktemp("layout"))


def read(case: Case, source: Source) -> Found:
    """Read a source, and see that every weight of the network is there."""
    layout: Layout = lookup(LAYOUTS, case.layout, kind="layout")
    found = layout.read(source, case.asked)
    with torch.device("meta"):
        model = build_backbone(found.architecture)
    check_fit(model, found.image, where=source.path)
    return found


def used(case: Case, source: Source) -> list[str]:
    """Names of the tensors that the encoder is made of: of the stem, the last norm and one block of several."""
    dropped = dict(read(case, source).dropped)
    return [key for key in source.tensors if key not in dropped and not re.search(r"\.1\.", key)]


def faults(case: Case, source: Source, harm: Callable[[dict[str, Tensor], str], None]) -> dict[str, str]:
    """What is said of each tensor of use once it is harmed; "read all the same" where nothing is."""
    said = {}
    for key in used(case, source):
        if re.search(case.spare, key):
            continue
        tensors = dict(source.tensors)
        harm(tensors, key)
        try:
            read(case, replace(source, tensors=tensors))
            said[key] = "read all the same"
        except CheckpointError as error:
            said[key] = str(error)
    return said


def refused(said: dict[str, str]) -> None:
    assert said
    assert [key for key, what in said.items() if what == "read all the same"] == []
    assert all("\n" not in what and len(what) < 600 for what in said.values())


def test_its_layout_is_found(case: tuple[Case, Source]) -> None:
    assert layout_of(case[1]) == case[0].layout


def test_each_tensor_is_used_or_dropped_with_a_reason(case: tuple[Case, Source]) -> None:
    chosen, source = case
    found = read(chosen, source)
    assert {key for key, _ in found.dropped} <= set(source.tensors)
    assert all(why for _, why in found.dropped)
    for key in used(chosen, source):
        if re.search(r"bias_mask|periods", key):  # these have values of their own
            continue
        changed = {**source.tensors, key: source.tensors[key] + 0.5}
        other = read(chosen, replace(source, tensors=changed)).image
        assert any(not torch.equal(value, other[name]) for name, value in found.image.items()), key


def test_none_can_be_missing(case: tuple[Case, Source]) -> None:
    refused(faults(*case, dict.__delitem__))


def test_none_can_have_another_name(case: tuple[Case, Source]) -> None:
    def rename(tensors: dict[str, Tensor], key: str) -> None:
        tensors[f"{key}_"] = tensors.pop(key)

    refused(faults(*case, rename))


@pytest.mark.parametrize("grown", ["first axis", "last axis"])
def test_none_can_have_another_shape(case: tuple[Case, Source], grown: str) -> None:
    def grow(tensors: dict[str, Tensor], key: str) -> None:
        axis = 0 if grown == "first axis" else -1
        tensors[key] = torch.cat([tensors[key], tensors[key].narrow(axis, 0, 1)], dim=axis)

    refused(faults(*case, grow))


def test_no_block_can_be_missing(case: tuple[Case, Source]) -> None:
    chosen, source = case
    without = {key: value for key, value in source.tensors.items() if not re.search(r"\b(layer|blocks)\.0\.", key)}
    assert len(without) < len(source.tensors)
    with pytest.raises(CheckpointError):
        read(chosen, replace(source, tensors=without))
