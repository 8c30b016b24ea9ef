"""What stands on the leaderboard: places, the reference, corrected p, curves, findings, bins, failures."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.benchmarking.leaderboard import failures, mean_places, read_standings, task_entry
from hilum.benchmarking.run import leaderboard
from hilum.benchmarking.work import DONE, FAILED
from hilum.errors import ConfigError
from hilum.metrics.multiplicity import holm
from hilum.results.judgement import open_judgement
from tests.benchmarking.conftest import Bench


def test_every_table_is_ranked_and_compared_with_its_best(bench: Bench) -> None:
    for entry in bench.results["tasks"]:
        assert [table["fraction"] for table in entry["tables"]] == [0.5, 1.0]
        for table in entry["tables"]:
            values = [row["value"] for row in table["rows"]]
            assert values == sorted(values, reverse=True)
            first, second = table["rows"]
            assert (first["rank"], first["reference"], first["difference"], first["p"]) == (1, True, None, None)
            assert table["reference"] == first["encoder"]
            assert second["difference"]["value"] == pytest.approx(second["value"] - first["value"])
            assert 1 / 101 <= second["p"] <= 1
            assert second["holm"] == holm([None, second["p"]])[1]
            assert (second["test"], first["seeds"]) == ("permutation", [0, 1])


def test_a_value_is_the_mean_of_what_the_runs_say(bench: Bench) -> None:
    benchmark = bench.prepared.benchmark
    entry = bench.results["tasks"][0]
    row = next(row for row in entry["tables"][1]["rows"] if row["encoder"] == "one")
    said = [
        json.loads((cell.folder(bench.out) / "judged" / "results.json").read_text())["macro"]["auroc"]["value"]
        for cell in benchmark.cells()
        if (cell.task.key, cell.encoder.name, cell.fraction) == ("findings, frozen", "one", 1.0)
    ]
    assert len(said) == 2
    assert row["value"] == pytest.approx(np.mean(said), abs=1e-12)
    assert row["spread"] == pytest.approx(np.std(said, ddof=1), abs=1e-12)


def test_another_reference_turns_the_difference_round(bench: Bench) -> None:
    def tables(reference: str) -> list[dict[str, Any]]:
        benchmark = replace(bench.prepared.benchmark, reference=reference)
        found = leaderboard(replace(bench.prepared, benchmark=benchmark))["tasks"]
        return [table for entry in found for table in entry["tables"]]

    for one, two in zip(tables("one"), tables("two"), strict=True):
        gap = next(row for row in one["rows"] if row["encoder"] == "two")
        turned = next(row for row in two["rows"] if row["encoder"] == "one")
        assert gap["difference"]["value"] == pytest.approx(-turned["difference"]["value"])
        assert gap["p"] == turned["p"]


def test_another_metric_and_one_that_does_not_exist(bench: Bench) -> None:
    task = replace(bench.prepared.benchmark.tasks[0], metric="brier")
    benchmark = replace(bench.prepared.benchmark, tasks=(task,))
    found = read_standings(benchmark, task, bench.out)
    assert found is not None
    entry = task_entry(benchmark, found)
    values = [row["value"] for row in entry["tables"][0]["rows"]]
    assert values == sorted(values)  # small is good
    assert entry["tables"][0]["rows"][1]["test"] == "bootstrap"
    wrong = replace(task, metric="dice")
    with pytest.raises(ConfigError, match=r"unknown metric 'dice'.*auroc"):
        read_standings(replace(benchmark, tasks=(wrong,)), wrong, bench.out)


def test_curves_findings_bins_and_label_counts(bench: Bench) -> None:
    entry = bench.results["tasks"][0]
    curve = entry["curves"]["one"]
    values = [point["value"] for point in curve["points"]]
    assert curve["area"] == pytest.approx(sum(values) / 2)  # two points: the mean, however they are spaced
    assert set(entry["findings"]) == {"Mass", "Effusion"}
    assert entry["findings"]["Mass"]["n"] == 16
    members = [name for part in entry["bins"] for name in part["findings"]]
    assert sorted(members) == ["Effusion", "Mass"]
    counts = bench.results["labels"]["films"]["Mass"]
    assert sum(part["positive"] + part["negative"] + part["blank"] for part in counts.values()) == 80
    assert bench.results["tasks"][1]["bins"] == []  # one finding has no bins


def test_everything_is_plain_json_without_nan_or_paths(bench: Bench) -> None:
    text = (bench.out / "leaderboard.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(bench.results))
    assert str(bench.root) not in text
    assert not any(math.isnan(row["value"]) for entry in bench.results["tasks"] for row in entry["tables"][0]["rows"])


def test_missing_seeds_and_failed_cells_are_said(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(bench.out, out)
    benchmark, place = bench.prepared.benchmark, replace(bench.prepared.place, out=out)
    cells = [cell for cell in benchmark.cells() if cell.task == benchmark.tasks[0] and cell.encoder.name == "two"]
    for cell in cells:
        if cell.fraction == 0.5 or cell.seed == 1:
            (cell.folder(out) / DONE).unlink()
            (cell.folder(out) / FAILED).write_text('{"error": "no such luck"}')
    results = leaderboard(replace(bench.prepared, place=place))
    half, whole = results["tasks"][0]["tables"]
    assert (half["absent"], [row["encoder"] for row in half["rows"]]) == (["two"], ["one"])
    assert next(row for row in whole["rows"] if row["encoder"] == "two")["seeds"] == [0]
    assert failures(benchmark, out) == [
        {"cell": "findings, frozen: two", "which": "100 %, seed 1, 50 %, seed 0, 50 %, seed 1", "error": "no such luck"}
    ]
    assert results["places"][0]["tables"] == 3  # of the tables in which both stand


def test_results_on_other_films_are_a_problem_not_a_number(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(bench.out, out)
    benchmark = bench.prepared.benchmark
    cell = next(cell for cell in benchmark.cells() if cell.encoder.name == "two")
    import pandas as pd

    path = cell.folder(out) / "judged" / "predictions.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    found = read_standings(benchmark, cell.task, out)
    assert found is not None
    assert "judged on different films" in found.problems[0]
    assert len(open_judgement(path.parent).evidence.items) == 15


def test_mean_places_count_only_tables_where_all_stand() -> None:
    def table(**ranks: int | None) -> dict[str, Any]:
        return {"rows": [{"encoder": name, "rank": rank} for name, rank in ranks.items()]}

    entries = [{"tables": [table(a=1, b=2), table(a=2, b=1), table(a=1)]}, {"tables": [table(a=1, b=2)]}]
    assert mean_places(entries, ["a", "b"]) == [
        {"encoder": "a", "mean": pytest.approx(4 / 3), "tables": 3},
        {"encoder": "b", "mean": pytest.approx(5 / 3), "tables": 3},
    ]
    assert mean_places([], ["a"])[0]["mean"] is None
