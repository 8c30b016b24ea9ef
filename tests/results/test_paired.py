"""Comparing judgements: who is better, ranks, corrected p-values, margins, and what is refused or said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.errors import ConfigError, UserError
from hilum.metrics.multiplicity import benjamini_hochberg, holm
from hilum.results.judgement import Judgement, open_judgement
from hilum.results.paired import compare_judgements, verdict
from tests.results.judged_folders import boxes, items, subjects, survival_results, write_folder, write_scores

FEW: dict[str, Any] = {"draws": 64, "permutations": 64}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Judgement]:
    root = tmp_path_factory.mktemp("three")
    return [open_judgement(write_scores(root / f"q{quality}", quality=quality)) for quality in (2.5, 1.0, 0.2)]


@pytest.fixture(scope="module")
def compared(three: list[Judgement]) -> dict[str, Any]:
    return compare_judgements(*three, margin=0.02, **FEW)


def test_the_better_one_is_called_better(compared: dict[str, Any]) -> None:
    assert compared["verdicts"][0].startswith("q2.5 is better than q1.0: macro AUROC differs by +0.")
    assert "permutation p = 0.015" in compared["verdicts"][0]  # 1 / 65
    auroc = compared["metrics"]["auroc"]
    assert [run["rank"]["mean"] for run in auroc["runs"]] == pytest.approx([1, 2, 3], abs=0.1)
    assert auroc["runs"][0]["rank"]["best"] == 1.0
    assert sum(run["rank"]["best"] for run in compared["metrics"]["brier"]["runs"]) >= 1.0
    assert [pair["second"] for pair in auroc["pairs"]] == ["q1.0", "q0.2"]
    assert auroc["left_out"] == {"Hernia": "no positives"}
    assert compared["counts"] == {"noun": "films", "items": 240, "patients": 80}


def test_small_is_good_for_the_brier_score(compared: dict[str, Any]) -> None:
    pair = compared["metrics"]["brier"]["pairs"][1]
    assert pair["macro"]["difference"]["value"] < 0
    assert verdict(compared["metrics"]["brier"], pair).startswith("q2.5 is better than q0.2: macro Brier score")
    assert pair["macro"]["non_inferiority"]["verdict"] == "superior"
    assert pair["macro"]["permutation"] is None
    assert pair["corrected"] == "bootstrap"


def test_p_values_are_corrected_over_the_findings(compared: dict[str, Any]) -> None:
    rows = compared["metrics"]["auroc"]["pairs"][0]["categories"]
    p = [row["permutation"] for row in rows.values()]
    assert rows["Hernia"]["permutation"] is rows["Hernia"]["holm"] is rows["Hernia"]["delong"] is None
    assert [row["holm"] for row in rows.values()] == holm(p)
    assert [row["bh"] for row in rows.values()] == benjamini_hochberg(p)
    assert compared["metrics"]["auroc"]["pairs"][0]["across"]["findings"] == 2


def test_turned_round_the_difference_changes_its_sign_only(three: list[Judgement]) -> None:
    one, two = (compare_judgements(*pair, metrics=("auprc",), **FEW) for pair in (three[:2], three[1::-1]))
    first, second = (found["metrics"]["auprc"]["pairs"][0]["macro"] for found in (one, two))
    assert first["permutation"] == second["permutation"]
    assert first["difference"]["value"] == pytest.approx(-second["difference"]["value"])
    assert first["difference"]["low"] == pytest.approx(-second["difference"]["high"])


def test_a_run_against_itself_shows_nothing(three: list[Judgement], tmp_path: Path) -> None:
    twin = open_judgement(three[0].folder, name="twin")
    found = compare_judgements(three[0], twin, metrics=("auroc",), margin=0.01, **FEW)
    pair = found["metrics"]["auroc"]["pairs"][0]
    assert found["verdicts"] == [
        "No difference between q2.5 and twin was shown: macro AUROC differs by +0.000 [+0.000, +0.000], "
        "permutation p = 1.000."
    ]
    assert pair["macro"]["non_inferiority"]["verdict"] == "non-inferior"
    assert [run["rank"]["mean"] for run in found["metrics"]["auroc"]["runs"]] == [1.5, 1.5]


def test_few_draws_other_manifests_and_dishonest_runs_are_said(three: list[Judgement], tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "seen", quality=3.0)
    judged = open_judgement(folder)
    judged.results["notes"].append("NOT AN HONEST RESULT: 3 of the patients were used.")
    judged.results["context"]["manifest_sha256"] = "other"
    notes = compare_judgements(judged, three[0], metrics=("auroc",), **FEW)["notes"]
    assert any(note.startswith("ONLY 64 BOOTSTRAP DRAWS") for note in notes)
    few = compare_judgements(*three[:2], metrics=("auroc",), draws=100, permutations=9)["notes"]
    assert [note for note in few if note.startswith("ONLY 9 PERMUTATIONS: no p can be below 0.1;")] == few
    assert "seen: NOT AN HONEST RESULT: 3 of the patients were used." in notes
    assert any(note.startswith("The manifests are not the same file") for note in notes)


def test_zero_shot_meets_a_classifier_on_the_findings_of_both(three: list[Judgement], tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "sentences", quality=0.8, task="zero-shot")
    import pandas as pd

    table = pd.read_parquet(folder / "predictions.parquet").drop(columns=["score.Effusion", "label.Effusion"])
    table.to_parquet(folder / "predictions.parquet")
    found = compare_judgements(three[0], open_judgement(folder), metrics=("auroc",), **FEW)
    assert found["metrics"]["auroc"]["categories"] == ["Mass", "Hernia"]
    assert "Not compared, since not all have it: Effusion (in q2.5)." in found["notes"]
    assert any("different tasks" in note for note in found["notes"])
    assert found["verdicts"][0].startswith("q2.5 is better than sentences: macro AUROC")


@pytest.mark.parametrize("task", ["segmentation", "grounding", "retrieval", "saliency"])
def test_items_of_every_task_are_compared(tmp_path: Path, task: str) -> None:
    judged = [
        open_judgement(write_folder(tmp_path / name, {"task": task}, items=items(shift)))
        for name, shift in (("good", 0.3), ("poor", 0.0))
    ]
    found = compare_judgements(*judged, **FEW)
    assert found["verdicts"][0].startswith(
        "good is better than poor: macro Dice, films with the finding differs by +0.3"
    )
    assert found["metrics"]["hd95_mm"]["pairs"][0]["macro"]["difference"]["value"] == pytest.approx(-6)
    assert found["metrics"]["dice_pooled"]["pairs"][0]["macro"]["permutation"] is None


def test_numbers_of_side_maps_are_compared_when_asked_for(tmp_path: Path) -> None:
    judged = [
        open_judgement(
            write_folder(
                tmp_path / name, {"task": "grounding"}, items=items(shift).assign(**{"value.miou@centre": 0.2 + shift})
            )
        )
        for name, shift in (("good", 0.3), ("poor", 0.0))
    ]
    assert "miou@centre" not in compare_judgements(*judged, **FEW)["metrics"]
    found = compare_judgements(*judged, metrics=("miou@centre",), **FEW)
    assert found["verdicts"][0].startswith("good is better than poor: macro mIoU, centre differs by +0.300")


def test_risks_and_boxes_are_compared(tmp_path: Path) -> None:
    risks = [
        open_judgement(write_folder(tmp_path / f"r{q}", survival_results(), subjects=subjects(q))) for q in (4.0, 0.1)
    ]
    assert compare_judgements(*risks, **FEW)["verdicts"][0].startswith("r4.0 is better than r0.1: Harrell's C differs")
    found = [
        open_judgement(write_folder(tmp_path / f"b{shift}", {"task": "detection"}, found=pair[0], truth=pair[1]))
        for shift in (0, 15)
        for pair in [boxes(shift)]
    ]
    text = compare_judgements(*found, metrics=("ap50",), **FEW)["verdicts"][0]
    assert text.startswith("b0 is better than b15: AP50 differs by +1.000 [+1.000, +1.000], bootstrap p = 0.0")


def test_one_patient_gives_no_interval_and_says_so(tmp_path: Path) -> None:
    judged = [
        open_judgement(write_folder(tmp_path / str(k), {"task": "retrieval"}, items=items(k, n=4))) for k in (0, 1)
    ]
    found = compare_judgements(*judged, metrics=("dice_positive",), **FEW)
    assert found["verdicts"][0].startswith("How sure cannot be said: macro Dice")
    assert found["verdicts"][0].endswith("one patient: no interval.")


def test_what_cannot_be_compared_is_refused(three: list[Judgement], tmp_path: Path) -> None:
    other = open_judgement(write_folder(tmp_path / "masks", {"task": "segmentation"}, items=items()))
    with pytest.raises(ConfigError, match=r"tasks differ \(q2.5: classification, masks: segmentation\)"):
        compare_judgements(three[0], other, **FEW)
    with pytest.raises(ConfigError, match="two results or more"):
        compare_judgements(three[0], **FEW)
    with pytest.raises(ConfigError, match="two results are called alike"):
        compare_judgements(three[0], three[0], **FEW)
    with pytest.raises(ConfigError, match=r"unknown metric 'auc'.*Did you mean 'auroc'"):
        compare_judgements(*three, metrics=("auc",), **FEW)
    with pytest.raises(ConfigError, match=r"margin: must be above 0, got -1"):
        compare_judgements(*three, margin=-1, **FEW)
    fewer = open_judgement(write_scores(tmp_path / "fewer", n=30))
    with pytest.raises(
        UserError, match=r"different films: 210 films only in q2.5 \('i0030', 'i0031', 'i0032', \.\.\.\)"
    ):
        compare_judgements(three[0], fewer, **FEW)
    renamed = open_judgement(
        write_folder(tmp_path / "named", {"task": "segmentation"}, items=items().assign(category="Fracture"))
    )
    with pytest.raises(UserError, match=r"no finding is in all of them \(masks: Mass, Nodule; named: Fracture\)"):
        compare_judgements(other, renamed, **FEW)


def test_nothing_defined_is_said_and_never_nan(tmp_path: Path) -> None:
    blank = items().assign(**{"value.dice_positive": np.nan})
    judged = [open_judgement(write_folder(tmp_path / str(k), {"task": "segmentation"}, items=blank)) for k in range(2)]
    found = compare_judgements(*judged, metrics=("dice_positive",), **FEW)
    assert found["verdicts"][0].startswith("0 and 1 cannot be compared by macro Dice, films with the finding")
    assert found["metrics"]["dice_positive"]["runs"][0]["rank"] is None
    assert "NaN" not in str(found).replace("nan", "NaN")
