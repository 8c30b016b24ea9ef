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
