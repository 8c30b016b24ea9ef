"""Maps of any head against boxes: what stands beside them, what a lucky point scores, and items to compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.commands.ground import ground
from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.classifier import Record, TrainedClassifier, build_classifier
from hilum.evaluation.features import Runner
from hilum.evaluation.ground import Grounding
from hilum.evaluation.prediction.pointing import load_traced, traced_maps
from hilum.evaluation.query_ground import judge_queries
from hilum.manifest import Manifest
from hilum.models.resnet import ResNetConfig
from hilum.results.judgement import open_judgement
from hilum.schema import Preprocessing
from tests.evaluation.bright_queries import SIDE, bright_classifier, write_chests

RUNNER = Runner(device="cpu", quiet=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chests(tmp_path_factory.mktemp("chests") / "data")


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear head on the mean of patch tokens that are the mean grey of their patch: `Mass` is light."""
    root = tmp_path_factory.mktemp("linear") / "run"
    bright, record = bright_classifier(), Record(("Mass", "Air"), pool="mean")
    model = build_classifier(bright.model.backbone.config, record)
    model.backbone.load_state_dict(bright.model.backbone.state_dict())
    with torch.no_grad():
        model.head.classify.weight.zero_()  # type: ignore[union-attr, operator]
        model.head.classify.weight[:, 0] = torch.tensor([1.0, -1.0])  # type: ignore[union-attr, index, operator]
    TrainedClassifier(model.eval(), bright.preprocessing, record).save(root / "model")
    (root / "fraction.json").write_text(json.dumps({"patients": ["someone else"]}))
    return root


@pytest.fixture(scope="module")
def judged(data: Path, linear: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("ground") / "out"
    options = Grounding(draws=60, examples=2)
    return out, judge_queries(str(linear), str(data), str(out), options, maps="auto", runner=RUNNER)


def test_a_head_without_queries_hits_the_box(judged: tuple[Path, dict[str, Any]]) -> None:
    results = judged[1]
    assert results["task"] == "grounding"
    assert results["of"] == "maps"
    assert results["context"]["maps"] == "cam"
    assert list(results["ways"]) == ["cam", "class_token", "centre"]
    assert results["ways"]["cam"]["pointing"]["micro"]["value"] == 1.0
    assert results["ways"]["class_token"]["pointing"]["micro"]["value"] == 0.0
    pairs = [(row["first"], row["second"]) for row in results["differences"]]
    assert pairs == [("cam", "class_token"), ("cam", "centre"), ("class_token", "centre")]
    page = (judged[0] / "results.html").read_text()
    assert "Grad-CAM − class token of the encoder" in page
    assert "a map has to beat both" in page


def test_a_point_drawn_at_random_scores_the_share_of_the_box(judged: tuple[Path, dict[str, Any]]) -> None:
    items = pd.read_parquet(judged[0] / "items.parquet")
    share = 100 * 12 * 12 / SIDE**2
    np.testing.assert_allclose(items["value.pointing_chance"], share / 100)
    assert f"lies in a box {share:.1f} % of the time (Mass {share:.1f} %)" in " ".join(judged[1]["notes"])


def test_items_can_be_compared(judged: tuple[Path, dict[str, Any]]) -> None:
    items = pd.read_parquet(judged[0] / "items.parquet")
    assert list(items["item_id"]) == [f"film{number}:Mass" for number in range(5)]
    scores = pd.read_parquet(judged[0] / "scores.parquet")
    for name in ("pointing", "miou", "dice", "cnr"):
        np.testing.assert_array_equal(items[f"value.{name}"], scores.loc[scores["way"] == "cam", name])
    centre = scores.loc[scores["way"] == "centre", "pointing"]
    np.testing.assert_array_equal(items["value.pointing_centre"], centre)
    judgement = open_judgement(judged[0])
    assert next(iter(judgement.metrics)) == "pointing"
    assert judgement.replicates("pointing", 20, 0).points.tolist() == [1.0]


def test_a_head_with_queries_has_them_beside_its_other_maps(data: Path, tmp_path: Path) -> None:
    bright_classifier().save(tmp_path / "model")
    manifest = Manifest.read(data)
    for way in ("rollout", "gradient", "cam"):
        maps = traced_maps(load_traced(tmp_path, way), manifest, [3, 1], RUNNER)
        assert list(maps) == [3, 1]
        assert list(maps[3].ways(0)) == [way, "query", "class_token", "centre"]
    own = traced_maps(load_traced(tmp_path, "rollout"), manifest, [1], RUNNER)[1]
    np.testing.assert_allclose(own.ways(0)["rollout"].argmax(), own.ways(0)["query"].argmax())
    options = Grounding(draws=5, examples=0)
    results = judge_queries(str(tmp_path), str(data), str(tmp_path / "out"), options, maps="auto", runner=RUNNER)
    assert results["of"] == "queries"  # auto is attention here
    assert (tmp_path / "out" / "items.parquet").is_file()


def test_maps_that_do_not_know_the_finding_say_so(data: Path, linear: Path, tmp_path: Path) -> None:
    options, out = Grounding(draws=5, examples=0), str(tmp_path / "out")
    results = judge_queries(str(linear), str(data), out, options, maps="rollout", runner=RUNNER)
    assert any("the same for every finding of a film" in note for note in results["notes"])
    assert list(results["ways"]) == ["rollout", "class_token", "centre"]


def test_a_convolution_is_compared_with_the_centre_alone(data: Path, tmp_path: Path) -> None:
    record = Record(("Mass",), pool="mean")
    sizes = ResNetConfig(64, 96, channels=1, stem=8, planes=4, blocks=(1, 1, 1, 1))
    grey = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))
    TrainedClassifier(build_classifier(sizes, record).eval(), grey, record).save(tmp_path / "model")
    options, out = Grounding(draws=5, examples=0), str(tmp_path / "out")
    results = judge_queries(str(tmp_path), str(data), out, options, maps="gradient", runner=RUNNER)
    assert list(results["ways"]) == ["cam", "centre"]
    assert any("has no class token" in note for note in results["notes"])


def test_wrong_use_is_refused(data: Path, linear: Path, encoder: Encoder, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"has no queries.*--maps cam, gradient or rollout"):
        ground(str(linear), data=str(data), out=out, device="cpu")
    with pytest.raises(ConfigError, match="--anchor: has no meaning here"):
        ground(str(linear), data=str(data), out=out, maps="cam", anchor="film7", device="cpu")
    folder = str(encoder.save(tmp_path / "encoder"))
    with pytest.raises(ConfigError, match="--maps: has no meaning here"):
        ground(folder, data=str(data), out=out, maps="cam", device="cpu")
    assert not Path(out).exists()
