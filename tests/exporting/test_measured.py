"""Numbers of the card come from judged folders, with their intervals, and only from folders of this encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hilum.encoder import Encoder
from hilum.errors import UserError
from hilum.evaluation.features import weights_digest
from hilum.exporting.measured import HEADLINES, measured
from hilum.results.judgement import KINDS
from tests.exporting.encoders import vit_encoder
from tests.results.judged_folders import write_folder, write_scores


def estimate(value: float | None) -> dict[str, Any]:
    ends = {"low": None, "high": None} if value is None else {"low": value - 0.05, "high": value + 0.05}
    return {"value": value, **ends, "n": 1340, "n_patients": 200, "draws": 1000}


def test_classification_with_intervals_counts_and_command(tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "run" / "judged")
    results = json.loads((folder / "results.json").read_text())
    [found] = measured([tmp_path / "run"])  # a run with one judged folder
    macro = results["macro"]["auroc"]
    text = f"{macro['value']:.3f} [{macro['low']:.3f}, {macro['high']:.3f}]"
    assert found.rows[0] == ("mean", "AUROC", text, f"{macro['n']:,}", f"{macro['n_patients']:,}")
    assert [row[:2] for row in found.rows[1:]] == [("mean", "AUPRC"), ("Effusion", "AUROC"), ("Mass", "AUROC")]
    assert found.how["intervals"] == "95 %, bootstrap over patients, 20 draws, seed 0"
    assert found.how["command"] == "not recorded"


CASES: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "segmentation": (
        {"macro": {"dice_positive": {"model": estimate(0.7)}}},
        ("mean", "Dice, films with the finding"),
    ),
    "detection": ({"findings": {"Mass": {"model": {"ap50": estimate(0.7)}}}}, ("Mass", "AP50")),
    "survival": ({"endpoints": {"Death": {"uno": estimate(0.7)}}}, ("Death", "Uno's C")),
    "grounding": ({"ways": {"without_prior": {"miou": {"micro": estimate(0.7)}}}}, ("without_prior", "mIoU")),
    "saliency": ({"ways": {"cam": {"pointing": {"micro": estimate(0.7)}}}}, ("cam", "Pointing")),
    "retrieval": (
        {"directions": {"image_to_report": {"study": {"recall": {"10": estimate(0.7)}}}}},
        ("image_to_report", "R@10, same study"),
    ),
    "zero-shot": (
        {"findings": {"Mass": {"auroc": estimate(0.7)}, "Edema": {"auroc": estimate(None)}}},
        ("Mass", "AUROC"),
    ),
}


@pytest.mark.parametrize("task", CASES)
def test_the_headline_of_every_task(task: str, tmp_path: Path) -> None:
    values, name = CASES[task]
    folder = write_folder(tmp_path / "judged", {"task": task, **values})
    [found] = measured([folder])
    assert found.rows == ((*name, "0.700 [0.650, 0.750]", "1,340", "200"),)


def test_every_task_that_is_compared_has_a_headline() -> None:
    assert set(HEADLINES) == set(KINDS)


def test_paths_of_this_machine_stay_here(tmp_path: Path) -> None:
    context = {
        "title": "Mass on /data/me/films",
        "data": "/data/me/films",
        "command": "hilum evaluate --run=/data/me/r",
    }
    values = {"task": "survival", "endpoints": {"Death": {"uno": estimate(0.7)}}, "context": context}
    [found] = measured([write_folder(tmp_path / "judged", values)])
    assert "/data/me" not in str(found)
    assert found.how["command"] == "hilum evaluate --run=r"


def test_numbers_of_another_encoder_are_refused(tmp_path: Path) -> None:
    encoder = vit_encoder()
    folder = write_scores(tmp_path / "run" / "judged")
    (tmp_path / "run/model").mkdir()
    record = tmp_path / "run/model/config.json"
    record.write_text(json.dumps({"origin": {"encoder_sha256": weights_digest(encoder.model)}}))
    assert measured([folder], encoder)
    record.write_text(json.dumps({"origin": {"encoder_sha256": "ab" * 32}}))
    with pytest.raises(UserError, match="was judged with another encoder: its run was built on weights abababababab"):
        measured([folder], encoder)
    assert measured([folder])  # nothing to compare with
    inside = Encoder(encoder.model, encoder.preprocessing, {"encoder_sha256": "ab" * 32})
    assert measured([folder], inside)  # adapted from the encoder that was judged


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"task": "paper table"}, "unknown task of results 'paper table'"),
        ({"no": "task"}, "holds no results.json that can be read"),
        ({"task": "survival", "endpoints": {}}, "holds no number that is defined"),
    ],
)
def test_what_holds_no_numbers_is_refused(values: dict[str, Any], says: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "judged", values)
    with pytest.raises(UserError, match=says):
        measured([folder])


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was judged here"):
        measured([tmp_path])
