"""The table of tasks: every entry is whole, presets are named options, and a run's folder says which task it is of."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from hilum.commands import adapt as commands
from hilum.errors import ConfigError
from hilum.evaluation.tasks import TASKS, task_named, task_of


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_whole(name: str) -> None:
    task = TASKS[name]
    options = task.part("options")
    assert is_dataclass(options)
    known = {field.name for field in fields(options)}
    assert {"encoder", "data", "preset", "seed", "weights", "views"} <= known
    for values in task.part("presets").values():
        assert set(values) <= known
    assert callable(task.make_plan)
    assert callable(task.carry_out)
    assert callable(task.judge_run)
    assert name in commands.TASKS


@pytest.mark.parametrize("name", TASKS)
def test_a_preset_is_a_start_and_what_is_given_comes_first(name: str) -> None:
    task = task_named(name)
    needed = {"encoder": "E", "data": "D"}
    needed |= {"endpoints": ("Death",)} if name == "survive" else {"labels": ("Mass",)}
    preset, values = next(iter(task.part("presets").items()))
    chosen = task.make_options(preset, {**needed, "seed": 7})
    assert (chosen.preset, chosen.seed, chosen.encoder) == (preset, 7, "E")
    for field, value in values.items():
        assert getattr(chosen, field) == value
    changed = next(field for field in values if isinstance(values[field], int | float | str))
    assert getattr(task.make_options(preset, {**needed, changed: "mine"}), changed) == "mine"
    with pytest.raises(ConfigError, match="unknown preset 'none of them'"):
        task.make_options("none of them", needed)
    with pytest.raises(ConfigError, match="unknown option 'colour'"):
        task.make_options(None, {**needed, "colour": 1})
    with pytest.raises(ConfigError, match="encoder: is needed"):
        task.make_options(None, {"data": "D", **{k: v for k, v in needed.items() if k not in ("encoder", "data")}})


def test_a_folder_says_its_task(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert task_of(tmp_path) is TASKS["classify"]  # whose loader says what is wrong
    for name, task in TASKS.items():
        (tmp_path / "model" / "config.json").write_text(json.dumps({"kind": task.kind}))
        assert task_of(tmp_path) is task
        assert task_of(tmp_path / "model") is task
        (tmp_path / "config.json").write_text(json.dumps({"task": name}))
        assert task_of(tmp_path) is task
        (tmp_path / "config.json").unlink()
    (tmp_path / "model" / "config.json").write_text("[]")
    assert task_of(tmp_path) is TASKS["classify"]
    with pytest.raises(ConfigError, match="Did you mean 'segment'"):
        task_named("segmant")
