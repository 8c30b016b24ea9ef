"""What a run of each task says: one loader a task, scores and calls by the stored thresholds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.prediction.predictors import LOADERS, load_predictor, scored
from hilum.evaluation.prediction.run import Asked, predict_films
from hilum.evaluation.survival.covariates import Covariates
from hilum.evaluation.survival.model import RiskRecord, TrainedRisk, build_risk_model
from hilum.evaluation.tasks import TASKS
from hilum.lookup import lookup
from tests.evaluation.prediction.conftest import GREY, RECORD, SIZES, write_run

RUNNER = Runner(device="cpu", quiet=True)


def test_every_task_has_a_loader() -> None:
    assert list(LOADERS) == list(TASKS)
    for name in LOADERS:
        assert callable(lookup(LOADERS, name, kind="task"))


def test_calls_are_made_from_the_threshold_on() -> None:
    table = scored(("A", "B"), np.array([[0.2, 0.5], [0.3, 0.9]]), {"A": 0.3})
    assert table["called.A"].tolist() == [0, 1]
    assert table["called.B"].isna().all()
    assert table["score.B"].tolist() == [0.5, 0.9]


def risk_run(root: Path, covariates: list[dict[str, object]]) -> Path:
    record = RiskRecord(
        ("Death",),
        "cox",
        365.0,
        findings=("Mass",),
        covariates=covariates,  # type: ignore[arg-type]
        thresholds={"Death": 0.0},
        finding_thresholds={"Mass": 0.5},
        origin=RECORD.origin,
    )
    torch.manual_seed(0)
    model = build_risk_model(SIZES, record).eval()
    for parameter in model.head.parameters():
        nn.init.normal_(parameter)
    TrainedRisk(model, GREY, record).save(root / "model")
    return root


def test_a_model_of_risk_calls_high_risk(folder: Path, tmp_path: Path) -> None:
    run = risk_run(tmp_path / "run", [])
    out = str(tmp_path / "out")
    found = predict_films(str(run), [str(folder)], out, Asked(maps="gradient"), runner=RUNNER, workers=1)
    table = found.table
    assert {"score.Mass", "score.Death", "called.Mass", "called.Death"} <= set(table.columns)
    assert table["called.Death"].tolist() == [int(score >= 0) for score in table["score.Death"]]
    assert found.results["maps"]["names"] == ["Mass", "Death"]
    assert found.results["context"]["score_of_endpoints"] == "log hazard ratio, up to a constant"
    assert load_predictor(run).task == "survive"


def test_covariates_come_from_the_films_or_are_asked_for(folder: Path, tmp_path: Path) -> None:
    ages = pd.DataFrame({"age": [40.0, 50.0, 60.0, 70.0], "sex": ["F", "M", "F", "M"]})
    covariates = Covariates.fit(ages, ("age", "sex")).to_json()
    run = risk_run(tmp_path / "run", covariates)
    with pytest.raises(ConfigError, match="age"):
        predict_films(str(run), [str(folder)], str(tmp_path / "out"), Asked(), runner=RUNNER, workers=1)
    assert not (tmp_path / "out").exists()


def test_a_calibrated_classifier_says_so(folder: Path, tmp_path: Path) -> None:
    scaling = {"kind": "platt", "slopes": [2.0, 1.0], "intercepts": [0.5, 0.0], "reasons": ["", ""]}
    plain, scaled = (
        predict_films(
            str(write_run(tmp_path / name, record)), [str(folder / "square.png")], str(tmp_path / f"{name} out"),
            Asked(), runner=RUNNER, workers=1,
        )
        for name, record in (("plain", RECORD), ("scaled", replace(RECORD, calibration=scaling)))
    )  # fmt: skip
    assert scaled.results["context"]["calibration"] == "platt"
    assert "calibration" not in plain.results["context"]
    before, after = (
        float(np.log(one / (1 - one))) for one in (found.table["score.Mass"][0] for found in (plain, scaled))
    )
    assert after == pytest.approx(2 * before + 0.5, rel=1e-3)
