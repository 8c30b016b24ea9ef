"""Where masks look: the lift by hand, boxes on the input, looks of a small method, and the recipe that draws them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.evaluation.report_looks import Look, boxes_of, lift, lifts, look_at, shares
from hilum.manifest import Manifest
from hilum.reports import reports_of
from tests.methods.test_medim import SMALL, WORDS, built


def test_lift_by_hand() -> None:
    inside = np.zeros((4, 4), dtype=bool)
    inside[:2, :2] = True  # one of four cells of a 2 x 2 grid
    even = np.ones((2, 2))
    assert lift(even, inside) == 1
    assert lift(np.array([[1.0, 0], [0, 0]]), inside) == 4
    assert lift(np.array([[0.0, 1], [1, 1]]), inside) == 0
    assert lift(np.array([[3.0, 1], [0, 0]]), inside) == 3
    assert np.isnan(lift(np.zeros((2, 2)), inside))
    assert np.isnan(lift(even, np.zeros((4, 4), dtype=bool)))


def test_cells_that_do_not_divide_the_film() -> None:
    inside = np.zeros((5, 5), dtype=bool)
    inside[:, :2] = True
    np.testing.assert_allclose(shares(inside, (2, 2)), [[0.8, 0.0], [0.8, 0.0]])


def look(row: int, attention: np.ndarray, shape: tuple[int, int] = (8, 8)) -> Look:
    film = np.zeros((8, 8), dtype=np.uint8)
    return Look(row, film, shape, "heart", "the heart", {"word": attention}, {"word": attention > 0}, {"word": film})


def test_lifts_have_the_mean_map_beside_them() -> None:
    first, second = np.zeros((2, 2)), np.zeros((2, 2))
    first[0, 0], second[1, 1] = 2.0, 5.0
    manifest = Manifest(pd.DataFrame({"image_id": ["a", "b", "c"], "patient_id": ["p", "q", "r"]}), Path())
    box = {"x": 0.0, "y": 0.0, "w": 4.0, "h": 4.0, "width": 8.0, "height": 8.0}
    boxes = pd.DataFrame([{"row": 0, **box}, {"row": 2, **box}])
    table = lifts([look(0, first), look(1, second)], boxes, manifest, "squeeze")
    assert table.to_dict("records") == [
        {"image_id": "a", "patient_id": "p", "mask": "KWM", "lift": 4.0, "lift_of_mean_map": 2.0}
    ]


def test_boxes_follow_the_film_to_the_input() -> None:
    box = pd.DataFrame([{"x": 10.0, "y": 20.0, "w": 20.0, "h": 40.0, "width": 80.0, "height": 160.0}])
    np.testing.assert_array_equal(boxes_of(box, look(0, np.ones((2, 2)), (16, 8)), "squeeze"), [[1, 1, 2, 2]])


@pytest.mark.parametrize("selection", ["high", "none"])
def test_looks_of_a_method(reported_data: Path, selection: str) -> None:
    method = built(replace(SMALL, selection=selection)).eval()  # type: ignore[arg-type]
    manifest = Manifest.read(reported_data).select(split="val")
    texts = list(reports_of(manifest, method.config.sections).texts)
    texts[1] = ""
    looks = look_at(method, manifest, texts, [0, 1, 3], seed=0)
    again = look_at(method, manifest, texts, [3], seed=0)
    assert [one.row for one in looks] == [0, 1, 3]
    np.testing.assert_allclose(looks[2].attention["sent"], again[0].attention["sent"], rtol=1e-4)
    first = looks[0]
    assert first.film.shape == first.drawn["word"].shape == (16, 16)
    assert first.hidden["word"].sum() == (8 if selection == "high" else 0)
    count = first.attention["word"].sum()
    assert count == pytest.approx(round(count), abs=1e-3)
    assert "mass" in first.terms
    assert len(first.sentence.split()) > 3
    assert looks[1].terms == looks[1].sentence == ""
    assert not looks[1].attention["word"].any()
    assert len(WORDS) > 20
    assert all(torch.isfinite(torch.from_numpy(one.attention["sent"])).all() for one in looks)
