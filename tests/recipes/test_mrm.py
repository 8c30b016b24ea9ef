"""The recipe of MRM: its parts are configurations that exist, and its loop is the paper's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from hilum.config import TrainSettings, override
from hilum.errors import ConfigError
from hilum.methods.mrm import PRESETS, VARIANTS

PATH = Path(__file__).resolve().parents[2] / "recipes/mrm.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_mrm", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_part_is_a_configuration_of_its_own(recipe: ModuleType) -> None:
    made = [override(PRESETS["phantom"], values, where=name) for name, values in recipe.PARTS.items()]
    assert len(set(map(repr, made))) == len(made)
    for variant in VARIANTS.values():
        for name, values in recipe.PARTS.items():
            override(override(PRESETS["mrm"], variant, where="variant"), values, where=name)


def test_the_loop_is_the_papers(recipe: ModuleType) -> None:
    names = set(TrainSettings.__dataclass_fields__)
    settings = override(TrainSettings(), {k: v for k, v in recipe.FULL.items() if k in names}, where="recipe")
    assert (settings.epochs, settings.batch_size, settings.weight_decay, settings.warmup) == (200, 256, 0.05, 0.2)


def test_an_unknown_part_is_named(recipe: ModuleType) -> None:
    with pytest.raises(ConfigError, match="unknown part 'no_reports'"):
        recipe.mrm("data", "out", part="no_reports")
