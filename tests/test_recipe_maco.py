"""The recipe of MaCo asks for what the paper, the released code and table 5 did."""

from __future__ import annotations

from typing import Any

import pytest

import hilum
from hilum.config import TrainSettings, override
from hilum.methods.maco import PRESETS, VARIANTS
from recipes.maco import maco


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the recipe hands to `hilum.pretrain`."""
    calls: dict[str, Any] = {}

    def pretrain(method: str, **options: Any) -> str:
        assert method == "maco"
        calls.update(options)
        return str(options["out"])

    monkeypatch.setattr(hilum, "pretrain", pretrain, raising=False)
    return calls


def settings(asked: dict[str, Any]) -> TrainSettings:
    known = {name: value for name, value in asked.items() if name in TrainSettings.__dataclass_fields__}
    return override(TrainSettings(), known, where="test")


@pytest.mark.parametrize(
    ("variant", "batch", "lr", "epochs"),
    [("hilum", 512, 4.5e-4, 30), ("paper", 512, 4.5e-4, 30), ("released", 4096, 2.5e-4, 51)],
)
def test_the_full_scale(asked: dict[str, Any], variant: Any, batch: int, lr: float, epochs: float) -> None:
    assert maco("DATA", "RUN", variant=variant, init="mae.pth", devices=4) == "RUN"
    loop = settings(asked)
    assert (loop.batch_size, loop.peak_lr, loop.epochs, loop.weight_decay) == (batch, lr, epochs, 0.05)
    assert (asked["preset"], asked["variant"], asked["init"], asked["set"]) == ("maco", variant, "mae.pth", {})
    assert round(loop.warmup * loop.epochs) == 2
    if variant == "released":
        assert loop.micro_batch == 512  # a GPU: the contrast sees 4 * 512 films, accumulated twice


@pytest.mark.parametrize(("part", "contrast"), [("mae", "none"), ("clip", "clip"), ("weighted", "released")])
def test_the_rows_of_table_5_on_the_phantom(asked: dict[str, Any], part: Any, contrast: str) -> None:
    maco("DATA", "RUN", scale="phantom", part=part, seed=3)
    assert asked["preset"] == "phantom"
    assert asked["seed"] == 3
    config = override(override(PRESETS["phantom"], VARIANTS["hilum"], where="variant"), asked["set"], where="set")
    assert config.contrast == contrast
    settings(asked)
