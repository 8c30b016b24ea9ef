"""`hilum adapt TASK`: an encoder and films with labels, follow-up, masks or boxes to a model of that task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

TASKS: Final = {
    "classify": ("hilum.commands.adapt.classify:classify", "findings, one by one or as classes"),
    "survive": ("hilum.commands.adapt.survive:survive", "risk over time, from follow-up"),
    "segment": ("hilum.commands.adapt.segment:segment", "masks"),
    "detect": ("hilum.commands.adapt.detect:detect", "boxes"),
}
RUNNING: Final = ("out", "device", "workers", "resume", "dry_run", "preset")  # how a command runs, not what it learns


def adapt(task: str, **options: Any) -> str:
    """Train a model of a task on an encoder; OUT/model is the best one on validation.

    Args:
        task: classify findings, survive (risk over time), segment (masks) or detect (boxes).
        options: those of the task; `hilum adapt TASK --help` lists them.
    """
    from hilum.lookup import lookup, unknown_name

    command = lookup({name: target for name, (target, _) in TASKS.items()}, task, kind="task")
    known = inspect.signature(command).parameters
    for name in options:
        if name not in known:
            raise unknown_name(name, list(known), kind=f"option of adapt {task}")
    return str(command(**options))


def run_task(name: str, command: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """What every task's command does: options to plan, and the plan carried out, or only printed.

    Args:
        name: of the task.
        command: the command, whose defaults mean "not given".
        given: its arguments.
    """
    import json
    import shlex
    import sys

    from hilum.evaluation.features import Runner
    from hilum.evaluation.tasks import task_named

    task, defaults = task_named(name), inspect.signature(command).parameters
    values = {key: value for key, value in given.items() if key not in RUNNING and value != defaults[key].default}
    plan = task.make_plan(task.make_options(given.get("preset"), values))
    out = str(given["out"])
    if given["dry_run"]:
        sys.stdout.write(json.dumps(plan.to_json(), indent=2) + "\n")
        return out
    runner = Runner(device=given["device"], workers=given["workers"])
    record = task.carry_out(plan, out, resume=given["resume"], runner=runner)
    following = shlex.join(["hilum", "evaluate", out, "--data", str(given["data"])])
    sys.stdout.write(f"validation {record.headline}; next: {following}\n")
    return out
