"""Numbers of cells: the mean over findings, accuracy of classes, and runs of several seeds pooled draw by draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from hilum.results import classification_results, write_results
from hilum.tables.measures import read, score_of_nothing

FINDINGS = ("Edema", "Mass", "Hernia")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs on the same 60 films; nobody has Hernia."""
    return [write(tmp_path_factory.mktemp("judged") / str(seed), seed) for seed in (1, 2)]


def write(folder: Path, seed: int) -> Path:
    truth, noise = np.random.default_rng(0), np.random.default_rng(seed)
    classes = truth.integers(0, 2, 60)
    table = pd.DataFrame(
        {
            "image_id": [f"i{n}" for n in range(60)],
            "patient_id": [f"p{n // 2}" for n in range(60)],
            **{f"label.{name}": (classes == k).astype(float) for k, name in enumerate(FINDINGS)},
            **{f"score.{name}": (0.3 * (classes == k) + 0.7 * noise.random(60)) for k, name in enumerate(FINDINGS)},
        }
    )
    thresholds = dict.fromkeys(FINDINGS, 0.5)
    results = classification_results(table, thresholds=thresholds, draws=100, context={})
    write_results(folder, results, table)
    return folder


def labels_scores(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_parquet(folder / "predictions.parquet")
    return table.filter(like="label.").to_numpy(), table.filter(like="score.").to_numpy()


def test_one_finding_and_the_mean_over_those_defined(judged: list[Path]) -> None:
    labels, scores = labels_scores(judged[0])
    first = [roc_auc_score(labels[:, k], scores[:, k]) for k in (0, 1)]
    one = read("auroc", judged[:1], "Mass", draws=200)
    assert one.value == pytest.approx(first[1])
    assert one.low is not None
    assert one.high is not None
    assert one.low < one.value < one.high
    assert (one.runs, one.spread) == (1, None)
    macro = read("auroc", judged[:1], "macro", draws=200)
    assert macro.value == pytest.approx(np.mean(first))
    precision = [average_precision_score(labels[:, k], scores[:, k]) for k in (0, 1)]
    assert read("auprc", judged[:1], "macro", draws=100).value == pytest.approx(np.mean(precision))
    undefined = read("auroc", judged[:1], "Hernia", draws=100)
    assert (undefined.value, undefined.reason) == (None, "undefined on these test films")
    assert read("auroc", judged[:1], "Gout", draws=100).value is None


def test_runs_are_pooled_draw_by_draw(judged: list[Path]) -> None:
    parts = [read("auroc", [folder], "Edema", draws=300) for folder in judged]
    pooled = read("auroc", judged, "Edema", draws=300)
    values = [part.value for part in parts if part.value is not None]
    assert pooled.value == pytest.approx(np.mean(values))
    assert pooled.spread == pytest.approx(np.std(values, ddof=1))
    assert pooled.runs == 2
    assert pooled.low is not None
    assert pooled.high is not None
    widths = [part.high - part.low for part in parts if part.high is not None and part.low is not None]
    assert pooled.high - pooled.low < max(widths)


def test_accuracy_is_of_the_highest_class(judged: list[Path]) -> None:
    labels, scores = labels_scores(judged[0])
    found = read("accuracy", judged[:1], "macro", draws=200)
    assert found.value == pytest.approx(accuracy_score(labels.argmax(1), scores.argmax(1)))
    assert found.low is not None
    assert found.low <= found.value


def test_what_drawing_nothing_scores(tmp_path: Path) -> None:
    entry = {"blind": {"nothing": {"value": {"value": 0.647}}}}
    (tmp_path / "results.json").write_text(json.dumps({"macro": {"dice_all": entry}}))
    assert score_of_nothing(tmp_path) == 0.647


def test_readings_of_tasks_that_are_asked(tmp_path: Path) -> None:
    estimate = {"value": 0.4, "low": 0.3, "high": 0.5, "reason": ""}
    groups = {"low": {"survival": {**estimate, "value": 0.8}}, "high": {"survival": estimate}}
    results = {
        "ways": {
            "without_prior": {"cnr": {"micro": {**estimate, "value": 9}}},
            "with_prior": {"cnr": {"micro": estimate}},
        },
        "directions": {"image_to_report": {"pair": {"recall": {"5": estimate}}}},
        "endpoints": {"Death": {"groups": groups}},
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    for measure in ("cnr", "image_to_report@5", "survival_high"):
        found = read(measure, [tmp_path], "Death")
        assert (found.value, found.low, found.high, found.runs) == (0.4, 0.3, 0.5, 1)
    assert read("survival_low", [tmp_path], "Death").value == 0.8
