"""The cohort table counts patients once, shows blanks, and loses no film."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hilum.results.cohort import cohort
from hilum.results.predictions import check_predictions
from tests.results.frames import predictions


def test_counts() -> None:
    table = pd.DataFrame(
        {
            "image_id": list("abcde"),
            "study_id": ["1", "1", "2", "3", "4"],
            "patient_id": ["p", "p", "p", "q", "r"],
            "age": [50, 50, 52, None, 30],
            "sex": ["F", "F", "F", None, "M"],
            "view_position": ["PA", "AP", "PA", "PA", ""],
            "label.Mass": [1, 1, 0, np.nan, 0],
            "score.Mass": [0.5] * 5,
        }
    )
    found = cohort(check_predictions(table))
    assert (found["patients"], found["studies"], found["images"]) == (3, 4, 5)
    assert found["age"] == {"median": 40, "quartiles": [35, 45], "range": [30, 50], "unknown_patients": 1}
    assert found["groups"]["Sex"] == [
        {"level": "F", "patients": 1, "images": 3},
        {"level": "M", "patients": 1, "images": 1},
        {"level": "unknown", "patients": 1, "images": 1},
    ]
    assert [row["images"] for row in found["groups"]["View"]] == [3, 1, 1]
    assert found["findings"]["Mass"] == {
        "positive_images": 2,
        "positive_patients": 1,
        "negative_images": 2,
        "blank_images": 1,
    }


def test_every_film_is_in_one_level_of_every_group() -> None:
    found = cohort(check_predictions(predictions()))
    assert set(found["groups"]) == {"Sex", "View", "Site"}
    for rows in found["groups"].values():
        assert sum(row["images"] for row in rows) == 150


def test_absent_and_empty_columns() -> None:
    bare = predictions()[["image_id", "patient_id", "label.Mass", "score.Mass"]]
    found = cohort(check_predictions(bare))
    assert (found["age"], found["studies"], found["groups"]) == (None, None, {})
    ageless = cohort(check_predictions(bare.assign(age=np.nan)))
    assert ageless["age"] == {"median": None, "quartiles": None, "range": None, "unknown_patients": 50}
