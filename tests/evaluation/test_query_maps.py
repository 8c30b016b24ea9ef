"""Attention maps of queries: means over heads, beside the class token's own, and whose boxes they are asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.encoder import Encoder
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.classifier import Record, TrainedClassifier, build_classifier
from hilum.evaluation.features import Runner
from hilum.evaluation.query_maps import film_maps, is_trained_model, load_queries, questions_of_queries
from hilum.manifest import Manifest
from hilum.models.resnet import ResNetConfig
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film
from tests.evaluation.bright_queries import PATCH, SIDE, bright_classifier, chest, write_chests

RUNNER = Runner(device="cpu", batch_size=3, quiet=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chests(tmp_path_factory.mktemp("chests") / "data")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bright") / "run"
    bright_classifier().save(root / "model")
    return root


def test_a_query_looks_where_it_was_made_to(data: Path, run: Path) -> None:
    model, manifest = load_queries(run), Manifest.read(data)
    maps = film_maps(model, manifest, [3, 0], RUNNER)
    assert sorted(maps) == [0, 3]
    for row, one in maps.items():
        assert one.queries.shape == (2, SIDE // PATCH, SIDE // PATCH)
        np.testing.assert_allclose(one.queries.sum(axis=(1, 2)), 1, rtol=1e-5)
        film, box = chest(*_moved(row), mass=True)
        grey = film.reshape(SIDE // PATCH, PATCH, SIDE // PATCH, PATCH).mean(axis=(1, 3)) / 255
        mass = np.exp(60 / 8**0.5 * (grey - grey.max()))
        np.testing.assert_allclose(one.queries[0], mass / mass.sum(), rtol=1e-3, atol=1e-6)
        top, left = np.unravel_index(one.queries[0].argmax(), one.queries[0].shape)
        assert box[0] <= (left + 0.5) * PATCH <= box[0] + 12
        assert box[1] <= (top + 0.5) * PATCH <= box[1] + 12
        assert list(one.ways(0)) == ["query", "class_token", "centre"]


def test_maps_are_means_over_heads_and_the_class_token_is_the_encoders(data: Path) -> None:
    torch.manual_seed(0)
    record = Record(("Mass", "Air"), head="glori", head_config={"blocks": 1, "dim": 16, "heads": 4, "feedforward": 8})
    plain = bright_classifier()
    trained = TrainedClassifier(
        build_classifier(plain.model.backbone.config, record).eval(), plain.preprocessing, record
    )
    manifest = Manifest.read(data)
    path = data / "run with four heads"
    trained.save(path / "model")
    maps = film_maps(load_queries(path), manifest, range(4), RUNNER)[2]
    image = prepare_film(chest(*_moved(2), mass=True)[0], plain.preprocessing)[None]
    with torch.no_grad():
        wanted = trained.model.attention(image)[0].mean(dim=0)
        own = trained.model.backbone.attention(image)[0, :, 0, 2:].mean(dim=0)  # type: ignore[union-attr]
    np.testing.assert_allclose(maps.queries.reshape(2, -1), wanted, rtol=1e-4, atol=1e-7)
    assert maps.class_token is not None
    np.testing.assert_allclose(maps.class_token.flatten(), own, rtol=1e-4, atol=1e-7)


def test_a_convolution_has_maps_and_no_class_token(data: Path, tmp_path: Path) -> None:
    record = Record(("Mass",), head="glori", head_config={"blocks": 1, "dim": 8, "heads": 2, "feedforward": 8})
    network = build_classifier(ResNetConfig(64, 96, channels=1, stem=8, planes=4, blocks=(1, 1, 1, 1)), record)
    size = Preprocessing(size=64, channels=1, mean=(0.0,), std=(1.0,))
    TrainedClassifier(network.eval(), size, record).save(tmp_path / "model")
    maps = film_maps(load_queries(tmp_path), Manifest.read(data), [1], RUNNER)[1]
    assert maps.queries.shape == (1, 3, 3)
    assert list(maps.ways(0)) == ["query", "centre"]


def test_whose_boxes_are_asked_about(data: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(data)
    found = questions_of_queries(manifest, data / "boxes.csv", ("Mass", "Air"), ())
    assert [pair.row for pair in found.pairs] == [0, 1, 2, 3, 4]
    assert {pair.category for pair in found.pairs} == {"Mass"}  # written "mass" in the file
    boxes = pd.read_csv(data / "boxes.csv")
    other = pd.concat(
        [boxes, boxes.head(2).assign(category="Lung Opacity", x=60), boxes.head(1).assign(category="Pin")]
    )
    other.to_csv(tmp_path / "boxes.csv", index=False)
    found = questions_of_queries(manifest, tmp_path / "boxes.csv", ("Mass", "Air"), ["Lung_Opacity=Mass"])
    assert [len(pair.boxes) for pair in found.pairs] == [2, 2, 1, 1, 1]  # a union where both were drawn
    assert any("Pin (1)" in note for note in found.notes)
    both = questions_of_queries(manifest, tmp_path / "boxes.csv", ("Mass", "Air", "LungOpacity"), ())
    assert len(both.pairs) == 7
    for ask, message in (
        (["Pin"], "must be category=finding"),
        (["Pin=Msas"], r"unknown query 'Msas'.*Did you mean 'Mass'"),
        (["Needle=Mass"], "no box is called 'needle'"),
    ):
        with pytest.raises(ConfigError, match=message):
            questions_of_queries(manifest, tmp_path / "boxes.csv", ("Mass", "Air"), ask)
    with pytest.raises(ManifestError, match="has a box of Air"):
        questions_of_queries(manifest, data / "boxes.csv", ("Air",), ())


def test_what_is_a_model_with_queries(run: Path, encoder: Encoder, tmp_path: Path) -> None:
    assert is_trained_model(run)
    assert is_trained_model(run / "model")
    assert not is_trained_model(encoder.save(tmp_path / "encoder"))
    assert not is_trained_model(tmp_path / "nothing")
    assert load_queries(run).names == ("Mass", "Air")
    plain = Record(("Mass",), head="linear")
    TrainedClassifier(build_classifier(encoder.model.config, plain), encoder.preprocessing, plain).save(
        tmp_path / "model"
    )
    with pytest.raises(CheckpointError, match=r"head \(linear\) has no queries.*--head glori"):
        load_queries(tmp_path)


def _moved(row: int) -> np.ndarray:
    """Where `write_chests` put the chest of a row."""
    return np.random.default_rng(0).uniform(-0.06, 0.06, (10, 2))[row]
