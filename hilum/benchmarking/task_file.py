"""The file that says what a benchmark measures: a list of tasks, and what is known of encoders that say little.

tasks:
  - name: findings              # how the page calls it
    data: /data/nih             # folder with a manifest; from the file's own folder where it is relative
    task: classify              # classify, survive, segment, detect or zero-shot
    labels: [Atelectasis, Effusion]
    mode: [frozen, finetune]    # one protocol each
    preset: {finetune: cxrbase-finetune}   # or one name for all modes
    options: {epochs: 20}       # fields of the task's options; {frozen: {...}} for one mode
    metric: auroc               # what ranks the encoders; the task's own first metric where omitted
    collection: nih-chestxray14 # whose films these are; found from `source` or the folder's name where omitted
encoders:                       # optional: facts that no file of the encoder says
  our-old-mae: {pretrained_on: [mimic-cxr], images: 377110, epochs: 400, hours: "90 GPU-hours"}
label_names:                    # optional, for --cross: data folder -> its name of a finding -> the common name
  shenzhen: {TB: Tuberculosis}

Paths are from the file's own folder where they are relative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from hilum.benchmarking.xray_collections import COLLECTIONS
from hilum.errors import ConfigError
from hilum.evaluation.tasks import TASKS
from hilum.lookup import unknown_name

ZERO_SHOT: Final = "zero-shot"  # asks the encoder as it is: no labels, no fractions, no seeds
TASK_KEYS: Final = ("name", "data", "task", "labels", "mode", "preset", "options", "metric", "collection", "views")
FACT_KEYS: Final = ("pretrained_on", "held_out", "images", "images_seen", "epochs", "hours", "starts_from", "public")
FILE_KEYS: Final = ("tasks", "encoders", "label_names")


@dataclass(frozen=True)
class BenchmarkTask:
    """One task under one protocol."""

    name: str
    data: str
    task: str  # a name of TASKS, or zero-shot
    mode: str | None = None  # frozen or finetune, for tasks that have both
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    collection: str | None = None
    also: Mapping[str, str] = field(default_factory=dict)  # further test sets: name -> data folder

    @property
    def key(self) -> str:
        """A name that no other task of the file has."""
        return self.name if self.mode is None else f"{self.name}, {self.mode}"

    @property
    def trained(self) -> bool:
        """Whether anything is learned, so that fractions and seeds mean something."""
        return self.task != ZERO_SHOT


@dataclass(frozen=True)
class TaskFile:
    """What a file says."""

    tasks: tuple[BenchmarkTask, ...]
    facts: Mapping[str, Mapping[str, Any]]  # encoder -> what is known of it
    label_names: Mapping[str, Mapping[str, str]]  # data folder -> its name -> common name


def read_task_file(path: str | Path) -> TaskFile:
    """Read and check a task file.

    Raises:
        ConfigError: not there, no YAML, a wrong key, a task or mode that does not exist, or two tasks of one name.
    """
    path = Path(path)
    said = _yaml(path)
    _known(said, FILE_KEYS, path, kind="entry")
    listed = said.get("tasks") or []
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        raise ConfigError("`tasks` is not a list of entries", where=path, fix="Begin each task with `- name: ...`")
    tasks = [task for entry in listed for task in _tasks_of(entry, path)]
    keys = [task.key for task in tasks]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"two tasks are called {key!r}", where=path, fix="Give each task its own name")
    facts = _mapping(said.get("encoders"), "encoders", path)
    for name, values in facts.items():
        _known(_mapping(values, f"encoders.{name}", path), FACT_KEYS, path, kind=f"fact of {name}")
    return TaskFile(tuple(tasks), facts, _mapping(said.get("label_names"), "label_names", path))


def _tasks_of(entry: Mapping[str, Any], path: Path) -> list[BenchmarkTask]:
    """One task a mode."""
    _known(entry, TASK_KEYS, path, kind="entry of a task")
    for key in ("name", "data", "task"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            what = f"a task has no `{key}`" if key == "name" else f"the task {entry.get('name')!r} has no `{key}`"
            raise ConfigError(what, where=path, fix="Each task needs name, data and task")
    if entry["task"] not in (*TASKS, ZERO_SHOT):
        raise unknown_name(entry["task"], [*TASKS, ZERO_SHOT], kind="task", where=f"{path}, {entry['name']}")
    if entry.get("collection") is not None and entry["collection"] not in COLLECTIONS:
        raise unknown_name(entry["collection"], list(COLLECTIONS), kind="collection", where=f"{path}, {entry['name']}")
    modes = _modes(entry, path)
    return [
        BenchmarkTask(
            name=entry["name"].strip(),
            data=str((path.parent / entry["data"]).resolve()),
            task=entry["task"],
            mode=mode,
            preset=_of_mode(entry.get("preset"), mode, modes),
            options=_options(entry, mode, modes, path),
            metric=entry.get("metric"),
            collection=entry.get("collection"),
        )
        for mode in modes
    ]


def _modes(entry: Mapping[str, Any], path: Path) -> list[str | None]:
    given = entry.get("mode")
    modes = [given] if isinstance(given, str) else list(given or [])
    for mode in modes:
        if mode not in ("frozen", "finetune"):
            raise unknown_name(str(mode), ["frozen", "finetune"], kind="mode", where=f"{path}, {entry['name']}")
    if entry["task"] == "classify" and not modes:
        preset = entry.get("preset")
        return [None] if isinstance(preset, str) else ["frozen"]  # a protocol of a paper says its own mode
    return list(modes) or [None]


def _options(entry: Mapping[str, Any], mode: str | None, modes: Sequence[str | None], path: Path) -> dict[str, Any]:
    values = dict(_mapping(_of_mode(entry.get("options"), mode, modes), f"options of {entry['name']}", path))
    for key in ("labels", "views"):
        if entry.get(key) is not None:
            given = entry[key]
            values[key] = (given,) if isinstance(given, str) else tuple(map(str, given))
    beside = {name: str((path.parent / value).resolve()) for name, value in values.items() if _is_file(value, path)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in {**values, **beside}.items()}


def _is_file(value: Any, path: Path) -> bool:
    """Whether an option names a file or folder beside the task file: masks, boxes, prompts."""
    return isinstance(value, str) and bool(value) and (path.parent / value).exists()


def _of_mode(given: Any, mode: str | None, modes: Sequence[str | None]) -> Any:
    """What holds for one mode: a mapping whose keys are modes is split, anything else holds for all."""
    if isinstance(given, Mapping) and given and set(given) <= {"frozen", "finetune"}:
        return given.get(mode)
    return given


def _yaml(path: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror})", where=path, fix="Give a task file to --tasks"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"is no YAML ({error})", where=path, fix="See docs/benchmark.md for an example") from error
    if not isinstance(said, dict):
        raise ConfigError("has no key `tasks` at its top", where=path, fix="See docs/benchmark.md for an example")
    return said


def _mapping(value: Any, name: str, path: Path) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"`{name}` is not a mapping", where=path, fix="Write name: value, one a line")
    return value


def _known(given: Mapping[str, Any], names: Sequence[str], path: Path, *, kind: str) -> None:
    for name in given:
        if name not in names:
            raise unknown_name(str(name), list(names), kind=kind, where=str(path))
