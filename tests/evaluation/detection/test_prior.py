"""The baseline of boxes: one mean where the finding has one place, one a half where it has two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.evaluation.detection.prior import centre_prior, prior_table
from hilum.evaluation.detection.truth import boxed_films
from hilum.manifest import Manifest
from hilum.metrics.detection.bootstrap import detection_points
from hilum.metrics.detection.tables import FOUND


def test_two_places_need_two_boxes(boxed_data: Path) -> None:
    films = boxed_films(Manifest.read(boxed_data), boxed_data / "boxes.json")
    prior = centre_prior(films)
    left, right = prior["Effusion"]
    np.testing.assert_allclose(left["box"], np.array([0, 34, 20, 14]) / [64, 48, 64, 48])
    np.testing.assert_allclose(right["box"], np.array([44, 34, 20, 14]) / [64, 48, 64, 48])
    corner = [any((boxes[:, 4] == films.findings.index("Effusion")) & (boxes[:, 0] == 0)) for boxes in films.boxes]
    assert left["frequency"] == pytest.approx(np.mean(corner))
    table = prior_table(prior, films)
    assert list(table.columns) == list(FOUND)
    assert len(table) == len(films) * sum(map(len, prior.values()))
    points = detection_points(table, films.truth(), films.findings)
    assert points["ar"][films.findings.index("Effusion")] == 1.0


def test_one_place_stays_one_box(tmp_path: Path, boxed_data: Path) -> None:
    lines = [f"film{n:02d},Heart,{20 + n % 3},10,24,20" for n in range(0, 80, 2)]
    (tmp_path / "b.csv").write_text("image_id,category,x,y,w,h\n" + "\n".join(lines) + "\n")
    films = boxed_films(Manifest.read(boxed_data), tmp_path / "b.csv")
    [entry] = centre_prior(films)["Heart"]
    assert entry["box"][0] * 64 == pytest.approx(np.mean([20 + n % 3 for n in range(0, 80, 2)]))
    assert entry["frequency"] == 1.0  # only films with a box are known


def test_a_finding_without_a_box_has_no_prior(boxed_data: Path) -> None:
    films = boxed_films(Manifest.read(boxed_data), boxed_data / "boxes.json", ("Mass", "Hernia"), strict=False)
    prior = centre_prior(films)
    assert set(prior) == {"Mass"}
    assert prior_table({}, films).empty
