"""The README's example runs as printed, and every command in it is one the parser takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hilum.cli import TASKS, VERBS, main
from hilum.commands.arguments import parse
from hilum.lookup import lookup
from tests.conftest import write_films

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_films(tmp_path / "DATA", films=20)
    words = ["pretrain", "mae", "--data=DATA", "--out=RUN", "--model=vit_tiny_patch16", "--size=64", "--max-steps=2"]
    shape = ['--set.vit={"depth": 1}', "--set.decoder_width=32", "--set.decoder_depth=1", "--set.decoder_heads=2"]
    assert main([*words, *shape, "--batch-size=8", "--probe=false"]) == 0
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 20
    names: dict[str, object] = {}
    exec(example, names)
    assert names["loss"].item() > 0  # type: ignore[attr-defined]


def test_the_commands_are_accepted_by_the_parser() -> None:
    table = {verb: target for verb, (target, _) in VERBS.items()}
    commands = [
        line.split("#")[0].strip()
        for block in blocks("bash")
        for line in block.splitlines()
        if line.startswith("hilum ")
    ]
    assert len(commands) >= 5
    for command in commands:
        verb, *words = shlex.split(command)[1:]
        if verb in TASKS:
            tasks = lookup(TASKS, verb, kind="command")
            target, *words = words
            assert parse(lookup({task: where for task, (where, _) in tasks.items()}, target, kind="task"), words)
        else:
            assert parse(lookup(table, verb, kind="command"), words)


def test_the_map_names_what_is_there() -> None:
    root = Path(__file__).resolve().parents[1]
    for name in re.findall(r"^  (\S+?/?)(?: |$)", README.split("```")[3], re.MULTILINE):
        assert (root / "hilum" / name).exists(), name
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (root / link).exists(), link
