"""The backbone: shapes, masked against full, sizes, options, golden features, equality with timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hilum.errors import ConfigError
from hilum.models.vit import VIT_SIZES, VisionTransformer, ViTConfig, vit_config

TINY: dict[str, Any] = {"image_size": 32, "patch_size": 8, "width": 12, "depth": 3, "heads": 3}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"position": "sincos", "channels": 1},
    {"registers": 2, "layer_scale": 0.5, "mlp": "swiglu", "position_resize": "bicubic_offset"},
    {"class_token": False, "qkv_bias": False, "final_norm": False, "mlp_ratio": 2.0},
    {"class_token": False, "registers": 3, "position_resize": "bicubic_antialias"},
    {"rotary": "eva", "rotary_grid": 3, "key_bias": False, "mlp": "swiglu_split", "mlp_norm": True,
     "attention_norm": True, "final_norm": False, "pool_norm": True},
    {"rotary": "dinov3", "position": "none", "registers": 2, "key_bias": False, "layer_scale": 0.5},
    {"rotary": "dinov3", "class_token": False, "rotary_base": 20.0, "mlp": "swiglu"},
    {"pre_norm": True, "patch_bias": False, "mlp": "quick_gelu", "norm_eps": 1e-5},
    {"patch_stride": 4, "rotary": "eva"},
]  # fmt: skip


def build(**options: Any) -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(**{**TINY, **options}))
    for name, parameter in model.named_parameters():
        if name != "pos_embed":
            torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize("options", OPTIONS)
def test_shapes_and_prefix(options: dict[str, Any]) -> None:
    model = build(**options)
    images = torch.randn(2, model.config.channels, 32, 32)
    prefix, tokens = model.num_prefix_tokens, model.num_prefix_tokens + model.config.patches
    assert prefix == int(model.config.class_token) + model.config.registers
    features = model.forward_features(images)
    assert features.shape == (2, tokens, 12)
    assert torch.equal(model(images), features)
    taps = model.forward_intermediates(images, 3, norm=True)
    assert len(taps) == 3
    assert torch.equal(taps[-1], features)
    wide = torch.randn(1, model.config.channels, 24, 40)
    rows, columns = model.config.grid_of(wide)
    assert model.forward_features(wide).shape == (1, prefix + rows * columns, 12)


@pytest.mark.parametrize("options", OPTIONS)
def test_every_view_of_attention_is_the_one_that_is_used(options: dict[str, Any]) -> None:
    model = build(**options)
    images = torch.randn(2, model.config.channels, 32, 32)
    features = model(images)
    with model.recorded_attention() as kept:
        torch.testing.assert_close(model(images), features, rtol=1e-4, atol=1e-5)
    for block, weights in enumerate(kept):
        assert weights.shape == (2, 3, features.shape[1], features.shape[1])
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
        torch.testing.assert_close(model.attention(images, block), weights, rtol=1e-4, atol=1e-5)
    tokens, seen = model.forward_with_attention(images)
    assert torch.equal(tokens, features)
    torch.testing.assert_close(seen, kept[-1][:, :, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS)
def test_masked_with_every_patch_in_any_order_is_the_full_pass(options: dict[str, Any]) -> None:
    model = build(**options).double()
    patches = model.config.patches
    images = torch.randn(2, model.config.channels, 32, 32, dtype=torch.float64)
    keep = torch.stack([torch.randperm(patches), torch.randperm(patches)])
    prefix = model.num_prefix_tokens
    full, masked = model.forward_features(images), model.forward_masked(images, keep)
    torch.testing.assert_close(masked[:, :prefix], full[:, :prefix])
    for sample in range(2):
        torch.testing.assert_close(masked[sample, prefix:], full[sample, prefix:][keep[sample]])


@pytest.mark.parametrize("options", OPTIONS)
def test_every_weight_of_an_option_matters(options: dict[str, Any]) -> None:
    model = build(**options)
    images = torch.randn(2, model.config.channels, 32, 32)
    tokens = model(images)
    (tokens.square().mean() + model.pooled_mean(tokens).pow(3).sum()).backward()
    still = [name for name, p in model.named_parameters() if p.requires_grad and not bool((p.grad != 0).any())]
    assert not still


def test_hidden_patches_are_not_seen() -> None:
    model = build()
    images = torch.randn(1, 3, 32, 32)
    keep = torch.tensor([[0, 5]])
    before = model.forward_masked(images, keep)
    images[:, :, 8:, 16:] = torch.nan  # all patches but 0 and 5, and a little more
    images[:, :, 8:16, 8:16] = 1.0
    other = model.forward_masked(images, torch.tensor([[0, 5]]))
    assert torch.isfinite(other).all()
    assert not torch.equal(before, other)  # patch 5 did change


def test_a_table_the_grid_was_trained_at_is_used_as_it_is() -> None:
    model = build()
    zero = build()
    with torch.no_grad():
        zero.pos_embed.zero_()
    images = torch.randn(1, 3, 32, 32)
    assert (model.forward_features(images) - zero.forward_features(images)).abs().max() > 1e-3


@pytest.mark.parametrize("more", [{}, {"rotary": "dinov3", "drop_path_skip": True}, {"rotary": "eva"}])
def test_checkpointing_changes_nothing(more: dict[str, Any]) -> None:
    plain, saving = (build(drop_path=0.3, **more).train() for _ in range(2))
    saving.gradient_checkpointing = True
    images = torch.randn(4, 3, 32, 32)
    keep = torch.stack([torch.randperm(16)[:7] for _ in range(4)])
    results = []
    for model in (plain, saving):
        torch.manual_seed(1)
        loss = model(images).square().mean() + model.forward_masked(images, keep).square().mean()
        results.append([loss, *torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])])
    for mine, theirs in zip(*results, strict=True):
        assert torch.equal(mine, theirs)


def test_skipped_samples_keep_their_own_angles() -> None:
    """With samples of a batch left out, each that stays is turned by where its own visible patches lie."""
    model = build(rotary="eva", depth=1, drop_path=0.5, drop_path_uniform=True, drop_path_skip=True).double().train()
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    keep = torch.stack([torch.randperm(16)[:7] for _ in range(4)])
    torch.manual_seed(2)
    got = model.forward_masked(images, keep)
    torch.manual_seed(2)
    attended, transformed = torch.randperm(4)[:2], torch.randperm(4)[:2]
    block = model.blocks[0]
    for sample in range(4):
        one, turned = images[sample : sample + 1], keep[sample : sample + 1]
        x = model._embed(one, turned)
        if sample in attended:
            x = x + 2 * block.attn(block.norm1(x), 0, model._rotation(one, turned))
        if sample in transformed:
            x = x + 2 * block.mlp(block.norm2(x))
        torch.testing.assert_close(got[sample], model.norm(x)[0])


def test_drop_path_grows_linearly_and_rests_in_evaluation() -> None:
    model = build(drop_path=0.4)
    assert [block.drop_path for block in model.blocks] == pytest.approx([0.0, 0.2, 0.4])
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(images), model(images))


def test_the_mean_is_that_of_the_patches_alone_and_normalised_where_there_is_a_norm() -> None:
    for pool_norm in (False, True):
        model = build(registers=2, pool_norm=pool_norm, final_norm=False)
        tokens = model(torch.randn(2, 3, 32, 32))
        want = tokens[:, 3:].mean(dim=1)
        if pool_norm:
            want = torch.nn.functional.layer_norm(want, (12,), model.fc_norm.weight, model.fc_norm.bias, 1e-6)
        assert torch.equal(model.pooled_mean(tokens), want)


def test_a_sincos_table_is_fixed_and_a_learned_one_is_not() -> None:
    assert not build(position="sincos").pos_embed.requires_grad
    assert build().pos_embed.requires_grad


@pytest.mark.parametrize(("name", "weights"), [("vit_tiny_patch16", 5_524_416), ("vit_base_patch16", 85_798_656)])
def test_named_sizes_have_timms_parameter_counts(name: str, weights: int) -> None:
    with torch.device("meta"):
        model = VisionTransformer(vit_config(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == weights


def test_wrong_configurations_are_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'vit_tiny'.*vit_tiny_patch16"):
        vit_config("vit_tiny")
    with pytest.raises(ConfigError, match=r"unknown option 'dept'.*Did you mean 'depth'"):
        vit_config("vit_tiny_patch16", dept=3)
    for wrong, message in (
        ({"image_size": 30}, "image_size is 30 and must be a multiple of 8"),
        ({"heads": 5}, "width is 12 and must be a multiple of heads 5"),
        ({"depth": 0}, "not positive"),
        ({"drop_path": 1.0}, "drop_path is 1.0"),
        ({"position_resize": "nearest"}, "position_resize is 'nearest'"),
        ({"width": 6, "position": "sincos"}, "multiple of 4"),
        ({"width": 18, "rotary": "eva"}, "width is 18 and must be a multiple of 4 x heads 3"),
        ({"rotary": "rope"}, "rotary is 'rope' and must be one of eva, dinov3"),
        ({"rotary": "dinov3", "rotary_grid": 4}, "rotary_grid is 4 and must be left out"),
        ({"rotary": "eva", "rotary_grid": 0}, "rotary_grid is 0"),
        ({"rotary_base": 1.0}, "rotary_base is 1.0"),
        ({"position": "fixed"}, "position is 'fixed'"),
        ({"mlp": "relu"}, "mlp is 'relu' and must be one of gelu, quick_gelu, swiglu, swiglu_split"),
        ({"patch_stride": 9}, "patch_stride is 9 and must be in 1..8"),
        ({"patch_stride": 0}, "patch_stride is 0"),
        ({"patch_stride": 5}, r"image_size is 32 and must be 8 \+ a multiple of 5"),
        ({"image_size": 4}, "image_size is 4"),
    ):
        with pytest.raises(ConfigError, match=message):
            ViTConfig(**{**TINY, **wrong})
    with pytest.raises(ConfigError, match="last 4 blocks of 3"):
        build().forward_intermediates(torch.zeros(1, 3, 32, 32), 4)
    with pytest.raises(ConfigError, match="block 3 of 3"):
        build().attention(torch.zeros(1, 3, 32, 32), 3)


@pytest.mark.parametrize("case", ["finetune_cls", "finetune_gap"])
def test_golden_fine_tuned_features(shared: Path, case: str) -> None:
    golden = np.load(shared / f"golden/mae/{case}.npz")
    weights = {
        key[len("ckpt/model/") :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith("ckpt/")
    }
    pooled = case == "finetune_gap"
    model = VisionTransformer(
        ViTConfig(image_size=64, patch_size=16, width=48, depth=3, heads=3, final_norm=not pooled)
    )
    model.load_state_dict({key: value for key, value in weights.items() if key in model.state_dict()})
    tokens = model.eval().forward_features(torch.from_numpy(golden["in/imgs"]))
    features = tokens[:, 0]
    if pooled:
        mean = tokens[:, 1:].mean(1)
        features = torch.nn.functional.layer_norm(
            mean, (48,), weights["fc_norm.weight"], weights["fc_norm.bias"], eps=1e-6
        )
    np.testing.assert_allclose(features.detach().numpy(), golden["out/features"], rtol=1e-4, atol=1e-5)
    logits = features @ weights["head.weight"].T + weights["head.bias"]
    np.testing.assert_allclose(logits.detach().numpy(), golden["out/logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("case", "mlp", "heads"), [("vit_mlp", "gelu", 3), ("vit_swiglu_reg4_chunk2", "swiglu", 4)])
def test_golden_dinov2_backbones(shared: Path, case: str, mlp: str, heads: int) -> None:
    """Registers, LayerScale, SwiGLU and the offset resize rule on sizes that are not square."""
    golden = np.load(shared / f"golden/chexfound/{case}.npz")
    prefix = "ckpt/teacher/backbone."
    found = {key[len(prefix) :]: torch.from_numpy(golden[key]) for key in golden.files if key.startswith(prefix)}
    weights = {}
    for key, value in found.items():
        parts = key.split(".")
        if parts[0] == "blocks" and parts[2].isdigit():  # chunked: blocks.<chunk>.<block>
            del parts[1]
        weights[".".join(parts).replace("register_tokens", "reg_token")] = value
    weights.pop("mask_token")
    registers = weights["reg_token"].shape[1] if "reg_token" in weights else 0
    depth = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    width = weights["cls_token"].shape[-1]
    model = VisionTransformer(
        ViTConfig(
            image_size=16 * int((weights["pos_embed"].shape[1] - 1) ** 0.5),
            width=width,
            depth=depth,
            heads=heads,
            mlp=mlp,
            layer_scale=1e-5,
            registers=registers,
            position_resize="bicubic_offset",
        )
    ).eval()
    model.load_state_dict(weights)
    for size in {key.split("/")[1] for key in golden.files if key.startswith("in/")}:
        tokens = model.forward_features(torch.from_numpy(golden[f"in/{size}/imgs"])).detach().numpy()
        taps = model.forward_intermediates(torch.from_numpy(golden[f"in/{size}/imgs"]), 4, norm=True)
        want = {"cls": tokens[:, 0], "patch": tokens[:, 1 + registers :]}
        for index, tap in enumerate(taps):
            want[f"last4/patch_{index}"] = tap[:, 1 + registers :].detach().numpy()
            want[f"last4/cls_{index}"] = tap[:, 0].detach().numpy()
        for name, got in want.items():
            np.testing.assert_allclose(got, golden[f"out/{size}/{name}"], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.timm
@pytest.mark.parametrize("name", sorted(VIT_SIZES))
def test_equal_to_timm(name: str) -> None:
    timm = pytest.importorskip("timm", reason="needs hilum[timm]")
    theirs = timm.create_model(f"{name}_224", num_classes=0).eval()
    ours = VisionTransformer(vit_config(name)).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        want, got = theirs.forward_features(images), ours.forward_features(images)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.timm
def test_equal_to_timm_with_registers_layer_scale_and_another_size() -> None:
    timm = pytest.importorskip("timm", reason="needs hilum[timm]")
    theirs = timm.models.vision_transformer.VisionTransformer(
        img_size=64, patch_size=16, embed_dim=48, depth=3, num_heads=3, num_classes=0, reg_tokens=2,
        no_embed_class=True, init_values=0.5, dynamic_img_size=True,
    ).eval()  # fmt: skip
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    config = ViTConfig(
        image_size=64, width=48, depth=3, heads=3, registers=2, layer_scale=0.5, position_resize="bicubic_antialias"
    )
    ours = VisionTransformer(config).eval()
    weights = theirs.state_dict()
    # timm's table has no row for the class token here
    weights["pos_embed"] = torch.cat([torch.zeros(1, 1, 48), weights["pos_embed"]], dim=1)
    ours.load_state_dict(weights)
    for side in (64, 96, 48):
        images = torch.randn(2, 3, side, side)
        with torch.no_grad():
            want, got = theirs.forward_features(images), ours.forward_features(images)
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_class_attention_comes_with_the_tokens(checkpointing: bool) -> None:
    for options in ({}, {"registers": 2, "qkv_bias": False}):
        model = build(**options)
        model.gradient_checkpointing = checkpointing
        images = torch.randn(2, 3, 32, 32)
        tokens, seen = model.forward_with_attention(images)
        assert torch.equal(tokens, model.forward_features(images))
        torch.testing.assert_close(seen, model.attention(images)[:, :, 0])
        assert not seen.requires_grad
        tokens.sum().backward()
        assert not model.blocks[-1].attn._forward_pre_hooks


def test_attention_of_every_block_is_recorded_on_demand_only() -> None:
    torch.manual_seed(0)
    vit = VisionTransformer(ViTConfig(image_size=32, patch_size=8, width=24, depth=3, heads=2, registers=1)).eval()
    images = torch.randn(2, 3, 32, 32)
    before = vit(images)
    with vit.recorded_attention() as kept:
        inside = vit(images)
    with vit.recorded_attention(lambda weights: weights.mean(dim=1)) as means:
        vit(images)
    torch.testing.assert_close(inside, before, rtol=1e-4, atol=1e-5)
    assert torch.equal(vit(images), before)  # bit for bit, and nothing is kept any more
    assert len(kept) == len(means) == 3
    for index, weights in enumerate(kept):
        torch.testing.assert_close(weights, vit.attention(images, index), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(means[index], weights.mean(dim=1))
    slopes = torch.autograd.grad(inside[:, 0].sum(), kept)
    assert all(bool(slope.abs().sum() > 0) for slope in slopes)
