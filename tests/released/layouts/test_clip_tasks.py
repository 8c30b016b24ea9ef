"""From a released CheXzero file to answers: converted, zero-shot, retrieval and grounding on films."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import hilum
from hilum.commands.convert import convert
from hilum.commands.ground import ground
from hilum.commands.retrieve import retrieve
from hilum.commands.zero_shot import zero_shot
from hilum.datasets.phantom import write_phantom
from hilum.errors import ConfigError
from hilum.released.pixels import record
from tests.byte_pairs import byte_pairs_of
from tests.released.clip_files import openai_file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, and two checkpoints of one run converted with their tokenizer."""
    root = tmp_path_factory.mktemp("chexzero")
    byte_pairs_of(root)
    for seed in (0, 1):
        file = root / f"best_64_5e-05_original_{seed}_0.864.pt"
        torch.save(openai_file(seed=seed), file)
        convert(str(file), out=str(root / f"{seed}"), tokenizer=str(root))
    write_phantom(root / "films", patients=12, size=64, progress=False)
    return root


def test_zero_shot_with_an_ensemble(place: Path) -> None:
    assert hilum.load(place / "0").preprocessing == record("chexzero", size=64)
    asked: dict[str, Any] = {"data": str(place / "films"), "split": "train", "draws": 20, "batch_size": 8}
    zero_shot(str(place / "0"), out=str(place / "judged"), also=(str(place / "1"),), prompts="chexzero", **asked)
    context = json.loads((place / "judged" / "results.json").read_text())["context"]
    assert context["scoring"] == "chexzero"
    assert context["encoder"] == f"{place / '0'}, {place / '1'}"
    assert context["method"] == "chexzero"


def test_films_and_reports_find_each_other(place: Path) -> None:
    asked: dict[str, Any] = {"data": str(place / "films"), "split": "train", "draws": 20, "batch_size": 8}
    retrieve(str(place / "0"), out=str(place / "retrieved"), examples=1, neighbours=2, **asked)
    results = json.loads((place / "retrieved" / "results.json").read_text())
    assert results["context"]["method"] == "chexzero"


def test_sentences_are_looked_for_on_patches(place: Path) -> None:
    asked: dict[str, Any] = {"data": str(place / "films"), "split": "train", "draws": 20, "batch_size": 8}
    ground(str(place / "0"), out=str(place / "grounded"), examples=1, **asked)
    results = json.loads((place / "grounded" / "results.json").read_text())
    assert results["context"]["method"] == "chexzero"
    with pytest.raises(ConfigError, match="aligned whole sentences"):
        ground(str(place / "0"), out=str(place / "words"), preset="gloria", **asked)
