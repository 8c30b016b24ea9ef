"""The backbone against the official CheXFound code, both MLPs: features, taps, masks, positions, attention."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hilum.models.fill import fill
from hilum.models.positions import resize_table
from hilum.models.pretrained import sort_chexfound
from hilum.models.vit import VisionTransformer

HEADS = {"vit_mlp": 3, "vit_swiglu_reg4_chunk2": 4}  # which no tensor tells
SIZES = {"vit_mlp": ("64x64", "96x80", "48x48"), "vit_swiglu_reg4_chunk2": ("64x64", "112x64")}  # rows x columns


@dataclass(frozen=True)
class Golden:
    """A network with the official weights, and what the official code gave for films of one size."""

    model: VisionTransformer
    arrays: Any
    size: str

    @property
    def grid(self) -> tuple[int, int]:
        rows, columns = (int(side) // self.model.config.patch_size for side in self.size.split("x"))
        return rows, columns

    @property
    def images(self) -> torch.Tensor:
        return torch.from_numpy(self.arrays[f"in/{self.size}/imgs"])

    def same(self, got: torch.Tensor, name: str) -> None:
        np.testing.assert_allclose(got.detach().numpy(), self.arrays[f"out/{self.size}/{name}"], rtol=1e-4, atol=1e-5)


@pytest.fixture(params=[(case, size) for case, sizes in SIZES.items() for size in sizes], ids=str)
def golden(request: pytest.FixtureRequest, shared: Path) -> Golden:
    case, size = request.param
    arrays = np.load(shared / f"golden/chexfound/{case}.npz")
    prefix = "ckpt/teacher/"
    tensors = {f"teacher.{k.removeprefix(prefix)}": torch.from_numpy(arrays[k]) for k in arrays if k.startswith(prefix)}
    file = sort_chexfound(tensors, heads=HEADS[case], where=case)
    model = VisionTransformer(file.config)
    fill(model, file.backbone, where=case)
    return Golden(model.eval(), arrays, size)


def test_features(golden: Golden) -> None:
    model, prefix = golden.model, golden.model.num_prefix_tokens
    tokens = model(golden.images)
    golden.same(tokens[:, 0], "cls")
    golden.same(tokens[:, prefix:], "patch")
    if model.config.registers:
        golden.same(tokens[:, 1:prefix], "reg")
    golden.same(model.forward_intermediates(golden.images)[0], "prenorm")
    golden.same(tokens[:, prefix:].transpose(1, 2).unflatten(2, golden.grid), "reshaped_last")


def test_masked_patches(golden: Golden) -> None:
    masks = torch.from_numpy(golden.arrays[f"in/{golden.size}/masks"])
    tokens = golden.model.forward_features(golden.images, masks)
    golden.same(tokens[:, 0], "masked_cls")
    golden.same(tokens[:, golden.model.num_prefix_tokens :], "masked_patch")


def test_taps(golden: Golden) -> None:
    model, prefix = golden.model, golden.model.num_prefix_tokens
    for number, tap in enumerate(model.forward_intermediates(golden.images, 4, norm=True)):
        golden.same(tap[:, 0], f"last4/cls_{number}")
        golden.same(tap[:, prefix:], f"last4/patch_{number}")
    raw = model.forward_intermediates(golden.images, model.config.depth)
    golden.same(raw[0][:, prefix:], "raw_block0")
    golden.same(raw[-1][:, prefix:], "raw_last")


def test_positions(golden: Golden) -> None:
    model = golden.model
    golden.same(resize_table(model.pos_embed, model.config.grid, golden.grid, prefix=1, rule="bicubic_offset"), "pos")


def test_attention_of_the_last_block(golden: Golden) -> None:
    weights = golden.model.attention(golden.images)
    torch.testing.assert_close(golden.model.forward_with_attention(golden.images)[1], weights[:, :, 0])
    if golden.model.config.registers == 0:  # the official code gives it for the plain network alone
        golden.same(weights, "last_self_attention")
