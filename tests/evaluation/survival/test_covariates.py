"""Columns beside the film: values, indicators, blanks; and what must not be learned from."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError
from hilum.evaluation.survival.covariates import Covariates

TRAIN = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "age": [40.0, 60.0, np.nan, 80.0],
        "sex": ["M", "F", "F", "M"],
        "site": ["north", "", "hill", "hill"],
        "dose": ["1.5", "2", "", "2.5"],
        "name": [f"n{row}" for row in range(4)],
        "empty": ["", "", "", ""],
        "time.Death": [1.0, 2.0, 3.0, 4.0],
    }
)


def test_numbers_take_the_mean_and_words_an_indicator_each() -> None:
    coded = Covariates.fit(TRAIN, ("age", "sex", "site", "dose"))
    assert coded.width == 2 + 2 + 3 + 2
    wanted = [
        [40, 0, 0, 1, 0, 1, 0, 1.5, 0],
        [60, 0, 1, 0, 0, 0, 1, 2, 0],
        [60, 1, 1, 0, 1, 0, 0, 2, 1],
        [80, 0, 0, 1, 1, 0, 0, 2.5, 0],
    ]
    np.testing.assert_allclose(coded.encode(TRAIN), wanted)


def test_later_films_are_coded_by_training_and_may_be_new() -> None:
    coded = Covariates.fit(TRAIN, ("age", "sex", "site"))
    later = pd.DataFrame({"age": [np.nan], "sex": ["X"], "site": ["coast"]})
    np.testing.assert_allclose(coded.encode(later), [[60, 1, 0, 0, 0, 0, 1]])
    again = Covariates.from_json(json.loads(json.dumps(coded.to_json())))
    assert again == coded
    assert Covariates().encode(later).shape == (1, 0)
    with pytest.raises(ConfigError, match="unknown column 'site'"):
        coded.encode(later[["age", "sex"]])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("time.Death", "unknown column 'time.Death'"),
        ("image_id", "unknown column 'image_id'"),
        ("agee", "Did you mean 'age'"),
        ("empty", "blank in all training films"),
    ],
)
def test_columns_that_cannot_or_must_not_be_learned_from(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Covariates.fit(TRAIN, (name,))


def test_ids_and_repeats_are_refused() -> None:
    with pytest.raises(ConfigError, match="named twice"):
        Covariates.fit(TRAIN, ("age", "age"))
    many = pd.DataFrame({"name": [f"n{row}" for row in range(51)]})
    with pytest.raises(ConfigError, match="'name' has 51 different values"):
        Covariates.fit(many, ("name",))
