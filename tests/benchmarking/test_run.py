"""The whole: a small benchmark in seconds, everything wrong refused before anything is written, the dry run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hilum.benchmarking.cells import Benchmark, read_encoders
from hilum.benchmarking.run import describe, prepare, summary
from hilum.benchmarking.task_file import BenchmarkTask
from hilum.errors import UserError
from tests.benchmarking.conftest import Bench, small_benchmark, write_films


def test_two_encoders_two_tasks_two_shares_two_seeds(bench: Bench) -> None:
    assert bench.results["cells"] == {"all": 16, "done": 16, "failed": 0}
    assert bench.seconds < 15
    for name in ("leaderboard.html", "leaderboard.md", "leaderboard.json"):
        assert (bench.out / name).is_file()
    lines = summary(bench.results)
    assert len(lines) == 4
    assert lines[0].startswith("findings, frozen, 50 % of labels, AUROC: ")


def test_the_dry_run_counts_cells_and_films(bench: Bench, tmp_path: Path) -> None:
    lines = describe(prepare(bench.prepared.benchmark, tmp_path / "new"))
    assert lines[0] == ("findings, frozen (classify, films: 48 train, 16 val, 16 test; learns from about 24, 48 films)")
    assert lines[1] == "  one: 4 cells, 4 to do; features once (mean, 80 films)"
    assert lines[-1].startswith("16 cells, 16 to do")
    assert not (tmp_path / "new").exists()
    assert "16 cells, 0 to do" in describe(prepare(bench.prepared.benchmark, bench.out))[-1]


def changed(bench: Bench, **changes: Any) -> Benchmark:
    return small_benchmark(bench.root, **changes)


def test_what_is_wrong_is_refused_before_anything_is_written(bench: Bench, tmp_path: Path) -> None:
    films = str(bench.root / "films")
    wrong: list[tuple[Benchmark, str]] = [
        (Benchmark(read_encoders(("a=/nowhere",)), bench.prepared.benchmark.tasks), "no such file or folder"),
        (
            Benchmark(
                bench.prepared.benchmark.encoders,
                (BenchmarkTask("a", films, "classify", options={"labels": ("Mas",)}),),
            ),
            "unknown finding 'Mas'.*Mass",
        ),
        (
            Benchmark(bench.prepared.benchmark.encoders, (BenchmarkTask("a", films, "classify", options={}),)),
            "labels",
        ),
        (
            Benchmark(
                bench.prepared.benchmark.encoders,
                (BenchmarkTask("a", films, "classify", preset="mrm-fintune", options={"labels": ("Mass",)}),),
            ),
            "unknown preset 'mrm-fintune'",
        ),
        (
            Benchmark(bench.prepared.benchmark.encoders, (BenchmarkTask("a", "/nowhere", "classify"),)),
            "no such file or folder",
        ),
        (changed(bench, facts={"three": {"epochs": 1}}), "facts of three.*no encoder"),
    ]
    for benchmark, match in wrong:
        with pytest.raises(UserError, match=match):
            prepare(benchmark, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"no part of a benchmark: thesis.txt"):
        prepare(bench.prepared.benchmark, tmp_path)
    with pytest.raises(UserError, match="is a file"):
        prepare(bench.prepared.benchmark, tmp_path / "thesis.txt")


def test_a_set_without_test_films_is_refused(bench: Bench, tmp_path: Path) -> None:
    root = write_films(tmp_path / "films", patients=10)
    table = pd.read_csv(root / "manifest.csv")
    table[table["split"] != "test"].to_csv(root / "manifest.csv", index=False)
    task = BenchmarkTask("a", str(root), "classify", options={"labels": ("Mass",)})
    with pytest.raises(UserError, match="has no test films"):
        prepare(Benchmark(bench.prepared.benchmark.encoders, (task,)), tmp_path / "out")
