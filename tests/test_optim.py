"""Schedules and parameter groups against the official code's golden vectors and closed forms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hilum.config import TrainSettings
from hilum.evaluation.finetune import FineTune
from hilum.methods.method import Optimisation
from hilum.models.prototypes import PrototypeHead
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.optim import cosine, layer_of, learning_rate, make_optimizer, parameter_groups, set_schedule


def test_schedule_equals_the_official_one(shared: Path) -> None:
    golden = np.load(shared / "golden/mae/lr_schedule.npz")
    config = json.loads((shared / "golden/mae/lr_schedule.json").read_text())["config"]
    total, warmup = config["epochs"], config["warmup_epochs"] / config["epochs"]
    plain = [
        learning_rate("cosine", epoch / total, peak=config["lr"], floor=config["min_lr"], warmup=warmup)
        for epoch in golden["in/epochs"]
    ]
    np.testing.assert_allclose(plain, golden["out/lr"][:, 0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.array(plain) * 0.3, golden["out/lr"][:, 1], rtol=1e-9, atol=1e-12)


def test_schedule_meets_its_corners() -> None:
    assert learning_rate("cosine", 0.0, peak=2.0, warmup=0.1) == 0.0
    assert learning_rate("cosine", 0.05, peak=2.0, warmup=0.1) == pytest.approx(1.0)
    assert learning_rate("cosine", 0.1, peak=2.0, floor=0.5, warmup=0.1) == pytest.approx(2.0)
    assert learning_rate("cosine", 1.0, peak=2.0, floor=0.5, warmup=0.1) == pytest.approx(0.5)
    assert learning_rate("cosine", 0.0, peak=2.0) == 2.0


class FineTuned(nn.Module):
    """A ViT with MAE's fine-tuning head, under the official names."""

    def __init__(self, *, mean_pool: bool) -> None:
        super().__init__()
        config = ViTConfig(image_size=64, width=48, depth=3, heads=3, final_norm=not mean_pool)
        vit = VisionTransformer(config)
        for name, child in vit.named_children():
            self.add_module(name, child)
        self.cls_token, self.pos_embed = vit.cls_token, vit.pos_embed
        if mean_pool:
            self.fc_norm = nn.LayerNorm(48)
        self.head = nn.Linear(48, 5)


@pytest.mark.parametrize("case", ["finetune_cls", "finetune_gap"])
def test_layer_decay_equals_the_official_groups(case: str, shared: Path) -> None:
    extra = json.loads((shared / f"golden/mae/{case}.json").read_text())["extra"]
    model = FineTuned(mean_pool=case.endswith("gap"))
    groups = parameter_groups(
        model.named_parameters(),
        weight_decay=0.05,
        layer_decay=extra["layer_decay"],
        depth=3,
        asked=FineTune.optimisation,
    )
    ours = {name: [group.lr_scale, group.weight_decay] for group in groups for name in group.names}
    official = extra["lr_scale_and_wd_of"]
    assert ours.keys() == official.keys()
    for name, (scale, decay) in official.items():
        assert ours[name][0] == pytest.approx(scale, rel=1e-12), name
        assert ours[name][1] == decay, name


@pytest.mark.parametrize("case", ["pretrain_r75", "pretrain_r50_p8"])
def test_pretraining_weight_decay_equals_the_official_groups(case: str, shared: Path) -> None:
    official = json.loads((shared / f"golden/mae/{case}.json").read_text())["extra"]["weight_decay_of"]
    shapes = np.load(shared / f"golden/mae/{case}.npz")
    named = [(name, nn.Parameter(torch.from_numpy(shapes[f"ckpt/model/{name}"]))) for name in official]
    groups = parameter_groups(named, weight_decay=0.05)
    assert {name: group.weight_decay for group in groups for name in group.names} == official


def test_frozen_parameters_are_in_no_group() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    groups = parameter_groups(model.named_parameters(), weight_decay=0.1)
    assert [group.names for group in groups] == [("weight",)]


def test_multipliers_reach_the_optimizer() -> None:
    model = VisionTransformer(ViTConfig(image_size=32, width=16, depth=2, heads=2))
    groups = parameter_groups(model.named_parameters(), weight_decay=0.1, layer_decay=0.5, depth=2)
    optimizer = make_optimizer(model, groups, TrainSettings(lr=1.0))
    set_schedule(optimizer, 8.0)
    rates = {
        name: group["lr"] for group, names in zip(optimizer.param_groups, groups, strict=True) for name in names.names
    }
    assert rates["patch_embed.proj.weight"] == 8.0 * 0.5**3
    assert rates["blocks.1.attn.qkv.weight"] == 8.0 * 0.5
    assert rates["norm.weight"] == 8.0


def test_layers_are_counted_behind_any_prefix() -> None:
    assert layer_of("backbone.blocks.4.mlp.fc1.weight", 12) == 5
    assert layer_of("backbone.pos_embed", 12) == 0
    assert layer_of("decoder_blocks.0.attn.qkv.weight", 12) == 13
    assert layer_of("head.weight", 12) == 13


