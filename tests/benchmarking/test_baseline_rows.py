"""Baselines of a table: read from each task's own form, ordered, and the sentence where they are not beaten."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hilum.benchmarking.baseline_rows import baseline_rows, not_beaten
from hilum.benchmarking.leaderboard_page import as_markdown, as_page
from hilum.benchmarking.over_seeds import Standing
from hilum.benchmarking.run import describe, leaderboard, prepare, run_benchmark, summary
from hilum.benchmarking.work import DONE, FAILED, bears_baselines, state_of
from tests.benchmarking.conftest import Bench


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "reason": "" if value is not None else "no box"}


def standing(encoder: str, results: dict[str, Any], seeds: tuple[int, ...] = (0,)) -> Standing:
    runs = [SimpleNamespace(results=results if seed == 0 else {"macro": {}}) for seed in seeds]
    return cast(Standing, SimpleNamespace(encoder=encoder, seeds=seeds, runs=runs))


MASKS: dict[str, Any] = {
    "macro": {
        "dice_all": {
            "model": estimate(0.7),
            "blind": {
                "nothing": {"value": estimate(0.6, 0.5, 0.7), "difference": estimate(0.1, 0.0, 0.2)},
                "mean_mask": {"value": estimate(0.2, 0.1, 0.3), "difference": estimate(0.5, 0.4, 0.6)},
            },
        },
        "hd95_mm": {"model": estimate(12.0), "blind": {}},
    }
}
BOXES: dict[str, Any] = {
    "macro": {
        "model": {"ap50": estimate(0.5), "ar": estimate(0.4)},
        "baseline": {"ap50": estimate(0.1, 0.0, 0.2), "ar": estimate(None)},
        "difference": {"ap50": estimate(0.4, 0.3, 0.5)},
    }
}


def test_masks_are_read_in_their_own_form() -> None:
    rows = baseline_rows("segment", "dice_all", [standing("one", MASKS, (0, 1))])
    assert [(row["name"], row["title"], row["value"]) for row in rows] == [
        ("nothing", "nothing drawn", 0.6), ("mean_mask", "mean mask", 0.2),
    ]  # fmt: skip
    beside = {"encoder": "one", "seed": 0, "difference": estimate(0.1, 0.0, 0.2), "only_run": False}
    assert rows[0]["beside"] == beside
    assert baseline_rows("segment", "hd95_mm", [standing("one", MASKS)]) == []


def test_boxes_are_read_in_their_own_form() -> None:
    (row,) = baseline_rows("detect", "ap50", [standing("one", BOXES)])
    assert (row["name"], row["value"], row["high"], row["beside"]["only_run"]) == ("centre-prior", 0.1, 0.2, True)
    (row,) = baseline_rows("detect", "ar", [standing("one", BOXES)])
    assert (row["value"], row["reason"], row["beside"]["difference"]) == (None, "no box", None)
    assert not_beaten([{"encoder": "one", **estimate(0.4, 0.3, 0.5)}], [row]) is None
    assert baseline_rows("detect", "ap50", [standing("one", {"macro": {"model": {}}})]) == []  # judged without


def test_the_run_that_was_judged_with_all_of_them_is_read() -> None:
    """Drawing nothing stands beside every run, the mean mask only where it was asked for."""
    nothing = {"macro": {"dice_all": {"blind": {"nothing": MASKS["macro"]["dice_all"]["blind"]["nothing"]}}}}
    rows = baseline_rows("segment", "dice_all", [standing("one", nothing), standing("two", MASKS)])
    assert {row["beside"]["encoder"] for row in rows} == {"two"}
    assert len(rows) == 2
    assert baseline_rows("segment", "dice_all", [standing("one", MASKS, (1, 2))]) == []  # no run of seed 0
    assert baseline_rows("survive", "c_index", [standing("one", MASKS)]) == []


def test_the_sentence_where_baselines_are_not_beaten() -> None:
    rows = baseline_rows("segment", "dice_all", [standing("one", MASKS)])
    own, other = ({"encoder": name, **estimate(0.7, 0.62, 0.78)} for name in ("one", "two"))
    paired = not_beaten([own], rows)
    assert paired is not None  # the interval reaches 0
    assert "is not shown to beat" in paired
    assert paired.endswith(
        "nothing drawn has 0.600 [0.500, 0.700], the difference is +0.100 [+0.000, +0.200] (paired)."
    )
    unpaired = not_beaten([other], rows)
    width = math.hypot(0.08, 0.1)
    assert unpaired is not None
    assert f"+0.100 [−{width - 0.1:.3f}, +{0.1 + width:.3f}] (the two intervals taken as independent" in unpaired
    assert not_beaten([{"encoder": "two", **estimate(0.9, 0.85, 0.95)}], rows) is None
    worse = not_beaten([{"encoder": "two", **estimate(0.5)}], rows)
    assert worse is not None
    assert "does not beat" in worse
    assert "(without an interval)" in worse
    assert not_beaten([own], []) is None
    assert not_beaten([], rows) is None


def test_baselines_stand_under_every_table_as_the_judged_run_has_them(bench: Bench) -> None:
    page, text = as_page(bench.results), as_markdown(bench.results)
    for entry in bench.results["tasks"]:
        for table in entry["tables"]:
            folder = next(
                cell.folder(bench.out)
                for cell in bench.prepared.benchmark.cells()
                if (cell.task.key, cell.fraction, cell.encoder.name, cell.seed)
                == (entry["key"], table["fraction"], "one", 0)
            )
            said = json.loads((folder / "judged" / "results.json").read_text())["baselines"]
            assert set(said) == {"metadata", "hog"}
            assert len(table["baselines"]) == 2
            for row in table["baselines"]:
                assert row["value"] == said[row["name"]]["macro"]["auroc"]["value"]
                assert row["beside"]["difference"] == said[row["name"]]["macro"]["difference"]
                assert row["title"] in page
                assert f"| {row['title']} | {row['value']:.3f} | [" in text
            assert table["baselines"][0]["value"] >= table["baselines"][1]["value"]
            assert table["warning"] == not_beaten(table["rows"], table["baselines"])
            assert table["warning"] is None or table["warning"] in text
    assert "one, seed 0, minus this" in page
    assert "Best baseline" in page
    assert "baseline hog " in summary(bench.results)[0]


def test_once_a_table_and_not_for_every_cell(bench: Bench) -> None:
    cells = bench.prepared.benchmark.cells()
    beside = [cell for cell in cells if json.loads((cell.folder(bench.out) / DONE).read_text())["baselines"]]
    assert {(cell.encoder.name, cell.seed) for cell in beside} == {("one", 0)}
    assert len(beside) == 4  # two tasks at two shares
    assert not any(bears_baselines(cell, bench.prepared.benchmark, bench.out) for cell in cells)


def test_a_folder_of_before_opens_and_is_given_them_by_repeating(bench: Bench, tmp_path: Path) -> None:
    """Judged without baselines, by a version that knew none: no rows; the next call judges those cells alone again."""
    out = tmp_path / "out"
    shutil.copytree(bench.out, out)
    benchmark = bench.prepared.benchmark
    first = [cell for cell in benchmark.cells() if (cell.encoder.name, cell.seed) == ("one", 0)]
    for cell in first:
        judged = cell.folder(out) / "judged" / "results.json"
        results = json.loads(judged.read_text())
        del results["baselines"]
        judged.write_text(json.dumps(results))
    for cell in benchmark.cells():
        (cell.folder(out) / DONE).write_text('{"seconds": 1.0}')
    prepared = prepare(benchmark, out)
    before = leaderboard(prepared, command="hilum benchmark ...")
    assert all(table["baselines"] == [] for entry in before["tasks"] for table in entry["tables"])
    assert "Best baseline" not in as_page(before)
    assert "16 cells, 0 to do, 4 to judge again, with baselines" in describe(prepared)[-1]
    trained = {path: path.stat().st_mtime_ns for path in out.rglob("run/model/*")}
    said: list[str] = []
    after = run_benchmark(prepared, say=said.append, command="hilum benchmark ...")
    assert said == [cell.title for cell in first]
    assert after == bench.results
    assert trained
    assert {path: path.stat().st_mtime_ns for path in out.rglob("run/model/*")} == trained


def test_a_page_of_before_can_be_drawn(bench: Bench) -> None:
    results = json.loads(json.dumps(bench.results))
    for entry in results["tasks"]:
        for table in entry["tables"]:
            del table["baselines"], table["warning"]
    assert "minus this" not in as_page(results)
    assert "minus this" not in as_markdown(results)


def test_where_the_first_encoder_failed_the_next_one_bears_them(bench: Bench, tmp_path: Path) -> None:
    benchmark = bench.prepared.benchmark
    cells = [cell for cell in benchmark.cells() if cell.fraction == 1.0 and cell.task == benchmark.tasks[0]]
    assert [bears_baselines(cell, benchmark, tmp_path) for cell in cells] == [True, False, False, False]
    folder = cells[0].folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / FAILED).write_text('{"error": "no such luck"}')
    assert state_of(cells[0], tmp_path) == "failed"
    assert [bears_baselines(cell, benchmark, tmp_path) for cell in cells] == [False, True, False, False]
    crossed = replace(cells[1], task=replace(cells[1].task, also={"there": "/there"}))
    assert not bears_baselines(crossed, benchmark, tmp_path)


@pytest.mark.parametrize(("seeds", "words"), [(1, "one run"), (3, "mean over 3 runs")])
def test_runs_are_counted_in_words(bench: Bench, seeds: int, words: str) -> None:
    results = {**bench.results, "asked": {**bench.results["asked"], "seeds": seeds}}
    assert f"{words} each." in as_page(results)
    assert f"{words.capitalize()} [95 %" in as_markdown(results)
