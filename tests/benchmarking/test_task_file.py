"""The task file: modes split, paths from its folder, wrong keys and names refused with the right ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.benchmarking.task_file import read_task_file
from hilum.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    (folder / "tasks.yaml").write_text(text)
    return folder / "tasks.yaml"


def test_a_task_of_two_modes_is_two_tasks(tmp_path: Path) -> None:
    text = """
tasks:
  - {name: a, data: films, task: classify, labels: [Mass, Edema], mode: [frozen, finetune], views: PA,
     preset: {finetune: cxrbase-finetune}, options: {frozen: {epochs: 3}, finetune: {epochs: 1}}}
  - {name: b, data: /elsewhere, task: classify, labels: Mass, preset: medim-probe}
  - {name: c, data: films, task: zero-shot, collection: rsna, metric: auprc}
encoders:
  old: {pretrained_on: [mimic-cxr], epochs: 4}
label_names:
  films: {TB: Tuberculosis}
"""
    file = read_task_file(written(tmp_path, text))
    assert [task.key for task in file.tasks] == ["a, frozen", "a, finetune", "b", "c"]
    first, second, third, last = file.tasks
    assert first.options == {"epochs": 3, "labels": ("Mass", "Edema"), "views": ("PA",)}
    assert (first.preset, second.preset, second.options["epochs"]) == (None, "cxrbase-finetune", 1)
    assert first.data == str(tmp_path / "films")
    assert third.data == "/elsewhere"
    assert (third.mode, third.options["labels"]) == (None, ("Mass",))  # the protocol says its own mode
    assert (last.trained, last.collection, last.metric) == (False, "rsna", "auprc")
    assert file.facts["old"]["epochs"] == 4
    assert file.label_names["films"] == {"TB": "Tuberculosis"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "has no key `tasks`"),
        ("- {name: a, data: d, task: classify}", "has no key `tasks`"),
        ("tasks: [", "is no YAML"),
        ("tasks: 3", "not a list"),
        ("jobs: []", "unknown entry 'jobs'.*tasks"),
        ("tasks: [{data: d, task: classify}]", "no `name`"),
        ("tasks: [{name: a, task: classify}]", "'a' has no `data`"),
        ("tasks: [{name: a, data: d, task: clasify}]", "unknown task 'clasify'.*classify"),
        ("tasks: [{name: a, data: d, task: classify, mode: forzen}]", "unknown mode 'forzen'.*frozen"),
        ("tasks: [{name: a, data: d, task: classify, colour: red}]", "unknown entry of a task 'colour'"),
        ("tasks: [{name: a, data: d, task: classify, collection: nihh}]", "unknown collection 'nihh'"),
        ("tasks: [{name: a, data: d, task: detect}, {name: a, data: d, task: segment}]", "two tasks are called 'a'"),
        ("encoders: {mae: {hour: 3}}", "unknown fact of mae 'hour'.*hours"),
        ("encoders: [mae]", "`encoders` is not a mapping"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        read_task_file(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_task_file(tmp_path / "none.yaml")
