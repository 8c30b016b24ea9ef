"""Carry out one job of a table: adapt an encoder by the paper's protocol, or ask it as it is, and judge it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from hilum.evaluation.features import Runner
from hilum.evaluation.ground import Grounding, judge_grounding
from hilum.evaluation.search import Retrieval, run_retrieval
from hilum.evaluation.tasks import task_named
from hilum.evaluation.zero_shot import ZeroShot, judge_zero_shot
from hilum.run_folder import write_atomic
from hilum.tables.data_set import MASK_TABLE
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.record import WITHOUT_TRAINING, Job

RUN, JUDGED, DONE = "run", "judged", "done.json"
ASKED: Final = {"zero-shot": ZeroShot, "ground": Grounding, "retrieve": Retrieval}

# What a miniature changes: how long, how wide and how exact, never which head, loss, optimiser or rule.
MINIATURE: Final[dict[str, dict[str, Any]]] = {
    "classify": {"epochs": 1, "batch_size": 16, "precision": "fp32"},
    "survive": {"epochs": 2, "horizon": 1825.0},
    "segment": {
        "steps": 2,
        "warmup_steps": 1,
        "evaluate_every": 2,
        "batch_size": 4,
        "precision": "fp32",
        "size": 64,
        "width": 16,
        "auxiliary_width": 8,
        "decoder": (16, 16, 8, 8),
    },
    "detect": {
        "steps": 2,
        "shots": 2,
        "batch_size": 4,
        "precision": "fp32",
        "size": 64,
        "head_set": {"width": 32, "heads": 2, "layers": 1, "feedforward": 64, "queries": 8},
    },
}
SMALL_HEADS: Final = {"glori": {"dim": 32, "heads": 4, "feedforward": 64}}
STEPS: Final = 2
LEAST_FRACTION: Final = 0.5  # of a miniature's few patients, so that both classes are among them
SHOTS: Final = 2


@dataclass(frozen=True)
class Place:
    """Where jobs are done and how."""

    root: Path  # of the data sets
    out: Path
    runner: Runner
    draws: int = 1000
    miniature: bool = False


def options_of(job: Job, encoder: str, data: str, seed: int, *, miniature: bool = False) -> Any:
    """The options a job is done with: the preset, the table's own fields over it, and what the data set gives.

    Args:
        job: of a table.
        encoder: folder or file.
        data: prepared folder.
        seed: of the run.
        miniature: with a fraction of the steps and pixels.
    """
    if job.task in WITHOUT_TRAINING:
        small = {"draws": 100, "examples": 0} if miniature else {}
        return ASKED[job.task](**_known(ASKED[job.task], {**job.options, **small, "seed": seed}))
    task, data_set = task_named(job.task), DATA_SETS[job.data]
    known = [field.name for field in fields(task.part("options"))]
    named = next((name for name in ("endpoints", "labels", "findings") if name in known), None)
    values: dict[str, Any] = {named: data_set.findings} if named in ("labels", "findings") else {}
    values |= {**job.options, "encoder": encoder, "data": data, "seed": seed}
    if job.task == "segment" and (Path(data) / MASK_TABLE).is_file():
        values["masks"] = str(Path(data) / MASK_TABLE)
    if miniature:
        values |= shrink(job, known)
    return task.make_options(job.preset, values)


def shrink(job: Job, known: list[str]) -> dict[str, Any]:
    """The fields that make a job a miniature."""
    values, given = _known_names(known, MINIATURE[job.task]), _given(job)
    if (head := given.get("head", "")) in SMALL_HEADS:
        values["head_set"] = {**given.get("head_set", {}), **SMALL_HEADS[head]}
    if "steps" in given:
        values["steps"] = STEPS
    if "fraction" in given:
        values["fraction"] = max(LEAST_FRACTION, float(given["fraction"]))
    if "shots" in given:
        values["shots"] = SHOTS
    return values


def do_job(job: Job, encoder: str, folder: Path, seed: int, place: Place) -> Path:
    """Train and judge, unless that is done; a run that was stopped goes on.

    Args:
        job: of a table.
        encoder: folder or file.
        folder: of this job, encoder and seed.
        seed: of the run.
        place: where the data lie, and how it is run.

    Returns:
        The judged folder.

    Raises:
        UserError: whatever the task finds wrong.
    """
    judged, run = folder / JUDGED, folder / RUN
    if (folder / DONE).is_file():
        return judged
    data, judged_on = str(place.root / job.data), str(place.root / job.judged)
    options = options_of(job, encoder, data, seed, miniature=place.miniature)
    shutil.rmtree(judged, ignore_errors=True)  # stopped between two files
    folder.mkdir(parents=True, exist_ok=True)
    if job.task == "zero-shot":
        judge_zero_shot(encoder, data, str(judged), options, runner=place.runner)
    elif job.task == "ground":
        judge_grounding(encoder, data, str(judged), options, runner=place.runner)
    elif job.task == "retrieve":
        run_retrieval(encoder, data, str(judged), options, runner=place.runner)
    else:
        task = task_named(job.task)
        if not (run / "model" / "config.json").is_file():
            resume = (run / "config.json").is_file()
            if not resume:
                shutil.rmtree(run, ignore_errors=True)  # stopped before it had begun
            task.carry_out(task.make_plan(options), run, resume=resume, runner=place.runner)
        fewer = {"baselines": ()} if place.miniature else {}
        task.judge_run(str(run), judged_on, out=str(judged), draws=place.draws, runner=place.runner, **fewer)
    write_atomic(folder / DONE, "{}\n")
    return judged


def _given(job: Job) -> dict[str, Any]:
    """Fields that the preset and the table give."""
    presets: Mapping[str, Mapping[str, Any]] = {} if job.preset is None else task_named(job.task).part("presets")
    return {**presets.get(job.preset or "", {}), **job.options}


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return _known_names([field.name for field in fields(kind)], values)


def _known_names(known: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in known}
