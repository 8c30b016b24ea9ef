"""The command: one of three questions, refused where it makes no sense, and what the shell is told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import hilum
from hilum.cli import main
from hilum.errors import ConfigError
from tests.benchmarking.conftest import Bench, Crossed


def words(bench: Bench) -> list[str]:
    encoders = f"one={bench.root / 'one'},two={bench.root / 'two'}"
    return [
        "benchmark", "--encoders", encoders, "--tasks", str(bench.root / "tasks.yaml"), "--fractions", "0.5,1",
        "--seeds", "2", "--draws", "100", "--permutations", "100",
    ]  # fmt: skip


def test_the_shell_goes_on_with_a_benchmark(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    shutil.copytree(bench.out, out)
    assert main([*words(bench), "--out", str(out), "--dry-run"]) == 0
    assert "16 cells, 0 to do" in capsys.readouterr().out
    assert main([*words(bench), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "mass alone, finetune, 100 % of labels, AUROC: " in said
    assert said.strip().endswith("leaderboard.html")


def test_the_shell_prints_the_matrix(crossed: Crossed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ",".join(str(crossed.root / name) for name in ("here", "there"))
    asked = ["benchmark", "--encoders", f"one={crossed.root / 'one'}", "--cross", sets, "--out", str(tmp_path / "out")]
    assert main([*asked, "--seeds", "1", "--dry-run"]) == 0
    assert "trained on here, frozen (classify, here: 36 train, 12 val, 12 test" in capsys.readouterr().out
    assert main([*asked, "--seeds", "1", "--labels", "Fluid"]) == 2
    assert "'Fluid' is not labelled in two sets" in capsys.readouterr().err


def test_the_dry_run_of_a_table_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--table", "mrm-table-1", "--data", str(tmp_path), "--dry-run"]) == 0
    assert "MISSING chexpert/manifest.parquet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"out": "x"}, "needs one of --tasks, --cross and --table, not none"),
        ({"out": "x", "table": "mrm-table-1", "cross": ("a", "b")}, "not cross and table"),
        ({"cross": ("a", "b")}, "needs a folder"),
        ({"table": "mrm-table-one", "out": "x"}, "unknown table 'mrm-table-one'.*mrm-table-1"),
        ({"table": "mrm-table-1", "out": "x", "encoders": ("runs/a",)}, "'runs/a' has no name"),
        ({"table": "mrm-table-1", "dry_run": True}, "needs the folder of the data sets"),
        ({"cross": ("a", "b"), "out": "x", "fractions": (0.1, 1.0)}, "one share of labels"),
        ({"tasks": "none.yaml", "out": "x"}, "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        hilum.benchmark(**options)
