"""Settings are checked at the door, by name, and travel as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hilum.config import TrainSettings, override, to_json
from hilum.errors import ConfigError


def test_settings_round_trip_through_json() -> None:
    settings = TrainSettings(batch_size=64, betas=(0.9, 0.99), ema_decay=0.999, max_steps=7)
    assert override(TrainSettings(), json.loads(json.dumps(to_json(settings))), where="config.json") == settings


def test_the_linear_rule() -> None:
    assert TrainSettings(batch_size=1024, base_lr=1e-4).peak_lr == pytest.approx(4e-4)
    assert TrainSettings(batch_size=1024, lr=0.5).peak_lr == 0.5


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batch_sise": 4}, ["batch_sise", "batch_size"]),
        ({"batch_size": "many"}, ["batch_size", "whole number"]),
        ({"batch_size": 0}, ["batch_size", "at least 1"]),
        ({"batch_size": True}, ["batch_size"]),
        ({"precision": "int8"}, ["precision", "bf16"]),
        ({"batch_size": 10, "devices": 4}, ["batch_size", "multiple of the 4 devices"]),
        ({"batch_size": 10, "micro_batch": 4}, ["micro_batch", "divisor"]),
        ({"warmup": 1.5}, ["warmup", "share"]),
        ({"betas": [0.9]}, ["betas"]),
        ({"epochs": -1}, ["epochs", "more than 0"]),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        override(TrainSettings(), values, where="settings")
    for word in words:
        assert word in str(error.value)
