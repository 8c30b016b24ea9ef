"""Predictions as evidence: the numbers of `compare`, whatever the order of films, and labels that must agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.delong import delong_test
from hilum.results import compare
from hilum.results.judgement import open_judgement
from hilum.results.judgements.scores import METRICS
from hilum.results.paired import compare_judgements
from tests.results.frames import predictions
from tests.results.judged_folders import write_scores


def test_every_metric_is_one_of_the_bootstrap() -> None:
    table = predictions(n=30)
    judged = bootstrap(
        table[["label.Mass"]], table[["score.Mass"]], table["patient_id"], findings=["Mass"], draws=2,
        operating_points={"validation": [0.3]},
    )  # fmt: skip
    assert set(METRICS) <= set(judged.points)


def test_the_differences_are_those_of_two_tables(tmp_path: Path) -> None:
    one, two = (open_judgement(write_scores(tmp_path / str(q), quality=q)) for q in (1.5, 0.7))
    shuffled = pd.read_parquet(two.folder / "predictions.parquet").sample(frac=1, random_state=0)
    shuffled.to_parquet(two.folder / "predictions.parquet")
    found = compare_judgements(one, open_judgement(two.folder), draws=64, permutations=64, metrics=("auroc",))
    tables = [predictions(quality=q, n=240) for q in (1.5, 0.7)]
    known = compare("one", tables[0], "two", tables[1], draws=64)["auroc"]
    pair = found["metrics"]["auroc"]["pairs"][0]
    for finding in ("Effusion", "Mass"):
        gap = pair["categories"][finding]["difference"]
        assert gap == pytest.approx(known["findings"][finding]["difference"])
        columns = tables[0][f"label.{finding}"], *(table[f"score.{finding}"] for table in tables)
        expected = delong_test(*columns, tables[0]["patient_id"]).p
        assert pair["categories"][finding]["delong"] == pytest.approx(expected)
    assert pair["macro"]["difference"] == pytest.approx(known["macro"]["difference"])
    assert pair["categories"]["Hernia"]["difference"]["reason"] == "no positives"


def test_labels_that_differ_are_named_with_their_numbers(tmp_path: Path) -> None:
    one, two = (open_judgement(write_scores(tmp_path / str(q), quality=q, n=30)) for q in (1.5, 0.7))
    assert one.evidence.disagreement(two.evidence) == ""
    labels = two.evidence.labels.copy()  # type: ignore[attr-defined]
    labels[:3, 1] = np.where(np.isnan(labels[:3, 1]), 1.0, np.nan)
    object.__setattr__(two.evidence, "labels", labels)
    assert one.evidence.disagreement(two.evidence) == "their labels differ: Mass (3 films)"
