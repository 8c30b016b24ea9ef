"""From a shell to a table: what is missing, what is wrong, and a recipe of each paper."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hilum.commands.arguments import parse
from hilum.errors import ConfigError
from hilum.tables import TABLES
from hilum.tables.fill import fill_table, named_encoders
from tests.test_recipes import load

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes/tables").glob("*.py"))


def test_a_dry_run_writes_what_is_missing_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fill_table("maco-table-4", data=str(tmp_path), dry_run=True) == ""
    said = capsys.readouterr().out
    assert "MISSING ms-cxr/boxes.json" in said
    assert list(tmp_path.iterdir()) == []


def test_a_miniature_needs_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert fill_table("medim-table-2", out=str(out), miniature=True, device="cpu", draws=100) == str(out)
    assert "medim-table-2: 6 of 6 cells of 1 encoder" in capsys.readouterr().out
    assert (out / "results.md").is_file()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "mrm-table-9"}, "Did you mean 'mrm-table-"),
        ({"name": "mrm-table-1"}, "no folder to write to"),
        ({"name": "mrm-table-1", "out": "x"}, "no folder of data sets"),
        ({"name": "mrm-table-1", "encoders": ("mrm",)}, "is not NAME=PATH"),
    ],
)
def test_faults_are_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fill_table(**given)


def test_encoders_are_named_once() -> None:
    assert named_encoders(["a=x=y", "b=z"]) == {"a": "x=y", "b": "z"}
    with pytest.raises(ConfigError, match="named twice"):
        named_encoders(["a=x", "a=y"])


def test_every_paper_with_tables_has_a_recipe() -> None:
    assert {path.stem for path in RECIPES} == {name.split("-")[0] for name in TABLES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_states_what_it_takes(path: Path) -> None:
    module = load(path)
    for field in ("Paper", "Command", "Hardware", "Hours", "Expect"):
        assert re.search(rf"^{field}: \S", module.__doc__ or "", re.MULTILINE), field
    function = getattr(module, path.stem)
    assert inspect.getdoc(function)
    first = re.search(rf"recipes/tables/{path.stem}.py (\S+) --data", module.__doc__ or "")
    assert first is not None
    asked = parse(function, [first[1], "--data", "ROOT", "--out", "RUN", "--encoders", "a=x,b=y"])
    assert (asked["table"], asked["encoders"]) == (first[1], ("a=x", "b=y"))
    assert f"{path.stem}-{first[1]}" in TABLES


def test_a_recipe_runs_from_the_shell(tmp_path: Path) -> None:
    words = [sys.executable, str(RECIPES[-1]), "table-2", "--data", str(tmp_path), "--dry-run"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "things are missing" in done.stdout
    wrong = subprocess.run([*words[:2], "table-9", *words[3:]], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "unknown table 'mrm-table-9'. Did you mean 'mrm-table-" in wrong.stderr
    refused = subprocess.run([*words[:3], "--out", str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no folder of data sets is named" in refused.stderr
