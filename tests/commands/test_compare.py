"""`hilum compare` from the shell: what it writes, prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.cli import main
from tests.results.judged_folders import write_scores


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        str(write_scores(tmp_path / name / "evaluate-test-01", quality=q).parent) for name, q in (("a", 2), ("b", 1))
    ]
    out = tmp_path / "with space"
    words = ["compare", *runs, "--out", str(out), "--draws", "100", "--permutations", "100", "--metrics", "auroc,auprc"]
    assert main([*words, "--names", "mine,theirs", "--margin", "0.05"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("mine is better than theirs: macro AUROC differs by +0.")
    assert str(out / "results.html") in said
    results = json.loads((out / "results.json").read_text())
    assert list(results["metrics"]) == ["auroc", "auprc"]
    assert results["context"]["command"].startswith("hilum compare")
    assert (out / "results.md").is_file()
    assert main([*words]) == 2  # the folder is not empty any more
    assert "with space" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--names", "one"], "names: 1 names for 2 runs"),
        (["--metrics", "dice"], "unknown metric 'dice'"),
        (["--margin", "0"], "margin: must be above 0"),
        (["--draws", "-4"], "draws: must be 1 or more, not -4"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str) -> None:
    runs = [str(write_scores(tmp_path / name, n=30)) for name in "ab"]
    assert main(["compare", *runs, "--out", str(tmp_path / "out"), "--draws", "5", *more]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "results.json").exists()


def test_one_run_is_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(write_scores(tmp_path / "a", n=30)), "--out", str(tmp_path / "out")]) == 2
    assert "a comparison needs two results or more" in capsys.readouterr().err
