"""The results of a table of predictions: numbers, counts, undefined findings, plain JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from hilum.errors import ConfigError
from hilum.results import classification_results
from hilum.results.classification import plain
from tests.results.frames import NAMES, predictions

THRESHOLDS = {"Effusion": 0.35, "Mass": 0.3, "Hernia": None}


def results(**changes: object) -> dict:
    options = {"thresholds": THRESHOLDS, "draws": 60, "context": {"title": "A test"}} | changes
    return classification_results(predictions(), **options)


def test_numbers_are_those_of_scikit_learn_on_labelled_films() -> None:
    table, found = predictions(), results()
    for name in NAMES[:2]:
        rows = table[table[f"label.{name}"].notna()]
        label, score, entry = rows[f"label.{name}"], rows[f"score.{name}"], found["findings"][name]
        assert entry["auroc"]["value"] == pytest.approx(roc_auc_score(label, score), abs=1e-12)
        assert entry["auprc"]["value"] == pytest.approx(average_precision_score(label, score), abs=1e-12)
        for place, threshold in (("at_validation_threshold", THRESHOLDS[name]), ("at_0.5", 0.5)):
            assert entry[place]["f1"]["value"] == pytest.approx(f1_score(label, score >= threshold), abs=1e-12)
        assert entry["auroc"]["low"] < entry["auroc"]["value"] < entry["auroc"]["high"]
        assert (entry["n"], entry["n_positive"]) == (len(rows), label.sum())
        assert entry["n_patients"] == rows["patient_id"].nunique()
        assert entry["prevalence"] == pytest.approx(label.mean())
    macro = [found["findings"][name]["auroc"]["value"] for name in NAMES[:2]]
    assert found["macro"]["auroc"]["value"] == pytest.approx(np.mean(macro))
    assert found["macro"]["findings"] == list(NAMES[:2])


def test_an_undefined_finding_is_listed_with_its_counts() -> None:
    found = results()
    table = predictions()
    blank = int(table["label.Hernia"].isna().sum())
    assert found["undefined"] == [
        {
            "finding": "Hernia",
            "reason": "no positives",
            "n": 150 - blank,
            "n_positive": 0,
            "n_negative": 150 - blank,
            "n_blank": blank,
        }
    ]
    entry = found["findings"]["Hernia"]
    assert entry["auroc"]["value"] is None
    assert entry["at_0.5"]["accuracy"]["reason"] == "no positives"


def test_a_missing_threshold_leaves_only_that_operating_point_undefined() -> None:
    entry = results(thresholds={"Effusion": 0.35})["findings"]["Mass"]
    assert entry["threshold"] is None
    assert entry["at_validation_threshold"]["f1"]["reason"] == "no threshold"
    assert entry["at_0.5"]["f1"]["value"] is not None


def test_plain_json_and_deterministic_whatever_the_order_of_rows() -> None:
    one = results()
    text = json.dumps(one, allow_nan=False)
    assert json.loads(text) == one
    shuffled = predictions().sample(frac=1, random_state=3)
    two = classification_results(shuffled, thresholds=THRESHOLDS, draws=60, context={"title": "A test"})
    assert two["macro"] == one["macro"]
    assert two["cohort"] == one["cohort"]
    assert results(seed=1)["macro"] != one["macro"]


def test_an_unknown_threshold_name_is_refused_with_the_right_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown finding 'Effusions'.*Did you mean 'Effusion'"):
        results(thresholds={"Effusions": 0.5})


def test_versions_and_context_say_how_it_was_made() -> None:
    found = results(context={"command": "hilum evaluate", "path": Path("a/b"), "grid": (1, np.float32(0.5))})
    assert {"python", "numpy", "numba"} <= set(found["versions"])
    assert found["context"] == {"command": "hilum evaluate", "path": "a/b", "grid": [1, 0.5]}
    assert found["bootstrap"] == {"unit": "patient", "draws": 60, "seed": 0, "confidence": 0.95}


def test_plain_values() -> None:
    given = {"nan": float("nan"), "set": {"b", "a"}, "array": np.arange(2), "yes": np.True_, 3: None}
    assert plain(given) == {"nan": None, "set": ["a", "b"], "array": [0, 1], "yes": True, "3": None}
