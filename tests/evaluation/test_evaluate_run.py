"""The whole road on tiny films: adapt frozen and fine-tuned, evaluate, refuse what is not honest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.checkpoint import load_checkpoint, save_checkpoint
from hilum.cli import main
from hilum.evaluation.classifier import load_classifier
from hilum.films import FilmStore
from hilum.manifest import Manifest
from hilum.metrics.scaling import Scaling, rescale
from hilum.transforms.image import prepare_film


@pytest.fixture(scope="module")
def words(encoder_folder: Path, films: Path) -> list[str]:
    return ["adapt", "classify", "--encoder", str(encoder_folder), "--data", str(films), "--labels", "Mass,Effusion"]


@pytest.fixture(scope="module")
def run(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "frozen head"
    assert main([*words, "--out", str(out), "--epochs", "30", "--device", "cpu"]) == 0
    return out


def test_a_frozen_run_leaves_everything_that_is_needed(run: Path) -> None:
    assert {"config.json", "env.json", "metrics.jsonl", "train.log", "fraction.json", "model", "features"} <= {
        path.name for path in run.iterdir()
    }
    record = load_classifier(run).record
    assert record.validation["auroc"] > 0.75
    assert set(record.thresholds) == {"Mass", "Effusion"}
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 31))
    best = max(value for row in rows for key, value in row.items() if key.startswith("val/auroc/lr_"))
    assert best == rows[-1]["val/auroc_best"] == pytest.approx(record.validation["auroc"], abs=1e-3)
    assert len(record.validation["grid"]) == 6
    patients = json.loads((run / "fraction.json").read_text())
    assert (patients["n_patients"], len(patients["val_patients"])) == (36, 12)


def test_evaluate_writes_predictions_and_results(
    run: Path, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert main(["evaluate", str(run), "--data", str(films), "--out", str(out), "--draws", "100"]) == 0
    shown = capsys.readouterr().out
    assert "macro AUROC 0." in shown
    assert "baseline metadata 0." in shown
    assert str(out / "results.html") in shown
    table = pd.read_parquet(out / "predictions.parquet")
    assert len(table) == 24
    assert set(table["split"]) == {"test"}
    assert table[["score.Mass", "score.Effusion"]].stack().between(0, 1).all()
    truth = Manifest.read(films).select(split="test")
    pd.testing.assert_frame_equal(
        table[["label.Mass", "label.Effusion"]], truth.table[["label.Mass", "label.Effusion"]]
    )
    results = json.loads((out / "results.json").read_text())
    assert results["macro"]["auroc"]["value"] > 0.7
    assert results["findings"]["Mass"]["threshold"] == load_classifier(run).record.thresholds["Mass"]
    assert (out / "results.md").is_file()
    assert main(["evaluate", str(run), "--data", str(films), "--out", str(out)]) == 2  # not empty
    assert "the output folder is not empty" in capsys.readouterr().err


def test_default_folder_and_baselines(run: Path, films: Path) -> None:
    assert main(["evaluate", str(run), "--data", str(films), "--draws", "50", "--baselines", "metadata"]) == 0
    folder = run / f"evaluate-test-{Manifest.read(films).digest[:8]}"
    entry = json.loads((folder / "results.json").read_text())["baselines"]["metadata"]
    assert entry["macro"]["difference"]["value"] is not None
    assert entry["note"].startswith("Learned from 72 films of the classifier's training patients.")


def test_fine_tuning_learns_and_goes_on_where_it_was(
    words: list[str], films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tuned"
    command = [*words, "--out", str(out), "--mode", "finetune", "--head", "mlp", "--epochs", "12", "--device", "cpu"]
    command += ["--lrs", "2e-3", "--mixup", "0.1"]
    assert main(command) == 0
    first = load_classifier(out).record
    assert first.validation["auroc"] > 0.65
    assert first.fc_norm
    best = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert max(row.get("val/auroc", 0.0) for row in best) == pytest.approx(first.validation["auroc"], abs=1e-6)
    assert main([*command, "--resume"]) == 0  # nothing left to do: the same classifier
    assert load_classifier(out).record == first
    assert main(["evaluate", str(out), "--data", str(films), "--draws", "50"]) == 0
    capsys.readouterr()
    assert main(command) == 2
    assert "the output folder is not empty" in capsys.readouterr().err
    assert main([*command, "--resume", "--seed", "1"]) == 2
    assert "differs from the run that is to be resumed: fraction_seed, seed" in capsys.readouterr().err


def test_one_of_several_classes(encoder_folder: Path, films: Path, tmp_path: Path) -> None:
    table = Manifest.read(films).table.copy()
    table["label.NoFinding"] = 1 - table["label.Mass"]
    (tmp_path / "images").symlink_to(films / "images")
    Manifest.from_table(table, tmp_path).write(tmp_path)
    out = tmp_path / "run"
    words = ["adapt", "classify", "--encoder", str(encoder_folder), "--data", str(tmp_path), "--out", str(out)]
    assert main([*words, "--labels", "Mass,NoFinding", "--targets", "multiclass", "--epochs", "10"]) == 0
    assert main(["evaluate", str(out), "--data", str(tmp_path), "--out", str(out / "results"), "--draws", "20"]) == 0
    scores = pd.read_parquet(out / "results" / "predictions.parquet")
    assert (scores["score.Mass"] + scores["score.NoFinding"]).to_numpy() == pytest.approx(1.0)


def test_dry_run_writes_nothing(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--out", str(tmp_path / "out"), "--dry-run", "--fraction", "0.5"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["fraction"], plan["batch_size"]) == (0.5, 256)
    assert list(tmp_path.iterdir()) == []


def test_faults_are_one_line_and_write_nothing(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--labels", "Masss", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error == "hilum adapt: labels: unknown finding 'Masss'. Did you mean 'Mass'? Known: Effusion, Mass.\n"
    assert list(tmp_path.iterdir()) == []


def test_glori_with_a_second_round_from_stored_features(
    words: list[str], films: Path, encoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = tmp_path / "features", tmp_path / "glori"
    assert main(["embed", str(encoder_folder), "--data", str(films), "--out", str(store), "--kinds", "cls,patch"]) == 0
    command = [*words, "--out", str(out), "--head", "glori", "--head-variant", "released", "--lrs", "3e-3,1e-2"]
    command += ["--head-set.dim", "32", "--head-set.feedforward", "64", "--batch-size", "16"]
    command += ["--features", str(store), "--second-round", "fresh", "--epochs", "8", "--device", "cpu"]
    assert main(command) == 0
    trained = load_classifier(out)
    record = trained.record
    assert record.validation["auroc"] > 0.7
    assert record.validation["second_round"] == {"films": 96, "epochs": 8, "start": "fresh"}
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 17))
    assert "loss/second_round" in rows[-1]
    card = (out / "model" / "README.md").read_text()
    assert "glori (released) head on class and patch tokens of the last 2 blocks" in card
    assert "24 validation films, scored in the first round; in the second (fresh) they were learned from" in card
    patients = json.loads((out / "fraction.json").read_text())
    assert len(patients["patients"]) == 36 + 12

    results = tmp_path / "results"
    assert main(["evaluate", str(out), "--data", str(films), "--out", str(results), "--draws", "50"]) == 0
    assert json.loads((results / "results.json").read_text())["macro"]["auroc"]["value"] > 0.7
    assert main(["evaluate", str(out), "--data", str(films), "--split", "val"]) == 2
    assert "12 of 12 patients of the val split were used to train" in capsys.readouterr().err
    maps = trained.model.attention(torch.randn(2, 1, 64, 64))
    assert maps.shape == (2, 8, 2, 16)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 8, 2))


def test_screening_for_normal_films_with_calibrated_scores_and_a_fixed_sensitivity(
    encoder_folder: Path, films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """NoFinding is derived at both doors; threshold and calibration come from validation and travel with the head."""
    out = tmp_path / "run"
    words = ["adapt", "classify", "--encoder", str(encoder_folder), "--data", str(films), "--out", str(out)]
    words += ["--labels", "NoFinding", "--epochs", "12", "--device", "cpu"]
    asked = ["--threshold", "sensitivity=0.8", "--calibrate", "platt", "--loss", "class-balanced"]
    assert main([*words, *asked]) == 0
    rule = "NoFinding is derived from 2 labels (Mass, Effusion): 1 where all are 0"
    assert rule in (out / "train.log").read_text()
    assert json.loads((out / "config.json").read_text())["derived"][0].startswith(rule)
    trained = load_classifier(out)
    record = trained.record
    positive, negative = record.counts["NoFinding"]
    table = Manifest.read(films).select("train").table
    assert positive == int(((table["label.Mass"] == 0) & (table["label.Effusion"] == 0)).sum())
    assert negative == int(((table["label.Mass"] == 1) | (table["label.Effusion"] == 1)).sum())
    assert record.calibration["kind"] == "platt"
    assert record.how_chosen == "sensitivity of at least 0.8"
    assert "sensitivity of at least 0.8 on validation" in (out / "model" / "README.md").read_text()
    assert main(["evaluate", str(out), "--data", str(films), "--out", str(out / "test"), "--draws", "50"]) == 0
    results = json.loads((out / "test" / "results.json").read_text())
    assert any(note.startswith(rule) for note in results["notes"])
    assert "Scores are scaled (platt), as fitted on validation films." in results["notes"]
    table = pd.read_parquet(out / "test" / "predictions.parquet")
    film = trained.preprocessing
    store = FilmStore(Manifest.read(films).select("test"))
    with torch.no_grad():
        raw = trained.model(torch.stack([prepare_film(store.film(row), film) for row in range(3)])).sigmoid().double()
    expected = rescale(raw.numpy(), Scaling.from_json(record.calibration))
    assert table["score.NoFinding"].to_numpy()[:3] == pytest.approx(expected[:, 0], abs=1e-5)
    capsys.readouterr()


def test_shots_and_fractions_of_films_are_saved_with_the_run(encoder_folder: Path, films: Path, tmp_path: Path) -> None:
    words = ["adapt", "classify", "--encoder", str(encoder_folder), "--data", str(films), "--labels", "Mass,Effusion"]
    words += ["--epochs", "3", "--device", "cpu"]
    assert main([*words, "--shots", "4", "--out", str(tmp_path / "shots")]) == 0
    few = json.loads((tmp_path / "shots" / "fraction.json").read_text())
    assert (few["shots"], few["fraction"]) == (4, 1.0)
    assert 4 <= few["n_patients"] <= 16
    assert main([*words, "--fraction", "0.5", "--fraction-unit", "image", "--out", str(tmp_path / "films")]) == 0
    half = json.loads((tmp_path / "films" / "fraction.json").read_text())
    assert (half["unit"], len(half["images"]), half["n_images"]) == ("image", 36, 36)
    assert main([*words, "--shots", "40", "--out", str(tmp_path / "many")]) == 2
    assert main([*words, "--shots", "2", "--fraction", "0.5", "--out", str(tmp_path / "both")]) == 2
    assert main([*words, "--fraction", "0.02", "--out", str(tmp_path / "one")]) == 2  # a class is missing
    assert not (tmp_path / "one").exists()


def test_records_of_earlier_runs_still_load(run: Path, tmp_path: Path) -> None:
    weights, config = load_checkpoint(run / "model")
    for name in ("derived", "counts", "select", "calibration", "threshold_rule"):
        del config[name]
    save_checkpoint(tmp_path / "model", weights, config, "")
    record = load_classifier(tmp_path).record
    assert (record.calibration, record.how_chosen, record.counts) == ({}, "largest F1", {})
    assert load_classifier(tmp_path).calibrated(np.array([[0.25, 0.5]])).tolist() == [[0.25, 0.5]]
