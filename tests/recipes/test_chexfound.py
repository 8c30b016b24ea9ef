"""The recipe of CheXFound: what each part trains, and both parts from films to figure at toy size."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

import hilum
from hilum.config import TrainSettings, override
from hilum.errors import ConfigError
from hilum.methods.dinov2 import PRESETS, SETTINGS, VARIANTS

PATH = Path(__file__).resolve().parents[2] / "recipes/chexfound.py"
TINY = {"patch_size": 8, "width": 24, "heads": 2, "depth": 4, "mlp": "gelu", "registers": 0}
HEAD = {"prototypes": 32, "hidden": 16, "bottleneck": 8}


@pytest.fixture(scope="module")
def recipe() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("recipe_chexfound", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_table_v_is_every_model_on_nested_shares(recipe: ModuleType) -> None:
    pieces = recipe.scaling(recipe.SCALES["paper"])
    assert [(piece.model, piece.fraction) for piece in pieces] == [
        (model, share) for model in ("ViT-B", "ViT-L") for share in (0.206, 0.74, 1.0)
    ]
    assert [piece.against for piece in pieces] == [None, 0, 0, None, 3, 3]
    assert {tuple(stage.size for stage in piece.stages) for piece in pieces} == {(224, 512)}


def test_fig_6_is_staged_and_from_scratch_at_the_same_cost(recipe: ModuleType) -> None:
    *staged, scratch = recipe.resolution(recipe.SCALES["paper"])
    assert [tuple(stage.size for stage in piece.stages) for piece in staged] == [
        (224,), (224, 336), (224, 448), (224, 512),
    ]  # fmt: skip
    assert {piece.model for piece in (*staged, scratch)} == {"ViT-L"}
    (only,) = scratch.stages
    assert (only.size, staged[scratch.against].x) == (512, 512)
    paid = sum(stage.steps * stage.size**2 for stage in staged[-1].stages)
    assert only.steps * only.size**2 == pytest.approx(paid, rel=1e-5)


@pytest.mark.parametrize("name", ["paper", "phantom"])
def test_both_parts_share_the_runs_that_they_have_in_common(recipe: ModuleType, name: str) -> None:
    scale = recipe.SCALES[name]
    runs = {
        part: {
            piece.run(count, 0)
            for piece in make(scale)
            for count in range(1, len(piece.stages) + 1)
        }
        for part, make in recipe.PARTS.items()
    }  # fmt: skip
    assert len(runs["scaling"] & runs["resolution"]) == 2  # the largest model on all films, first and last size


def test_every_scale_is_a_configuration(recipe: ModuleType) -> None:
    for scale in recipe.SCALES.values():
        for variant, values in VARIANTS.items():
            for model in scale.models.values():
                config = override(PRESETS[scale.preset], {**values, **model}, where="recipe")
                for size in scale.sizes:
                    at_size = replace(config, image_size=size)
                    assert at_size.backbone.image_size == at_size.crops.global_size == size
            own = {key: value for key, value in scale.training.items() if key in TrainSettings.__dataclass_fields__}
            override(TrainSettings(), {**SETTINGS[variant], **own}, where="recipe")


def test_faults_of_a_caller_are_named(recipe: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no films"):
        recipe.chexfound(out=str(tmp_path))
    with pytest.raises(ConfigError, match="unknown model of this scale 'huge'"):
        recipe.chexfound(out=str(tmp_path), scale="phantom", models=("huge",))
    with pytest.raises(ConfigError, match="share the name"):
        recipe.chexfound(out=str(tmp_path), data="films", judged=("a/films", "b/films"))


def test_both_parts_run_from_films_to_figure_and_keep_what_is_done(
    recipe: ModuleType, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = recipe.Scale(
        preset="phantom",
        models={"tiny": {"vit": TINY, "local_crops": 2, "dino_head": HEAD, "ibot_head": HEAD}},
        sizes=(16, 24),
        fractions=(0.5, 1.0),
        steps=3,
        batch_size=4,
        training={"probe": False, "keep_checkpoints": 1},
        adapting={"epochs": 2, "lrs": (1e-3,)},
    )
    data = str(tiny_data)
    work = recipe.Work(data=data, judged=(data,), out=tmp_path, scale=scale, draws=50)
    trained: list[str] = []
    pretrain = hilum.pretrain

    def counted(*args: Any, **settings: Any) -> str:
        trained.append(Path(settings["out"]).name)
        return str(pretrain(*args, **settings))

    monkeypatch.setattr(hilum, "pretrain", counted)
    table = recipe.report(work, "scaling").read_text()
    assert len(trained) == len(set(trained)) == 4  # two shares, two sizes
    assert table.count("\n") == 4
    recipe.report(work, "resolution")
    assert len(trained) == 5  # from scratch alone is new
    picture = ElementTree.parse(tmp_path / "resolution.svg").getroot()
    assert len(picture.findall(".//{*}circle")) == 6  # three pieces, two metrics
    records = json.loads((tmp_path / "resolution.json").read_text())
    assert [(record["line"], record["x"]) for record in records] == [
        ("from 16 px", 16), ("from 16 px", 24), ("from scratch", 24),
    ]  # fmt: skip
    assert records[2]["auroc_gain"]["value"] == pytest.approx(
        records[2]["auroc"]["value"] - records[1]["auroc"]["value"]
    )
    assert all(0 <= record["auroc"]["low"] <= record["auroc"]["value"] <= 1 for record in records)
    encoder = str(recipe.pretrain(work, recipe.resolution(scale)[0], 0))
    for head in recipe.GLORI.values():  # every variant's head is one that `hilum adapt` knows
        hilum.adapt(
            "classify", encoder=encoder, data=data, labels=("Mass",), out="x", head="glori", dry_run=True, **head
        )
    said = recipe.report(work, "scaling").read_text()
    assert len(trained) == 5
    assert said == table
    with pytest.raises(ConfigError, match=r"was judged on [a-zA-Z, ]*Effusion"):
        recipe.report(replace(work, labels=("Mass",)), "scaling")
