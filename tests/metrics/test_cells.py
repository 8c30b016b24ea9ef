"""Operating points in many replicates at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from hilum.metrics.cells import AT_THRESHOLD, Cells, divide
from hilum.metrics.operating_point import accuracy, f1, sensitivity, specificity
from hilum.metrics.replicates import LANES, draw_blocks
from tests.metrics.drawn_films import Films, films, quick

MEASURES = dict(zip(AT_THRESHOLD, (f1, accuracy, sensitivity, specificity), strict=True))


@given(f=films)
@quick
def test_each_replicate_equals_the_metric_of_its_films(f: Films) -> None:
    ids, patient = np.unique(f.patients, return_inverse=True)
    known, positive = ~np.isnan(f.labels)[:, None], (f.labels == 1)[:, None]
    cells = Cells(known, positive, f.first[:, None], patient, ids.size, {"0.4": np.array([0.4])})
    for counts in draw_blocks(ids.size, 5, 0):
        found = cells.metrics(counts[:, :5].astype(float), np.array([True]))
        for lane in range(5):
            weight = counts[patient, lane]
            both = all((weight[f.labels == value] > 0).any() for value in (0, 1))
            for name, measure in MEASURES.items():
                expected = measure(f.labels, f.first, weight, threshold=0.4) if both else None
                value = found[f"{name}@0.4"][0, lane]
                assert np.isnan(value) if expected is None else value == pytest.approx(expected, abs=1e-12)


def test_labels_per_patient_and_a_point_without_threshold() -> None:
    positive = np.array([[True], [False], [False]])
    known = np.array([[True], [True], [False]])
    cells = Cells(known, positive, np.ones((3, 1)), np.array([0, 1, 1]), 2, {"none": np.array([np.nan])})
    np.testing.assert_array_equal(cells.labels_per_patient, [[1, 0], [0, 1]])
    found = cells.metrics(np.ones((2, LANES)), np.array([True]))
    assert all(np.isnan(values).all() for values in found.values())
    np.testing.assert_array_equal(divide(np.ones(2), np.zeros(2), np.array([False, False])), [np.nan] * 2)
