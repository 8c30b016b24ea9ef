"""M3AE: every token of CLIP's shortened encoder by a plain forward pass, and what meets both sides."""

from __future__ import annotations

from pathlib import Path

import torch

import hilum
from hilum.models.vit import ViTConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.layouts.m3ae import LAYOUT
from hilum.released.pixels import record
from tests.oracles.report_encoders import clip_vit
from tests.released.report_files import Maker, source_of
from tests.released.stand_ins import m3ae

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@torch.no_grad()
def test_every_token(tmp_path: Path) -> None:
    file = m3ae(Maker())
    torch.save({"state_dict": file, "global_step": 7}, tmp_path / "m3ae.ckpt")
    encoder = hilum.load(tmp_path / "m3ae.ckpt", heads=2)
    assert encoder.origin["layout"] == "m3ae"
    assert encoder.preprocessing == record("m3ae", size=48)
    images = torch.randn(2, 3, 48, 48)
    tokens = clip_vit(file, "vision_encoder.visual.", images, heads=2)
    torch.testing.assert_close(encoder.model.forward_features(images), tokens, **CLOSE)
    torch.testing.assert_close(encoder.embed(images), tokens[:, 0], **CLOSE)


def test_the_release_has_eleven_blocks_and_324_patches() -> None:
    sizes = LAYOUT.read(source_of(m3ae(Maker("meta"), True)), Asked()).architecture
    assert isinstance(sizes, ViTConfig)
    assert (sizes.depth, sizes.image_size, sizes.patch_size, sizes.heads, sizes.mlp) == (11, 288, 16, 12, "quick_gelu")


def test_why_words_stay_behind() -> None:
    why = dict(LAYOUT.read(source_of(m3ae(Maker())), Asked()).dropped)
    assert "CLIP's text side" in why["vision_encoder.token_embedding.weight"]
    assert "both sides" in why["language_encoder.embeddings.LayerNorm.bias"]
    assert "together" in why["multi_modal_vision_proj.weight"]
    assert "pretraining only" in why["mim_head.decoder.resblocks.0.mlp.c_fc.weight"]


def test_clip_alone_is_not_taken_for_it() -> None:
    file = {key: value for key, value in m3ae(Maker()).items() if key.startswith("vision_encoder.visual.")}
    assert layout_of(source_of(file, name="ViT-B-16.pt")) == "clip"
