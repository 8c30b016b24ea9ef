"""Carry out a plan of `hilum adapt survive` in a run folder: train, choose where high risk begins, save the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hilum.evaluation.features import Runner
from hilum.evaluation.frozen import Source, head_logits
from hilum.evaluation.patients import write_patients
from hilum.evaluation.run import begin_run
from hilum.evaluation.survival.films import FollowedFilms
from hilum.evaluation.survival.inputs import risk_inputs
from hilum.evaluation.survival.model import RiskModel, RiskRecord, TrainedRisk
from hilum.evaluation.survival.plan import FULL_BATCH, Plan
from hilum.evaluation.survival.subjects import film_dates, one_row_a_subject
from hilum.evaluation.survival.threshold import risk_threshold
from hilum.heads.choose import choose_thresholds
from hilum.heads.grid import GridResult, train_grid
from hilum.heads.inputs import HeadInputs
from hilum.labels import fraction_record
from hilum.progress import ProgressBar
from hilum.run_folder import LOG, RunFolder
from hilum.schema import EVENT_PREFIX, TIME_PREFIX


def run_survival(plan: Plan, out: str | Path, *, resume: bool = False, runner: Runner | None = None) -> RiskRecord:
    """Train as planned and leave `model/`, config, logs and the list of patients in `out`.

    Args:
        plan: from `make_plan`.
        out: the run folder, new or empty unless `resume`.
        resume: go on with an interrupted run: features that were computed are kept, the heads start again.
        runner: device and loader processes.

    Returns:
        The model's record with thresholds and the validation value.

    Raises:
        ConfigError: the folder is not empty, or the resumed run was another one.
    """
    runner = runner or Runner()
    run = begin_run(plan.to_json(), out, resume=resume)
    handler = run.open_log()
    try:
        learned = fraction_record(plan.train.manifest, 1.0, plan.options.seed)
        write_patients(run, learned, plan.val.manifest, sources=plan.record.origin["sources"])
        for line in _what_is_known(plan):
            LOG.info(line)
        source = Source(runner, run.path / "features", plan.store, plan.options.token_memory)
        train, val = risk_inputs(plan.encoder, [plan.train.manifest, plan.val.manifest], plan.record, source)
        result = _train(plan, run, train, val)
        logits = head_logits(result.head, val, plan.options.training().batch_size)
        scores = plan.record.objective().scores(logits).numpy()
        record = _chosen(plan, result, scores)
        model = RiskModel(plan.encoder.model.cpu(), result.head, pool=record.pool).eval()
        TrainedRisk(model, plan.encoder.preprocessing, record).save(run.path / "model")
        for endpoint in record.endpoints:
            LOG.info(
                "%s: high risk from %.4g, %s", endpoint, record.thresholds[endpoint], record.threshold_notes[endpoint]
            )
        LOG.info("validation %s; the model is in %s", record.headline, run.path / "model")
    finally:
        run.close_log(handler)
    return record


def _train(plan: Plan, run: RunFolder, train: HeadInputs, val: HeadInputs) -> GridResult:
    settings, goal = plan.options.training(), plan.record.objective()
    targets = [torch.from_numpy(films.targets) for films in (plan.train, plan.val)]
    run.rewind_metrics(0)
    with ProgressBar("training heads", settings.epochs) as bar:

        def on_epoch(row: dict[str, float]) -> None:
            run.log_metrics({"step": int(row["epoch"]), **row})
            bar.advance(1, f"val {goal.name} {row[f'val/{goal.name}_best']:.4f}")

        return train_grid(
            plan.record.head,
            (train, targets[0]),
            (val, targets[1]),
            settings,
            objective=goal,
            config=plan.head_config(),
            on_epoch=on_epoch,
        )


def _chosen(plan: Plan, result: GridResult, scores: NDArray[np.float64]) -> RiskRecord:
    """The record with what validation decided."""
    record, val = plan.record, plan.val
    findings = len(record.findings)
    thresholds, notes, subjects = {}, {}, {}
    for endpoint, column in zip(record.endpoints, scores[:, findings:].T, strict=True):
        table = scored_table(val.manifest.table, endpoint, column, val)
        reduced = one_row_a_subject(table, record.reduce, dates=film_dates(table)).table
        time, event, score = (reduced[name].to_numpy(np.float64) for name in ("time", "event", "score"))
        thresholds[endpoint], notes[endpoint] = risk_threshold(
            score, time, event, plan.options.threshold, record.horizon
        )
        subjects[endpoint] = {"subjects": len(reduced), "events": int((event == 1).sum())}
    of_findings: dict[str, float] = {}
    if findings:
        of_findings, _ = choose_thresholds(val.targets[:, :findings], scores[:, :findings], record.findings)
    found = {
        "name": record.objective().name,
        "value": result.value,
        "films": len(val),
        "endpoints": subjects,
        "lr": result.lr,
        "epoch": result.epoch,
        "grid": result.table,
    }
    return replace(
        record, thresholds=thresholds, threshold_notes=notes, finding_thresholds=of_findings, validation=found
    )


def scored_table(table: pd.DataFrame, endpoint: str, scores: NDArray[np.float64], films: FollowedFilms) -> pd.DataFrame:
    """The films with follow-up for an endpoint: the table's columns, and score, time (days) and event."""
    time, event = films.followed(endpoint).T
    known = ~np.isnan(event)
    plain = table.drop(columns=[name for name in table if str(name).startswith((TIME_PREFIX, EVENT_PREFIX))])
    rows: pd.DataFrame = plain.assign(score=scores, time=time, event=event)[known].reset_index(drop=True)
    return rows


def _what_is_known(plan: Plan) -> list[str]:
    """What is learned from, what was left out, and how Cox's risk sets are formed; a line each."""
    options, lines = plan.options, []
    for split, films in (("train", plan.train), ("val", plan.val)):
        for endpoint, counts in films.counts(plan.record.horizon).items():
            lines.append(
                f"{endpoint}, {split}: {counts['films']} films, {counts['events']} with the event, "
                f"{counts['competing']} with a competing cause, {counts['censored']} censored; left out: "
                f"{counts['blank']} without follow-up, {counts['same_day']} that ended on the day of the film"
            )
            if options.form == "binary":
                at = counts["at_horizon"]
                lines.append(
                    f"{endpoint} within {plan.record.horizon:g} days, {split}: {at['yes']} yes, {at['no']} no; "
                    f"{at['lost']} were censored before and are unknown, not negative"
                )
    assert options.batch_size is not None
    if options.form == "cox":
        whole = options.batch_size >= len(plan.train)
        of = "all training films" if whole else f"batches of {options.batch_size} films (all fit up to {FULL_BATCH:,})"
        lines.append(f"Cox's risk sets are formed within {of}")
    return lines
