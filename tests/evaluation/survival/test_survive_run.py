"""The whole road on tiny films: adapt survive in every form, evaluate, load again, refuse what is not honest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.cli import main
from hilum.evaluation.features import Runner
from hilum.evaluation.frozen import Source
from hilum.evaluation.survival.inputs import risk_inputs
from hilum.evaluation.survival.model import is_risk_run, load_risk
from hilum.evaluation.survival.plan import FULL_BATCH_STEPS, Options, make_plan
from hilum.evaluation.survival.scores import score_films
from hilum.evaluation.survival.subjects import one_row_a_subject
from hilum.manifest import Manifest
from hilum.metrics.survival import harrell_c

QUIET = Runner(device="cpu", quiet=True)


@pytest.fixture(scope="module")
def words(encoder_folder: Path, followed: Path) -> list[str]:
    where = ["--encoder", str(encoder_folder), "--data", str(followed)]
    return ["adapt", "survive", "--device", "cpu", "--horizon", "300", *where]


@pytest.fixture(scope="module")
def run(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cox with age"
    assert main([*words, "--endpoints", "Death", "--covariates", "age,sex", "--reduce", "last", "--out", str(out)]) == 0
    return out


def test_a_run_leaves_a_model_and_what_it_was_chosen_by(run: Path, followed: Path) -> None:
    trained = load_risk(run)
    record = trained.record
    assert is_risk_run(run)
    assert (record.endpoints, record.form, record.horizon, record.reduce) == (("Death",), "cox", 300.0, "last")
    assert record.validation["name"] == "c_index"
    assert [column["name"] for column in record.covariates] == ["age", "sex"]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == FULL_BATCH_STEPS
    assert rows[-1]["val/c_index_best"] == pytest.approx(record.validation["value"])
    log = (run / "train.log").read_text()
    assert "Death, train: 118 films" in log
    assert "1 without follow-up, 1 that ended on the day of the film" in log
    assert "Cox's risk sets are formed within all training films" in log
    assert len(json.loads((run / "fraction.json").read_text())["val_patients"]) == 20
    assert "death of any cause" in (run / "model" / "README.md").read_text()


def test_the_threshold_is_the_median_of_validation_subjects(run: Path, followed: Path) -> None:
    trained = load_risk(run)
    val = Manifest.read(followed).select(split="val")
    scores = score_films(trained, val, runner=QUIET)[:, 0]
    films = val.table.assign(score=scores, time=val.table["time.Death"], event=val.table["event.Death"])
    subjects = one_row_a_subject(films, "last").table
    assert set(subjects["image_id"].str[-1]) == {"a"}  # the later film of each
    assert trained.record.thresholds["Death"] == pytest.approx(float(subjects["score"].median()), abs=1e-5)
    assert trained.record.threshold_notes["Death"] == "median score of 20 validation subjects"
    value = harrell_c(films["time"], films["event"], films["score"])
    assert value == pytest.approx(trained.record.validation["value"], abs=1e-3)


def test_evaluate_counts_subjects_and_writes_the_page(
    run: Path, followed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert main(["evaluate", str(run), "--data", str(followed), "--out", str(out), "--draws", "50"]) == 0
    shown = capsys.readouterr().out
    assert "Death: 20 subjects" in shown
    assert str(out / "results.html") in shown
    films, subjects = (pd.read_parquet(out / f"{name}.parquet") for name in ("predictions", "subjects"))
    assert (len(films), len(subjects)) == (40, 20)
    results = json.loads((out / "results.json").read_text())
    entry = results["endpoints"]["Death"]
    assert entry["threshold"] == load_risk(run).record.thresholds["Death"]
    assert entry["harrell"]["value"] == harrell_c(subjects["time"], subjects["event"], subjects["score"])
    assert entry["true_risk"]["harrell"]["value"] > entry["harrell"]["value"] - 0.15
    assert any("40 films of 20 subjects: the score of the last film" in note for note in entry["notes"])
    assert any("log hazard ratio" in note for note in results["notes"])
    assert {"results.html", "results.md", "curves.parquet"} <= {path.name for path in out.iterdir()}


def test_patients_it_learned_from_are_refused(
    run: Path, followed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--data", str(followed), "--split", "train"]) == 2
    assert "--allow-train" in capsys.readouterr().err
    (tmp_path / "images").symlink_to(followed / "images")
    pd.read_csv(followed / "manifest.csv").assign(split="test").to_csv(tmp_path / "manifest.csv", index=False)
    assert main(["evaluate", str(run), "--data", str(tmp_path)]) == 2
    assert "79 of 100 patients of the test split were used to train or choose" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--data", str(followed), "--baselines", "metadata"]) == 2
    assert "without baselines" in capsys.readouterr().err


def test_a_column_it_was_trained_with_must_be_there(
    run: Path, followed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").symlink_to(followed / "images")
    pd.read_csv(followed / "manifest.csv").drop(columns="age").to_csv(tmp_path / "manifest.csv", index=False)
    assert main(["evaluate", str(run), "--data", str(tmp_path)]) == 2
    assert "unknown column 'age'" in capsys.readouterr().err


def test_findings_and_endpoints_are_queries_of_one_head_with_a_map_each(
    words: list[str], followed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "glori"
    small = ["--epochs", "1", "--lrs", "3e-4", "--intervals", "3", "--form", "discrete", "--threshold", "youden"]
    joint = ["--endpoints", "Death,Stroke", "--labels", "Mass", "--head", "glori", *small]
    assert main([*words, *joint, "--out", str(out)]) == 0
    trained = load_risk(out)
    record = trained.record
    intervals = tuple(len(record.edges[endpoint]) - 1 for endpoint in ("Death", "Stroke"))
    assert record.outputs_per_query == (1, *intervals)
    assert all(300.0 in record.edges[endpoint] for endpoint in ("Death", "Stroke"))
    assert record.validation["name"] == "mean"
    assert "Youden" in record.threshold_notes["Death"]
    maps = trained.model.attention(torch.zeros(2, 1, 64, 64))
    assert maps.shape[0::2] == (2, 3)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(maps.shape[:-1]))
    assert main(["evaluate", str(out), "--data", str(followed), "--draws", "20"]) == 0
    (folder,) = out.glob("evaluate-test-*")
    assert set(json.loads((folder / "results.json").read_text())["endpoints"]) == {"Death", "Stroke"}
    assert "Mass" in json.loads((folder / "findings" / "results.json").read_text())["findings"]


def test_class_token_probe_and_binary_form(words: list[str], followed: Path, tmp_path: Path) -> None:
    out = tmp_path / "probe"
    form = ["--form", "binary", "--head", "chexfound-probe", "--epochs", "2", "--endpoints", "Stroke"]
    assert main([*words, *form, "--out", str(out)]) == 0
    record = load_risk(out).record
    assert record.validation["name"] == "auroc"
    assert "were censored before and are unknown, not negative" in (out / "train.log").read_text()
    scores = score_films(load_risk(out), Manifest.read(followed).select(split="test"), runner=QUIET)
    assert ((scores > 0) & (scores < 1)).all()


def test_covariates_stand_beside_the_features(encoder_folder: Path, followed: Path) -> None:
    options = Options(str(encoder_folder), str(followed), ("Death",), 300.0, covariates=("age", "sex"))
    plan = make_plan(options)
    (inputs,) = risk_inputs(plan.encoder, [plan.val.manifest], plan.record, Source(QUIET))
    assert inputs.width == 48 + 4  # age and its blank, two sexes
    features = inputs.batch(torch.arange(len(inputs)))
    assert isinstance(features, torch.Tensor)
    ages = plan.val.manifest.table["age"].to_numpy(np.float64)
    known = ~np.isnan(ages)
    np.testing.assert_allclose(features[known, 48].numpy(), ages[known])
    np.testing.assert_array_equal(features[:, 49].numpy(), (~known).astype(np.float32))


def test_a_finished_run_is_repeated_to_the_bit_and_another_is_refused(
    run: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "model" / "model.safetensors").read_bytes()
    same = [*words, "--endpoints", "Death", "--covariates", "age,sex", "--reduce", "last", "--resume"]
    same += ["--out", str(run)]
    assert main(same) == 0
    assert (run / "model" / "model.safetensors").read_bytes() == before
    assert main([*same, "--seed", "3"]) == 2
    assert "differs from the run that is to be resumed: seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--endpoints", "Heart"], "unknown endpoint 'Heart'. Did you mean 'Death'? Known: Death, Stroke"),
        (["--endpoints", "Death", "--horizon", "9000"], "9000 days lie beyond the follow-up of Death"),
        (
            ["--endpoints", "Death", "--mode", "finetune"],
            "unrecognized arguments: --mode=finetune",
        ),
        (["--endpoints", "Death", "--head", "glori", "--covariates", "age"], "takes no covariates"),
        (["--endpoints", "Death", "--covariates", "agee"], "unknown column 'agee'. Did you mean 'age'"),
        (["--endpoints", "Death", "--labels", "Mas"], "unknown finding 'Mas'"),
        (["--endpoints", "Death", "--head", "forest"], "unknown head 'forest'"),
        (["--endpoints", "Death", "--lrs", "-1"], "learning rates must be positive"),
    ],
)
def test_plain_errors(
    words: list[str], tmp_path: Path, given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *given, "--out", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "run").exists()


def test_a_horizon_must_be_named_and_follow_up_is_not_for_classify(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = [word for word in words if word not in ("--horizon", "300")]
    assert main([*without, "--endpoints", "Death", "--out", str(tmp_path / "run")]) == 2
    assert "a horizon is needed" in capsys.readouterr().err
    classify = ["adapt", "classify", *words[2:], "--labels", "Mass", "--out", str(tmp_path / "run")]
    assert main(classify) == 2
    assert "unrecognized arguments: --horizon" in capsys.readouterr().err


def test_a_dry_run_says_what_is_known_and_writes_nothing(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--endpoints", "Stroke", "--form", "binary", "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    told = json.loads(capsys.readouterr().out)
    follow = told["follow_up"]["train"]["Stroke"]
    assert sum(follow["at_horizon"].values()) == follow["films"] == 120
    assert follow["competing"] > 0
    assert told["task"] == "survive"
    assert not (tmp_path / "run").exists()
