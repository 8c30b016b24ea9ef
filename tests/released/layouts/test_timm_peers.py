"""timm itself against its weights read by us: every token at every size, and every architecture it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from hilum.errors import CheckpointError
from hilum.models.fill import fill
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.released.asked import Asked
from hilum.released.build import layout_of
from hilum.released.found import Found
from hilum.released.layouts.timm_vit import LAYOUT
from hilum.released.source import Source

pytestmark = pytest.mark.timm

SMALL = {"depth": 2, "embed_dim": 32, "num_heads": 2, "img_size": 64}
SIXTEEN, FOURTEEN = ((64, 64), (96, 96), (48, 80)), ((70, 70), (98, 98), (56, 84))
# architecture -> what differs from SMALL
TINY: dict[str, dict[str, Any]] = {
    "vit_small_patch16_224": {},
    "vit_base_patch16_224_miil": {},
    "deit_small_patch16_224": {},
    "deit3_small_patch16_224": {},
    "deit_small_distilled_patch16_224": {},
    "vit_medium_patch16_gap_256": {},
    "vit_medium_patch16_reg4_gap_256": {},
    "vit_so150m_patch16_reg4_gap_256": {},
    "vit_base_patch16_siglip_224": {},
    "vit_small_patch14_dinov2": {"img_size": 70},
    "vit_small_patch14_reg4_dinov2": {"img_size": 70},
    "vit_giant_patch14_dinov2": {"img_size": 70},
    "vit_base_patch16_clip_224": {},
    "vit_base_patch16_clip_quickgelu_224": {},
    "eva02_tiny_patch14_224": {"img_size": 70},
    "eva02_base_patch14_448": {"img_size": 70},
    "eva02_base_patch16_clip_224": {},
    "eva_giant_patch14_224": {"img_size": 70, "mlp_ratio": 2.0},
    "beit3_base_patch16_224": {},
    "vit_base_patch16_dinov3": {},
    "vit_base_patch16_dinov3_qkvb": {},
    "vit_huge_plus_patch16_dinov3": {},
    "vit_7b_patch16_dinov3": {},
    "vit_base_patch16_radio_v3": {},
}
# what timm builds from Vision Transformers' names and we do not: named, never read wrong
REFUSED = re.compile(
    r"aimv2|_xp_|18x2|_(d|p|dp)wee_|dlittle|_rpn_|enormous|sapiens2|vit_pe_|_rope_|test_vit4|"
    r"base_patch32_siglip|giantopt|large_patch16_siglip_(gap_)?512|so400m_patch16_siglip"
)


def tiny(name: str) -> Any:
    timm = pytest.importorskip("timm", reason="needs hilum[timm]")
    torch.manual_seed(0)
    model = timm.create_model(name, **{**SMALL, **TINY[name]}, dynamic_img_size=True).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model


def source_of(model: Any, name: str) -> Source:
    """A model of timm as its Hub would lay it out."""
    settings = dict(model.pretrained_cfg)
    config = {
        "architecture": settings.get("architecture", name),
        "global_pool": model.global_pool,
        "pretrained_cfg": settings,
        "model_args": {"num_heads": getattr(getattr(model.blocks[0], "attn", None), "num_heads", None)},
    }
    return Source(Path(name), {key: value.detach() for key, value in model.state_dict().items()}, config)


def built(found: Found) -> VisionTransformer:
    assert isinstance(found.architecture, ViTConfig)
    model = VisionTransformer(found.architecture)
    fill(model, found.image, where="timm")
    return model.eval()


@pytest.mark.parametrize("name", TINY)
def test_every_token_is_timms(name: str) -> None:
    theirs = tiny(name)
    source = source_of(theirs, name)
    assert layout_of(source) == "timm"
    found = LAYOUT.read(source, Asked())
    model = built(found)
    for height, width in FOURTEEN if "patch14" in name else SIXTEEN:
        images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            ours = model.forward_features(images)
            torch.testing.assert_close(ours, theirs.forward_features(images), rtol=1e-5, atol=5e-5)
            if theirs.global_pool == "avg" and found.pool == "mean":
                expected = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
                torch.testing.assert_close(model.pooled_mean(ours), expected, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("name", ["vit_small_patch16_224", "eva02_tiny_patch14_224", "vit_base_patch16_dinov3"])
def test_bare_files_are_told_by_their_names(name: str) -> None:
    theirs = tiny(name)
    whole = source_of(theirs, name)
    bare = Source(Path("weights.pth"), {f"module.{key}": value for key, value in whole.tensors.items()})
    assert layout_of(bare) == "timm"
    size = theirs.patch_embed.img_size[0]
    found = LAYOUT.read(bare, Asked(heads=2, image_size=size))
    expected = LAYOUT.read(whole, Asked(image_size=size))
    assert found.architecture == expected.architecture
    assert {key: value.shape for key, value in found.image.items()} == {
        key: value.shape for key, value in expected.image.items()
    }


@pytest.mark.slow
def test_every_architecture_is_read_as_timm_builds_it_or_refused() -> None:
    timm = pytest.importorskip("timm", reason="needs hilum[timm]")
    names = [name for room in ("vision_transformer", "eva", "deit") for name in timm.list_models(module=room)]
    assert len(names) > 200
    for name in names:
        with torch.device("meta"):
            theirs = timm.create_model(name)
        source = source_of(theirs, name)
        source = Source(source.path, source.tensors, {**source.config, "model_args": {}})  # by the name alone
        if REFUSED.search(name):
            with pytest.raises(CheckpointError):
                LAYOUT.read(source, Asked())
            continue
        config = LAYOUT.read(source, Asked()).architecture
        assert isinstance(config, ViTConfig), name
        block = theirs.blocks[0]
        told = (config.heads, config.norm_eps, config.depth, config.width, config.grid)
        grid = theirs.patch_embed.grid_size
        assert told == (block.attn.num_heads, block.norm1.eps, len(theirs.blocks), theirs.embed_dim, grid), name
        activation = type(block.mlp.act).__name__
        kinds = {"GELU": ("gelu",), "QuickGELU": ("quick_gelu",), "SiLU": ("swiglu", "swiglu_split")}
        assert config.mlp in kinds[activation], name
        rope = getattr(theirs, "rope", None)
        kind = {"NoneType": None, "RotaryEmbeddingCat": "eva", "RotaryEmbeddingDinoV3": "dinov3"}[type(rope).__name__]
        assert config.rotary == kind, name
        if kind == "eva":
            assert rope.ref_feat_shape == (config.rotary_grid, config.rotary_grid), name
        with torch.device("meta"):
            ours = VisionTransformer(config)
        assert sum(w.numel() for w in ours.parameters()) > 0.9 * sum(w.numel() for w in theirs.blocks.parameters())
