"""What a head reads, resolved and checked; taps are held in memory where they fit."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.frozen_inputs import Reading, frozen_inputs, head_options, held
from hilum.evaluation.head_inputs import EncoderInputs
from hilum.heads.inputs import InMemory
from hilum.heads.taps import Taps
from hilum.manifest import Manifest
from hilum.models.resnet import ResNetConfig
from hilum.models.vit import ViTConfig

VIT = ViTConfig(image_size=64, patch_size=16, channels=1, width=48, depth=2, heads=2)
QUIET = Runner(device="cpu", batch_size=16, quiet=True)


def test_blocks_are_those_of_the_head_or_all_there_are() -> None:
    assert head_options("glori", None, None, VIT)["blocks"] == 2
    assert head_options("glori", None, 1, VIT)["blocks"] == 1
    assert head_options("chexfound-probe", None, None, ViTConfig())["blocks"] == 4
    assert head_options("glori", None, None, ResNetConfig())["blocks"] == 1
    with pytest.raises(ConfigError, match="the last 4 blocks of an encoder that gives 2"):
        head_options("glori", None, 4, VIT)
    with pytest.raises(ConfigError, match="the linear head reads one pooled vector a film and knows no blocks"):
        head_options("linear", None, 2, VIT)


def test_a_variant_is_options_by_name() -> None:
    assert head_options("linear", "hilum", None, VIT) == head_options("linear", None, None, VIT)
    released = head_options("glori", "released-patches", None, VIT)
    assert (released["class_token"], released["queries"], released["self_residual"]) == ("none", "frozen", True)
    assert Reading.of("glori", released, "mean") == Reading(None, 2, ("patch",))
    assert Reading.of("linear", {}, "cls") == Reading("cls")
    with pytest.raises(ConfigError, match=r"unknown variant of glori 'relesed'.*Did you mean 'released'"):
        head_options("glori", "relesed", None, VIT)
    with pytest.raises(ConfigError, match=r"unknown variant of mlp 'paper'.*Known: hilum"):
        head_options("mlp", "paper", None, VIT)


def test_taps_are_held_where_they_fit(encoder: Encoder, films: Path, caplog: pytest.LogCaptureFixture) -> None:
    manifest = Manifest.read(films).select(split="val")
    reading = Reading(None, 2, ("cls", "patch"))
    inputs = [frozen_inputs(encoder, manifest, reading, runner=QUIET) for _ in range(2)]
    assert all(isinstance(part, EncoderInputs) for part in inputs)
    size = 2 * 24 * (1 + 16) * 96 * 4 / 2**30  # GiB of both
    with caplog.at_level(logging.INFO, logger="hilum"):
        assert held(inputs, size * 0.99, QUIET) == inputs
    assert "tokens of 48 films are 0.0 GiB and are computed again every epoch; `hilum embed` would" in caplog.text
    inside = held(inputs, size * 1.01, QUIET)
    rows = torch.tensor([23, 0, 7])
    for part in inside:
        assert isinstance(part, InMemory)
        got, wanted = part.batch(rows), inputs[0].batch(rows)
        assert isinstance(got, Taps)
        assert isinstance(wanted, Taps)
        torch.testing.assert_close(got.patches, wanted.patches)
        torch.testing.assert_close(got.cls, wanted.cls)
    assert held(inside, 0.0, QUIET) == inside


def test_only_what_the_head_reads_is_read(encoder: Encoder, films: Path) -> None:
    manifest = Manifest.read(films).select(split="val")
    (inside,) = held([frozen_inputs(encoder, manifest, Reading(None, 2, ("cls",)), runner=QUIET)], 1.0, QUIET)
    assert isinstance(inside, InMemory)
    assert isinstance(inside.features, Taps)
    assert inside.features.patches is None
    assert inside.width == 96
