"""DINOv2: the whole objective against the official code's golden vectors, and what must hold of any step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.config import override
from hilum.errors import CheckpointError, ConfigError
from hilum.methods.dinov2 import PRESETS, SETTINGS, VARIANTS, Config, DINOv2, HeadConfig
from hilum.models.ema import follow
from hilum.models.vit import VIT_SIZES
from hilum.transforms.crops import CROP_MASKS, GLOBAL_CROPS, LOCAL_CROPS
from hilum.transforms.place import Place
from tests.processes import in_processes

TINY = Config(
    model="vit_tiny_patch16",
    image_size=32,
    local_size=16,
    local_crops=3,
    channels=1,
    mean=(0.5,),
    std=(0.25,),
    vit={"width": 16, "depth": 2, "heads": 2, "patch_size": 8, "registers": 2},
    dino_head=HeadConfig(24, 16, 8),
    ibot_head=HeadConfig(20, 16, 8),
)


def tiny(**changes: Any) -> DINOv2:
    torch.manual_seed(0)
    return DINOv2(override(TINY, changes, where="test"))


def batch_of(method: DINOv2, films: int, *, step: int = 0, first: int = 0, of: int | None = None) -> dict[str, Tensor]:
    """Films `first` to `first + films` of one global batch of `of`, as the loader would stack them."""
    views, samples = method.views(), []
    for index in range(first, first + films):
        rng = np.random.default_rng([7, step, index])
        film = np.random.default_rng(index).integers(0, 255, (48, 40)).astype(np.uint8)
        samples.append(views(film, rng, Place(step, index, of or films, 0)))
    return {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}


# --- the official code -----------------------------------------------------------------------------------------------


def our_key(key: str) -> str:
    key = re.sub(r"blocks\.\d+\.(\d+)\.", r"blocks.\1.", key).replace("register_tokens", "reg_token")
    return key.replace("dino_loss.center", "dino_center.center").replace("ibot_patch_loss.center", "ibot_center.center")


def golden_case(name: str, shared: Path) -> tuple[DINOv2, dict[str, Any], Any]:
    """The method with the case's weights, its batch, and the golden file."""
    golden = np.load(shared / f"golden/chexfound/{name}.npz")
    case = json.loads((shared / f"golden/chexfound/{name}.json").read_text())["config"]
    student, crops, temperature = case["student"], case["crops"], case["teacher_temp"]

    def head(part: dict[str, Any]) -> HeadConfig:
        return HeadConfig(
            part["head_n_prototypes"], part["head_hidden_dim"], part["head_bottleneck_dim"], part["head_nlayers"]
        )

    config = Config(
        model="vit_tiny_patch16",
        image_size=crops["global_crops_size"],
        local_size=crops["local_crops_size"],
        local_crops=crops["local_crops_number"],
        vit={
            "width": case["arch"]["embed_dim"],
            "depth": case["arch"]["depth"],
            "heads": case["arch"]["num_heads"],
            "patch_size": student["patch_size"],
            "registers": student["num_register_tokens"],
            "mlp": "gelu" if student["ffn_layer"] == "mlp" else "swiglu",
        },
        dino_head=head(case["dino"]),
        ibot_head=head(case["ibot"]),
        shared_head=not case["ibot"]["separate_head"],
        ibot_weight=case["ibot"]["loss_weight"],
        koleo_weight=case["dino"]["koleo_loss_weight"],
        centering="softmax" if case["train"]["centering"] == "centering" else "sinkhorn",
        teacher_temperature=(temperature, temperature),
    )
    method = DINOv2(config)
    weights = {
        our_key(key.removeprefix("ckpt/model/")): torch.from_numpy(golden[key])
        for key in golden.files
        if key.startswith("ckpt/model/")
    }
    own = method.state_dict()
    method.load_state_dict({key: value.reshape(own[key].shape) for key, value in weights.items() if key in own})
    assert set(own) == {key for key in weights if key in own}, "a tensor of ours was not in the file"
    films = len(golden["in/collated_global_crops"]) // 2

    def by_film(name: str) -> Tensor:
        crops = torch.from_numpy(golden[name])
        return crops.reshape(-1, films, *crops.shape[1:]).transpose(0, 1)

    batch = {
        GLOBAL_CROPS: by_film("in/collated_global_crops"),
        LOCAL_CROPS: by_film("in/collated_local_crops"),
        CROP_MASKS: by_film("in/collated_masks"),
    }
    return method, batch, golden


