"""Average maps: one film a patient, until enough are registered, on the place where the anchor has it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.errors import ConfigError
from hilum.evaluation.average_maps import average_maps, find_anchor
from hilum.evaluation.features import Runner
from hilum.evaluation.query_maps import QueryModel, load_queries
from hilum.manifest import Manifest
from tests.evaluation.bright_queries import SIDE, bright_classifier, chest, write_chests

pytest.importorskip("SimpleITK")
RUNNER = Runner(device="cpu", quiet=True)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Six films with a mass: the fourth is noise, the fifth of the first patient again, the sixth lateral."""
    root = write_chests(tmp_path_factory.mktemp("chests") / "data", films=12)
    noise = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(noise).save(root / "images" / "3.png")
    table = pd.read_csv(root / "manifest.csv", dtype=str)
    table.loc[4, "patient_id"] = "patient0"
    table.loc[5, "view_position"] = "LATERAL"
    table.to_csv(root / "manifest.csv", index=False)
    return Manifest.read(root)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> QueryModel:
    root = tmp_path_factory.mktemp("bright")
    bright_classifier().save(root / "model")
    return load_queries(root)


def test_the_average_stands_where_the_anchor_would_have_it(manifest: Manifest, model: QueryModel) -> None:
    anchor, box = chest()
    found, table = average_maps(model, manifest, anchor, registered=25, runner=RUNNER)
    assert [one.finding for one in found] == ["Mass"]  # no film has Air
    mass = found[0]
    assert (mass.positives, mass.used, sum(mass.left_out.values())) == (4, 3, 1)
    assert mass.to_json() == {"finding": "Mass", "patients_with_it": 4, "films": 3, "left_out": mass.left_out}
    assert set(table.loc[table["reason"] != "", "image_id"]) == {"film3"}  # the noise
    top, left = np.unravel_index(np.nanargmax(mass.heat), mass.heat.shape)
    share = np.array([left, top]) / mass.heat.shape[0] * SIDE
    assert np.abs(share - (np.array(box[:2]) + 6)).max() <= 6  # inside the anchor's box


def test_no_more_films_than_asked_and_the_same_every_time(manifest: Manifest, model: QueryModel) -> None:
    anchor = find_anchor(manifest, "film7")
    first, second = (average_maps(model, manifest, anchor, registered=1, seed=3, runner=RUNNER)[0][0] for _ in range(2))
    assert first.used == 1
    np.testing.assert_array_equal(first.heat, second.heat)


def test_anchors_that_cannot_be(manifest: Manifest, model: QueryModel) -> None:
    with pytest.raises(ConfigError, match=r"no film has the image_id 'film99'.*'film0'"):
        find_anchor(manifest, "film99")
    with pytest.raises(ConfigError, match="film5 is a LATERAL film"):
        find_anchor(manifest, "film5")
    with pytest.raises(ConfigError, match="registered: must be at least 1, not 0"):
        average_maps(model, manifest, chest()[0], registered=0, runner=RUNNER)
