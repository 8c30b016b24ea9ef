"""Paired differences between tables of predictions and against baselines."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import UserError
from hilum.results import against_baselines, classification_results, compare
from tests.results.frames import NAMES, predictions


def test_difference_of_two_runs_in_any_order_of_rows_and_columns() -> None:
    good, poor = predictions(quality=2.0), predictions(quality=0.3)
    found = compare("good", good, "poor", poor, draws=200)
    shuffled = poor.sample(frac=1, random_state=0)[list(poor.columns[::-1])]
    assert compare("good", good, "poor", shuffled, draws=200) == found
    macro = found["auroc"]["macro"]
    assert macro["difference"]["value"] == pytest.approx(macro["first"]["value"] - macro["second"]["value"])
    assert macro["difference"]["low"] > 0
    assert macro["difference"]["p"] == pytest.approx(2 / 201)
    assert found["auroc"]["findings"]["Hernia"]["difference"]["reason"] == "no positives"


def test_estimates_are_those_of_the_results() -> None:
    good = predictions()
    found = compare("one", good, "two", predictions(quality=0.5), draws=50, seed=3)
    alone = classification_results(good, thresholds={}, draws=50, seed=3, context={})
    assert found["auprc"]["findings"]["Mass"]["first"] == alone["findings"]["Mass"]["auprc"]


def test_baselines_stand_beside_the_model() -> None:
    table = predictions()
    scores = table[[f"score.{name}" for name in NAMES]].to_numpy()
    found = against_baselines(
        table, {"same": scores, "constant": np.full_like(scores, 0.3)}, notes={"constant": "no film"}, draws=50
    )
    assert found["same"]["macro"]["difference"]["value"] == 0
    assert found["constant"]["findings"]["Mass"]["auroc"]["value"] == 0.5
    assert found["constant"]["note"] == "no film"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.iloc[1:], "1 films are in one table only, the first is 'i0000'"),
        (lambda table: table.drop(columns="score.Mass"), "the findings differ: Mass"),
        (lambda table: table.assign(patient_id="p"), "labels or patients"),
        (lambda table: table.assign(**{"label.Mass": 1.0}), "labels or patients"),
    ],
)
def test_runs_on_other_films_are_refused(change: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        compare("one", predictions(), "two", change(predictions()), draws=2)