@pytest.mark.parametrize("name", ["full_sinkhorn_separate", "full_centering_shared"])
def test_a_step_equals_the_official_one(name: str, shared: Path) -> None:
    method, batch, golden = golden_case(name, shared)
    method.train()
    output = method(batch, 0.5)
    close = {"rtol": 2e-4, "atol": 2e-5}
    said = {key.removeprefix("out/loss/"): float(golden[key]) for key in golden.files if key.startswith("out/loss/")}
    assert output.scalars["dino_local"].item() == pytest.approx(said["dino_local_crops_loss"], rel=2e-4)
    assert output.scalars["dino_global"].item() == pytest.approx(said["dino_global_crops_loss"], rel=2e-4)
    assert output.scalars["ibot"].item() / 2 == pytest.approx(said["ibot_loss"], rel=2e-4)  # theirs is halved
    koleo = output.scalars["koleo"].item() * method.config.koleo_weight / 2
    assert koleo == pytest.approx(said["koleo_loss"], rel=2e-4)
    assert output.loss.item() == pytest.approx(float(golden["out/total"]), rel=2e-4)

    output.loss.backward()
    for key in (key for key in golden.files if key.startswith("out/grad/")):
        parameter = method.student.get_parameter(our_key(key.removeprefix("out/grad/")))
        assert parameter.grad is not None, key
        np.testing.assert_allclose(parameter.grad.numpy(), golden[key], **close, err_msg=key)
    follow(method.teacher, method.student, 0.9)
    for key in (key for key in golden.files if key.startswith("out/teacher_after_ema_0.9/")):
        ours = method.teacher.get_parameter(our_key(key.removeprefix("out/teacher_after_ema_0.9/")))
        np.testing.assert_allclose(ours.numpy(), golden[key], **close, err_msg=key)
    for ours, key in ((method.dino_center, "out/dino_center_after"), (method.ibot_center, "out/ibot_center_after")):
        np.testing.assert_allclose(ours.center.flatten().numpy(), golden[key].flatten(), **close)


# --- any step --------------------------------------------------------------------------------------------------------


def test_the_teacher_sees_whole_crops_and_takes_no_gradient() -> None:
    method = tiny()
    batch = batch_of(method, 4)
    method(batch, 0.0).loss.backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert method.student.backbone.mask_token.grad.abs().sum() > 0
    bare = {**batch, CROP_MASKS: torch.zeros_like(batch[CROP_MASKS])}
    output = method(bare, 0.0)
    assert output.scalars["ibot"].item() == 0.0
    assert output.scalars["dino_local"].item() == method(batch, 0.0).scalars["dino_local"].item()


def test_the_teacher_follows_on_a_cosine() -> None:
    method = tiny(momentum=(0.5, 1.0))
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(1.0)
    before = {name: value.clone() for name, value in method.teacher.named_parameters()}
    method.after_step(0.5)  # momentum 0.75
    for name, value in method.teacher.named_parameters():
        expected = 0.75 * before[name] + 0.25 * method.student.get_parameter(name)
        torch.testing.assert_close(value, expected)
    method.after_step(1.0)
    for name, value in method.teacher.named_parameters():
        torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * method.student.get_parameter(name))


def test_the_teachers_temperature_rises_and_stays() -> None:
    method = tiny()
    assert [method.teacher_temperature(p) for p in (0.0, 0.15, 0.3, 1.0)] == pytest.approx([0.04, 0.055, 0.07, 0.07])
    assert tiny(teacher_warmup=0.0).teacher_temperature(0.0) == pytest.approx(0.07)


def test_only_the_student_drops_paths() -> None:
    method = tiny(drop_path=0.5).train()
    batch = batch_of(method, 4)
    torch.manual_seed(1)
    first = method(batch, 0.0)
    second = method(batch, 0.0)
    assert first.loss.item() != second.loss.item()
    whole = torch.rand(3, 1, 32, 32)
    torch.testing.assert_close(method.backbone(whole), method.backbone(whole), rtol=0, atol=0)
    assert method.encoder.config.drop_path == 0.0
    method.eval()
    assert method(batch, 0.0).loss.item() == method(batch, 0.0).loss.item()


