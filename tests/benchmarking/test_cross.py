"""Train × test: thresholds travel with the classifier, differences are on the same films, nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.benchmarking.cross import cross_results, run_cross
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.errors import ConfigError
from tests.benchmarking.conftest import Crossed, small_cross


def test_every_set_is_tested_on_by_every_classifier(crossed: Crossed) -> None:
    assert crossed.results["core"] == ["Mass", "Effusion"]
    matrix = crossed.results["matrices"]["one"]
    assert {train: list(tests) for train, tests in matrix.items()} == {
        "here": ["here", "there"], "there": ["here", "there"],
    }  # fmt: skip
    for train, tests in matrix.items():
        for test, entry in tests.items():
            assert entry["over"] == ["Mass", "Effusion"]
            assert entry["macro"]["low"] <= entry["macro"]["value"] <= entry["macro"]["high"]
            assert entry["macro"]["n"] == 12
            assert (entry["gap"] is None) == (train == test)


def test_the_difference_is_to_the_classifier_of_the_same_test_films(crossed: Crossed) -> None:
    matrix = crossed.results["matrices"]["one"]
    away, home = matrix["here"]["there"], matrix["there"]["there"]
    assert away["gap"]["value"] == pytest.approx(away["macro"]["value"] - home["macro"]["value"])
    assert 1 / 101 <= away["p"] <= 1


def test_thresholds_come_from_the_training_sets_validation_films(crossed: Crossed) -> None:
    for cell in crossed.cross.prepared.benchmark.cells():
        folder = cell.folder(crossed.out)
        record = json.loads((folder / "run" / "model" / "config.json").read_text())
        for place in ("judged", "judged-here", "judged-there"):
            if (folder / place).is_dir():
                findings = json.loads((folder / place / "results.json").read_text())["findings"]
                assert {name: row["threshold"] for name, row in findings.items()} == record["thresholds"]
    entry = crossed.results["matrices"]["one"]["here"]["there"]["findings"]["Mass"]
    assert set(entry) == {"auroc", "f1@validation", "sensitivity@validation", "specificity@validation"}


def test_equal_patient_ids_of_two_sets_are_two_patients(crossed: Crossed) -> None:
    """Both sets call their patients p000, p001, ...: judging is not refused, because their sources differ."""
    assert crossed.results["cells"] == {"all": 4, "done": 4, "failed": 0}


def test_a_second_call_does_nothing_and_says_the_same(crossed: Crossed) -> None:
    said: list[str] = []
    page = (crossed.out / "cross.html").read_bytes()
    run_cross(small_cross(crossed.root, crossed.out), say=said.append, command="hilum benchmark --cross ...")
    assert said == []
    assert (crossed.out / "cross.html").read_bytes() == page


def test_a_finding_that_one_set_lacks_is_judged_where_it_can_be(crossed: Crossed, tmp_path: Path) -> None:
    """Without the mapping only Mass is shared; Effusion and Fluid are named as labelled in no other set."""
    cross = small_cross(crossed.root, tmp_path / "out", label_names={}, seeds=1)
    results = cross_results(cross)
    assert results["core"] == ["Mass"]
    assert [one["alone"] for one in results["sets"]] == [["Effusion"], ["Fluid"]]
    assert results["matrices"]["one"] == {"here": {}, "there": {}}  # nothing is done yet


def test_only_classifiers_are_crossed(crossed: Crossed, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="crosses classifiers, not detect"):
        small_cross(crossed.root, tmp_path / "out", task=BenchmarkTask("a", "", "detect"))
    with pytest.raises(ConfigError, match="at least 100, not 10"):
        small_cross(crossed.root, tmp_path / "out", draws=10)
