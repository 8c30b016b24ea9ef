"""Sizes of every family as JSON and back, at other image sizes, in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from hilum.errors import ConfigError
from hilum.models.backbone import (
    FAMILIES,
    architecture_from_json,
    architecture_to_json,
    build_backbone,
    cells_at,
    check_tiling,
    family_of,
    in_words,
    local_width,
    retuned,
)
from hilum.models.resnet import ResNetConfig
from hilum.models.vit import ViTConfig
from tests.models.tiny_convolutions import TINY

ALL: dict[str, Any] = {"vit": ViTConfig(image_size=64, channels=1, width=48, depth=2, heads=2), **TINY}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_sizes_travel_as_json(family: str) -> None:
    sizes = ALL[family]
    values = json.loads(json.dumps(architecture_to_json(sizes)))
    assert values.get("family", "vit") == family_of(sizes) == family
    assert architecture_from_json(values, where="here") == sizes
    assert build_backbone(sizes).config == sizes
    with pytest.raises(ConfigError, match="here: unknown option 'nonsense'"):
        architecture_from_json({**values, "nonsense": 1}, where="here")


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown family of encoders 'resnets'.*Did you mean 'resnet'"):
        architecture_from_json({"family": "resnets"}, where="config.json")


def test_cells_and_the_local_map() -> None:
    assert [cells_at(sizes, 96) for sizes in ALL.values()] == [(6, 6), (3, 3), (3, 3), (3, 3), (3, 3)]
    assert [local_width(sizes) for sizes in ALL.values()] == [48, 64, 11, 24, 24]
    assert in_words(ALL["vit"]) == "Vision Transformer, 2 blocks, width 48, patch 16"
    assert in_words(ALL["clip_resnet"]) == "ResNet of CLIP, 5 blocks, width 24"


def test_sizes_for_a_task_keep_the_weights_in_place() -> None:
    for name, sizes in ALL.items():
        for_task = retuned(sizes, size=96, drop_path=0.2)
        shapes = {key: value.shape for key, value in build_backbone(sizes).state_dict().items()}
        assert shapes == {key: value.shape for key, value in build_backbone(for_task).state_dict().items()}
        assert getattr(for_task, "drop_path", 0.2) == 0.2
        assert for_task.image_size == (64 if name in ("vit", "clip_resnet") else 96)
    enlarged = retuned(ResNetConfig(image_size=64, enlarged=96), size=128)
    assert isinstance(enlarged, ResNetConfig)
    assert (enlarged.image_size, enlarged.enlarged) == (128, 192)


def test_films_that_leave_no_map_are_refused() -> None:
    for sizes in TINY.values():
        check_tiling(sizes, 63)
    check_tiling(ALL["vit"], 64)
    with pytest.raises(ConfigError, match="63 x 63 pixels do not divide into patches of 16"):
        check_tiling(ALL["vit"], 63)
    with pytest.raises(ConfigError, match="31 pixels leave nothing of the last map"):
        check_tiling(TINY["convnext"], 31)
    with pytest.raises(ConfigError, match="0 pixels are no film"):
        check_tiling(TINY["resnet"], 0)
    assert build_backbone(TINY["convnext"])(torch.zeros(1, 1, 32, 32)).shape == (1, 2, 24)
