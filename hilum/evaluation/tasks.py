"""What an encoder can be adapted to: one table, so that a command, a benchmark and a recipe ask for all tasks alike.

Each task is four functions and a record of options: `make_plan(options)` checks everything before anything is written,
`run(plan, out, resume=, runner=)` trains, `judge(run, data, ...)` measures on films it has never seen; and the named
protocols of the papers are presets of its options.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from hilum.errors import ConfigError
from hilum.lookup import unknown_name


@dataclass(frozen=True)
class Task:
    """Where the parts of a task are: "module:attribute"."""

    options: str  # frozen dataclass
    presets: str  # name -> fields of it
    plan: str
    run: str
    judge: str
    kind: str  # of the trained model's config.json

    def part(self, name: str) -> Any:
        """The object behind one of the references."""
        module, attribute = getattr(self, name).split(":")
        return getattr(import_module(module), attribute)

    def make_options(self, preset: str | None, values: Mapping[str, Any]) -> Any:
        """Options of a protocol by name, with some of its fields replaced.

        Args:
            preset: a name of the task's presets, or None.
            values: option -> value, of those that were given.

        Raises:
            ConfigError: no such preset, or an option that the task does not have or that is missing.
        """
        options = self.part("options")
        presets: Mapping[str, Mapping[str, Any]] = {} if preset is None else self.part("presets")
        if preset is not None and preset not in presets:
            raise unknown_name(preset, list(presets), kind="preset")
        known = [field.name for field in fields(options)]
        for name in values:
            if name not in known:
                raise unknown_name(name, known, kind="option")
        named = {} if preset is None else {**presets[preset], "preset": preset}
        chosen = {**named, **values}
        for field in fields(options):
            if field.name not in chosen and field.default is MISSING and field.default_factory is MISSING:
                raise ConfigError("is needed", where=field.name, fix="Give it, or a preset that says it")
        return options(**chosen)

    @property
    def make_plan(self) -> Callable[..., Any]:
        """Options -> plan."""
        return self.part("plan")  # type: ignore[no-any-return]

    @property
    def carry_out(self) -> Callable[..., Any]:
        """(plan, out, resume=, runner=) -> a record whose `headline` is what validation says, in one line."""
        return self.part("run")  # type: ignore[no-any-return]

    @property
    def judge_run(self) -> Callable[..., Any]:
        """(run, data, split=, out=, ...) -> what has `folder`, `page`, `results` and `lines`."""
        return self.part("judge")  # type: ignore[no-any-return]


_SEGMENT, _DETECT, _SURVIVE = "hilum.evaluation.segmentation", "hilum.evaluation.detection", "hilum.evaluation.survival"
TASKS: Final[dict[str, Task]] = {
    "classify": Task(
        options="hilum.evaluation.adaptation:Options",
        presets="hilum.evaluation.protocols:PROTOCOLS",
        plan="hilum.evaluation.adaptation:make_plan",
        run="hilum.evaluation.run:run_adaptation",
        judge="hilum.evaluation.judge:judge",
        kind="classifier",
    ),
    "survive": Task(
        options=f"{_SURVIVE}.plan:Options",
        presets=f"{_SURVIVE}.plan:PRESETS",
        plan=f"{_SURVIVE}.plan:make_plan",
        run=f"{_SURVIVE}.run:run_survival",
        judge=f"{_SURVIVE}.judge:judge_risk",
        kind="survival",
    ),
    "segment": Task(
        options=f"{_SEGMENT}.plan:Options",
        presets=f"{_SEGMENT}.presets:PRESETS",
        plan=f"{_SEGMENT}.plan:make_plan",
        run=f"{_SEGMENT}.run:run_segmentation",
        judge=f"{_SEGMENT}.judge:judge_masks",
        kind="segmenter",
    ),
    "detect": Task(
        options=f"{_DETECT}.plan:Options",
        presets=f"{_DETECT}.presets:PRESETS",
        plan=f"{_DETECT}.plan:make_plan",
        run=f"{_DETECT}.run:run_detection",
        judge=f"{_DETECT}.judge:judge_boxes",
        kind="detector",
    ),
}


def task_named(name: str) -> Task:
    """The task of a name.

    Raises:
        ConfigError: with the names there are.
    """
    if name not in TASKS:
        raise unknown_name(name, list(TASKS), kind="task")
    return TASKS[name]


def task_of(source: str | Path) -> Task:
    """The task of a run of `hilum adapt`, or of its `model` folder; what is neither is left to the classifier's loader.

    Args:
        source: the folder.
    """
    for place, key in ((Path(source), "task"), (Path(source) / "model", "kind"), (Path(source), "kind")):
        try:
            said = json.loads((place / "config.json").read_text()).get(key)
        except (OSError, ValueError, AttributeError):
            continue
        for name, task in TASKS.items():
            if said == (name if key == "task" else task.kind):
                return task
    return TASKS["classify"]