def test_masks_do_not_depend_on_how_a_batch_is_split() -> None:
    method = tiny()
    whole = batch_of(method, 8)
    parts = [batch_of(method, 2, first=first, of=8) for first in range(0, 8, 2)]
    for key, value in whole.items():
        assert torch.equal(value, torch.cat([part[key] for part in parts])), key
    masked = whole[CROP_MASKS].flatten(0, 1).any(1)
    assert masked.sum() == 8  # half of 16 global crops


def test_the_exported_encoder_has_no_mask_token_and_sees_the_same() -> None:
    method = tiny()
    films = torch.rand(2, 1, 32, 32)
    assert "mask_token" not in method.encoder.state_dict()
    assert torch.equal(method.encoder(films), method.backbone(films))


# --- stages ----------------------------------------------------------------------------------------------------------


def test_a_stage_starts_below_a_fresh_model_and_says_what_it_used() -> None:
    torch.manual_seed(0)
    early = tiny(vit={**TINY.vit, "layer_scale": None}, momentum=(0.9, 1.0))
    optimizer = torch.optim.AdamW(early.student.parameters(), lr=2e-3)
    for step in range(40):
        early(batch_of(early, 8, step=step), step / 40).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        early.after_step(step / 40)
    larger = {"vit": {**TINY.vit, "layer_scale": None}, "image_size": 64, "local_size": 24}
    fresh, stage = tiny(**larger), tiny(**larger)
    notes = stage.start_from_method(early, where="stage")
    batch = batch_of(stage, 8, step=99)
    assert stage(batch, 0.0).loss.item() < fresh(batch, 0.0).loss.item()
    said = "\n".join(notes)
    count = len(early.student.backbone.state_dict())
    assert f"student starts from the file: backbone {count} tensors, dino head 8 tensors, ibot head 8 tensors" in said
    assert "teacher starts from the file" in said
    assert "dino center" in said
    assert not torch.equal(stage.student.backbone.cls_token, stage.teacher.backbone.cls_token)


def test_a_stage_can_forget_its_positions_as_the_code_does() -> None:
    early = tiny()
    kept, fresh = tiny(image_size=64), tiny(image_size=64, position_start="fresh")
    own = fresh.backbone.pos_embed.clone()
    kept.start_from_method(early, where="stage")
    notes = fresh.start_from_method(early, where="stage")
    assert torch.equal(fresh.backbone.pos_embed, own)
    assert torch.equal(kept.backbone.pos_embed[:, 0], early.backbone.pos_embed[:, 0])
    assert "the position table starts fresh" in notes[-1]


def test_a_stage_of_another_width_is_refused_and_nothing_changes() -> None:
    method, other = tiny(), tiny(vit={**TINY.vit, "width": 24})
    before = {key: value.clone() for key, value in method.state_dict().items()}
    with pytest.raises(CheckpointError, match="another architecture"):
        method.start_from_method(other, where="stage")
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())


def test_heads_of_other_sizes_start_fresh_and_it_is_said() -> None:
    other = tiny(dino_head=HeadConfig(40, 16, 8))
    notes = tiny().start_from_method(other, where="stage")
    assert "dino head fresh (other sizes in the file)" in notes[0]
    assert "ibot head 8 tensors" in notes[0]


def test_an_official_file_starts_everything(shared: Path) -> None:
    file = shared / "golden/checkpoints/chexfound_teacher_checkpoint.pth"
    config = json.loads((shared / "golden/checkpoints/chexfound_teacher.json").read_text())["config"]
    vit = {"width": config["embed_dim"], "depth": config["depth"], "heads": config["num_heads"]}
    method = DINOv2(Config(model="vit_tiny_patch16", image_size=128, vit=vit, dino_head=HeadConfig(24, 16, 8)))
    notes = "\n".join(method.start_from(file))
    assert "teacher.backbone" in notes
    assert "teacher starts from the file" in notes
    assert "student starts from the file (the file has no student: its teacher is used)" in notes


def test_a_bare_dinov2_backbone_starts_both_networks(tmp_path: Path) -> None:
    source = tiny(vit={**TINY.vit, "mlp": "gelu"})
    bare = {k.replace("reg_token", "register_tokens"): v for k, v in source.backbone.state_dict().items()}
    torch.save(bare, tmp_path / "dinov2.pth")
    method = tiny(vit={**TINY.vit, "mlp": "gelu"}, dino_head=HeadConfig(40, 16, 8))
    notes = "\n".join(method.start_from(tmp_path / "dinov2.pth"))
    for network in (method.student, method.teacher):
        assert torch.equal(network.backbone.cls_token, source.backbone.cls_token)
    assert "dino head fresh (none in the file)" in notes


