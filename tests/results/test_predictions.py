"""The door of the results: a table that is not one of predictions is refused by column and row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hilum.errors import UserError
from hilum.results.predictions import check_predictions


def table(**changes: object) -> pd.DataFrame:
    columns: dict[str, object] = {
        "image_id": ["a", "b", "c"],
        "patient_id": ["p", "p", "q"],
        "split": ["test"] * 3,
        "label.Mass": [1, 0, None],
        "score.Mass": [0.9, 0.2, 0.3],
        "score.Hernia": [0.1, 0.1, 0.1],
        "label.Edema": [1, 0, 1],
    }
    columns.update(changes)
    return pd.DataFrame({name: values for name, values in columns.items() if values is not None})


def test_a_good_table_becomes_arrays() -> None:
    checked = check_predictions(table())
    assert checked.findings == ("Mass", "Hernia")
    assert checked.unscored == ("Edema",)
    np.testing.assert_array_equal(checked.labels, [[1, np.nan], [0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(checked.scores[:, 0], [0.9, 0.2, 0.3])
    assert checked.patients.tolist() == ["p", "p", "q"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image_id": None}, "'image_id' is missing"),
        ({"patient_id": ["p", None, "q"]}, r"column patient_id: row 1 is blank"),
        ({"patient_id": ["p", "q", " "]}, r"column patient_id: row 2 is blank"),
        ({"image_id": ["a", "b", "a"]}, "'a' appears more than once"),
        ({"split": ["test", "val", "test"]}, "several splits are mixed: test, val"),
        ({"score.Mass": None, "score.Hernia": None}, "no column score"),
        ({"label.Mass": [1, -1, 0]}, r"column label.Mass: row 1 is -1, not 1, 0 or blank.*policy"),
        ({"label.Mass": ["1", "yes", "0"]}, r"column label.Mass: row 1 is 'yes', not a number"),
        ({"score.Mass": [0.9, 1.7, 0.3]}, r"column score.Mass: row 1 is 1.7, not a probability"),
        ({"score.Mass": [0.9, 0.7, None]}, r"column score.Mass: row 2 is nan.*Every image needs a score"),
    ],
)
def test_a_wrong_table_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        check_predictions(table(**changes))


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(UserError, match="no row"):
        check_predictions(table().iloc[:0])
