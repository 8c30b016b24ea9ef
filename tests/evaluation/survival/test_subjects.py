"""Films to persons: the order by date or by time, the film that counts, and from when the mean is followed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hilum.evaluation.survival.subjects import Reduce, film_dates, one_row_a_subject


@pytest.fixture
def films() -> pd.DataFrame:
    """Ann has three films (the second day with two), Bob one; dates and times tell the same order."""
    return pd.DataFrame(
        {
            "image_id": ["a3", "a1", "b1", "a2"],
            "patient_id": ["Ann", "ann ", "Bob", "Ann"],
            "score": [3.0, 1.0, 7.0, 5.0],
            "time": [20.0, 100.0, 50.0, 20.0],
            "event": [1.0, 1.0, 0.0, 1.0],
            "study_date": ["20200421", "20200201", "20200101", "20200421"],
        }
    )


@pytest.mark.parametrize(
    ("rule", "image", "score", "time"),
    [("first", "a1", 1.0, 100.0), ("last", "a2", 5.0, 20.0), ("mean", "a2", 3.0, 20.0)],
)
@pytest.mark.parametrize("dated", [True, False])
def test_each_rule_takes_its_film(
    films: pd.DataFrame, rule: Reduce, image: str, score: float, time: float, dated: bool
) -> None:
    found = one_row_a_subject(films, rule, dates=film_dates(films) if dated else None)
    assert list(found.table["patient_id"].str.strip().str.casefold()) == ["ann", "bob"]
    row = found.table.iloc[0]
    assert (row["image_id"], row["score"], row["time"], row["films"]) == (image, score, time, 3)
    assert found.table["films"].tolist() == [3, 1]
    assert "4 films of 2 subjects" in found.notes[0]
    assert len(found.notes) == 1
    assert not {"_moment", "_person"} & set(found.table)


def test_the_rows_given_are_left_as_they_were_and_their_order_does_not_matter(films: pd.DataFrame) -> None:
    before = films.copy()
    found = one_row_a_subject(films, "mean").table.set_index("patient_id")
    pd.testing.assert_frame_equal(films, before)
    turned = one_row_a_subject(films.iloc[::-1].reset_index(drop=True), "mean").table
    pd.testing.assert_series_equal(turned.set_index("patient_id")["score"].sort_index(), found["score"].sort_index())


def test_films_that_end_differently_are_said(films: pd.DataFrame) -> None:
    films.loc[0, "event"] = 0.0
    assert any(
        "films of 1 subjects end in different events" in note for note in one_row_a_subject(films, "first").notes
    )


def test_one_film_each_needs_no_word(films: pd.DataFrame) -> None:
    assert one_row_a_subject(films.iloc[1:3].reset_index(drop=True), "mean").notes == ()


def test_dates_are_used_where_they_are_filled_throughout(films: pd.DataFrame) -> None:
    ranks = film_dates(films)
    assert ranks is not None
    np.testing.assert_array_equal(ranks, [3, 2, 1, 3])
    blank = films.assign(study_date=["", *films["study_date"][1:]])
    assert film_dates(blank) is None
    days = film_dates(blank.assign(day=["10", "9", "100", "10"]))
    assert days is not None
    np.testing.assert_array_equal(days, [2, 1, 3, 2])  # as numbers, not as text