# --- configurations --------------------------------------------------------------------------------------------------


def test_where_paper_and_code_disagree() -> None:
    paper, released = (override(Config(), VARIANTS[name], where=name) for name in ("paper", "released"))
    differing = {
        name: (getattr(paper, name), getattr(released, name))
        for name in Config.__dataclass_fields__
        if getattr(paper, name) != getattr(released, name)
    }
    assert differing == {
        "blur_quirk": (False, True),
        "koleo_weight": (0.0, 0.1),
        "momentum": ((0.994, 0.994), (0.994, 1.0)),
        "position_start": ("resize", "fresh"),
    }
    assert override(Config(), VARIANTS["hilum"], where="hilum") == Config()
    rules = {name: (values.get("lr"), values["lr_rule"]) for name, values in SETTINGS.items()}
    assert rules == {"hilum": (None, "sqrt"), "paper": (2e-4, "sqrt"), "released": (None, "sqrt")}


@pytest.mark.parametrize(
    ("name", "size", "parameters"),
    [
        ("vit_large_patch16", 512, 304_630_016),
        ("vit_large_patch16", 448, 304_384_256),
        ("vit_large_patch16", 336, 304_033_024),
        ("vit_large_patch16", 224, 303_782_144),
    ],
)
def test_full_size_encoders_have_the_published_number_of_weights(name: str, size: int, parameters: int) -> None:
    with torch.device("meta"):
        method = DINOv2(Config(model=name, image_size=size))
    assert sum(p.numel() for p in method.backbone.parameters()) == parameters
    pairs = {512: 144, 448: 128, 336: 128, 224: 96}
    assert method.views().recipe.local_size == pairs[size]


def test_every_named_size_and_preset_can_be_built() -> None:
    with torch.device("meta"):
        for name in VIT_SIZES:
            assert DINOv2(Config(model=name)).backbone.config.registers == 4
        for preset in PRESETS.values():
            DINOv2(preset)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"local_crops": 0}, "local_crops is 0"),
        ({"mask_ratio": (0.6, 0.5)}, "mask_ratio"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"mean": (0.5, 0.5)}, "one value for each of 1 channels"),
        ({"koleo_weight": -1.0}, "0 or more"),
        ({"freeze_last_layer": 1.0}, "a share of the run"),
    ],
)
def test_values_without_meaning_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        override(TINY, change, where="test")


@pytest.mark.slow
def test_one_step_of_the_paper_at_full_size() -> None:
    config = override(Config(), {"gradient_checkpointing": True}, where="test")
    torch.manual_seed(0)
    method = DINOv2(config)
    output = method(batch_of(method, 1), 0.0)
    output.loss.backward()
    assert output.loss.isfinite()
    assert all(p.grad is not None for p in method.student.parameters())


# --- several processes -----------------------------------------------------------------------------------------------


def step_of_two() -> dict[str, Tensor]:
    """One rank's half of a step: the loss and the gradients as DDP averages them."""
    from torch import distributed as dist

    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    found: dict[str, Tensor] = {}
    for centering in ("sinkhorn", "softmax"):
        # float64: what is compared is the arithmetic, not how float32 rounds KoLeo's steep gradients
        method = tiny(centering=centering, vit={**TINY.vit, "layer_scale": None}).double()
        films = 8 // world
        crops = batch_of(method, films, first=rank * films, of=8)
        batch = {key: crops[key] if key == CROP_MASKS else crops[key].double() / 255 - 0.5 for key in crops}
        output = method(batch, 0.5)
        output.loss.backward()
        loss = output.loss.detach().clone()
        gradients = {name: parameter.grad for name, parameter in method.student.named_parameters()}
        for value in (loss, *gradients.values()):
            if world > 1:
                dist.all_reduce(value)
                value /= world
        named = {"loss": loss, **gradients, "center": method.dino_center.center, "patches": method.ibot_center.center}
        found |= {f"{centering}/{name}": value for name, value in named.items()}
    return found


def test_two_processes_compute_the_step_of_one(tmp_path: Path) -> None:
    alone = step_of_two()
    for rank in in_processes("tests.methods.test_dinov2:step_of_two", tmp_path):
        for name, value in alone.items():
            torch.testing.assert_close(rank[name], value.detach(), rtol=1e-8, atol=1e-6, msg=name)
