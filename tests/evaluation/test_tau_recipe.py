"""MaCo's Fig. 5 on a tiny encoder: every tau on the same questions, and what does not depend on tau does not move."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hilum.datasets.phantom.write import write_phantom
from hilum.errors import ConfigError
from hilum.manifest import Manifest
from tests.evaluation.test_joint_space import LINEAR, MLP, make


def recipe() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "recipes/maco_tau.py"
    spec = importlib.util.spec_from_file_location("recipe_maco_tau", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_phantom(tmp_path_factory.mktemp("phantom") / "data", patients=10, size=64, progress=False)
    table = Manifest.read(root).table.copy()
    table["split"] = "test"
    Manifest.from_table(table, root).write(root)
    return root


def test_only_the_maps_with_the_prior_move_with_tau(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = make(LINEAR, data)
    with torch.no_grad():
        encoder.towers.position.weight.copy_(torch.linspace(-1, 1, 16))  # type: ignore[union-attr]
    path, out = encoder.save(tmp_path / "encoder"), tmp_path / "tau"
    recipe().maco_tau(encoder=str(path), data=str(data), out=str(out), taus=(0.02, 0.1, 5.0), draws=20, device="cpu")
    found = json.loads((out / "tau.json").read_text())
    values = {
        way: [found["ways"][tau][way]["cnr"]["micro"]["value"] for tau in ("0.02", "0.1", "5.0")]
        for way in ("with_prior", "without_prior", "prior_alone", "centre")
    }
    assert len(set(values["without_prior"])) == len(set(values["centre"])) == 1
    assert len(set(values["with_prior"])) == len(set(values["prior_alone"])) == 3
    assert abs(values["with_prior"][2] - values["without_prior"][2]) < 0.2  # a flat prior changes little
    assert "<polyline" in (out / "tau.svg").read_text()
    assert "| 0.1 | with prior |" in capsys.readouterr().out


def test_what_cannot_be_is_said_before_anything_is_computed(data: Path, tmp_path: Path) -> None:
    path = str(make(MLP, data).save(tmp_path / "medim"))
    with pytest.raises(ConfigError, match="learned no importance of positions"):
        recipe().maco_tau(encoder=path, data=str(data), out=str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="tau: must be more than 0"):
        recipe().maco_tau(encoder=path, data=str(data), out=str(tmp_path / "out"), taus=(0.1, 0.0))
