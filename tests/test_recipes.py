"""A recipe says where it comes from, what it costs and what to expect; and it can be started."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

RECIPES = sorted((Path(__file__).resolve().parents[1] / "recipes").glob("*.py"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"recipe_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its own module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_states_paper_command_hardware_hours_and_expectation(path: Path) -> None:
    module = load(path)
    text = module.__doc__ or ""
    for field in ("Paper", "Command", "Hardware", "Hours", "Expect"):
        assert re.search(rf"^{field}: \S", text, re.MULTILINE), field
    function = getattr(module, path.stem)
    assert inspect.getdoc(function)


def test_cxrbase_is_the_published_configuration() -> None:
    from hilum.methods.mae import PRESETS

    config = PRESETS["cxrbase"]
    assert (config.model, config.image_size, config.mask_ratio) == ("vit_large_patch16", 224, 0.75)
    assert (config.decoder_width, config.decoder_depth, config.decoder_heads) == (512, 8, 16)
    assert (config.crop_scale, config.flip, config.channels) == ((0.2, 1.0), 0.5, 3)