@pytest.mark.parametrize("case", ["vit_mlp", "vit_swiglu_reg4_chunk2"])
def test_dinov2_groups_equal_the_official_ones(case: str, shared: Path) -> None:
    golden = json.loads((shared / f"golden/chexfound/{case}.json").read_text())
    config, extra = golden["config"], golden["extra"]
    model = VisionTransformer(
        ViTConfig(
            image_size=config["img_size"],
            patch_size=config["patch_size"],
            width=config["embed_dim"],
            depth=config["depth"],
            heads=config["num_heads"],
            layer_scale=config["init_values"],
            mlp="gelu" if config["ffn_layer"] == "mlp" else "swiglu",
            registers=config["num_register_tokens"],
            mask_token=True,
        )
    )
    asked = Optimisation(lr_scales={"patch_embed": 0.2}, frozen_until={"last_layer": 0.01})
    groups = parameter_groups(
        model.named_parameters(), weight_decay=1.0, layer_decay=0.9, depth=config["depth"], asked=asked
    )
    ours = {name: [group.lr_scale, group.weight_decay, False] for group in groups for name in group.names}
    chunk = re.compile(r"^blocks\.\d+\.(\d+\.)(?=\w+\d?\.)") if config["block_chunks"] else None
    official = {
        (chunk.sub(r"blocks.\1", name) if chunk else name).replace("register_tokens", "reg_token"): facts
        for name, facts in extra["backbone_groups"].items()
    }
    assert ours.keys() == official.keys()
    for name, (scale, decay, last) in official.items():
        assert ours[name] == [pytest.approx(scale, rel=1e-12), decay, last], name

    head = parameter_groups(
        PrototypeHead(16, 24, hidden=16, bottleneck=8).named_parameters(), weight_decay=1.0, asked=asked
    )
    ours = {
        name: [group.lr_scale, group.weight_decay, group.frozen_until > 0] for group in head for name in group.names
    }
    assert ours == extra["dino_head_groups"]


def test_a_waiting_group_has_no_rate_and_decay_follows_its_cosine() -> None:
    model = PrototypeHead(8, 12, hidden=8, bottleneck=4)
    asked = Optimisation(frozen_until={"last_layer": 0.1})
    groups = parameter_groups(model.named_parameters(), weight_decay=0.04, asked=asked)
    optimizer = make_optimizer(model, groups, TrainSettings(lr=1.0, betas=(0.9, 0.999)))

    def facts(name: str) -> tuple[float, float]:
        for group, names in zip(optimizer.param_groups, groups, strict=True):
            if name in names.names:
                return group["lr"], group["weight_decay"]
        raise AssertionError(name)

    set_schedule(optimizer, 2.0, progress=0.05, weight_decay=cosine(0.05, 0.04, 0.2))
    assert facts("last_layer.weight_v")[0] == 0.0
    assert facts("mlp.0.weight") == (2.0, pytest.approx(cosine(0.05, 0.04, 0.2)))
    assert facts("mlp.0.bias") == (2.0, 0.0)
    set_schedule(optimizer, 2.0, progress=0.1)
    assert facts("last_layer.weight_v")[0] == 2.0


def test_the_dinov2_schedule_is_ours_with_its_warm_up_one_step_shorter(shared: Path) -> None:
    golden = np.load(shared / "golden/chexfound/cosine_schedule.npz")
    config = json.loads((shared / "golden/chexfound/cosine_schedule.json").read_text())["config"]["schedules"]
    first, second = config
    total, warmup = first["total_iters"], first["warmup_iters"]
    ours = [
        learning_rate(
            "cosine",
            (step * warmup / (warmup - 1) if step < warmup else step) / total,  # theirs reaches the peak a step earlier
            peak=first["base_value"],
            floor=first["final_value"],
            warmup=warmup / total,
        )
        for step in range(total)
    ]
    np.testing.assert_allclose(ours, golden["out/s0"][:total], rtol=1e-9, atol=1e-12)
    assert (golden["out/s0"][total:] == first["final_value"]).all()
    total = second["total_iters"]
    ours = [cosine(step / total, second["base_value"], second["final_value"]) for step in range(total + 1)]
    np.testing.assert_allclose(ours, golden["out/s1"][: total + 1], rtol=1e-9, atol=1e-12)


def test_a_straight_decay_and_none() -> None:
    assert learning_rate("poly", 0.55, peak=2.0, floor=0.2, warmup=0.1) == pytest.approx(1.1)
    assert learning_rate("poly", 1.0, peak=2.0) == 0.0
    assert learning_rate("constant", 0.7, peak=2.0, floor=0.5) == 2.0


def test_sgd_takes_the_step_of_its_definition() -> None:
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    settings = TrainSettings(optimizer="sgd", momentum=0.5, lr=0.1)
    optimizer = make_optimizer(model, parameter_groups(model.named_parameters(), weight_decay=0.0), settings)
    velocity = torch.zeros_like(before)
    for _ in range(3):
        model.weight.grad = torch.ones_like(before)
        optimizer.step()
        velocity = 0.5 * velocity + 1
        before = before - 0.1 * velocity
    torch.testing.assert_close(model.weight.detach(), before)
