"""Carry out a plan in a run folder: train the detector, choose thresholds on validation, save it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from hilum import checkpoint as ckpt
from hilum.errors import DivergedError
from hilum.evaluation.detection.card import SHOWN_RATE
from hilum.evaluation.detection.found import find_boxes
from hilum.evaluation.detection.method import BEST, Detect, detection_method, validation
from hilum.evaluation.detection.model import DetectorRecord, TrainedDetector, describe
from hilum.evaluation.detection.plan import Plan
from hilum.evaluation.features import Runner
from hilum.evaluation.patients import write_patients
from hilum.evaluation.run import begin_run
from hilum.films import FilmStore
from hilum.labels import fraction_record
from hilum.metrics.detection.bootstrap import detection_points, macro_value
from hilum.metrics.detection.froc import threshold_at_rate
from hilum.metrics.detection.matching import rank
from hilum.metrics.detection.tables import read_scenes
from hilum.models.fill import fill
from hilum.run_folder import LOG, RunFolder
from hilum.trainer import TrainingFilms, fit, total_steps


def run_detection(plan: Plan, out: str | Path, *, resume: bool = False, runner: Runner | None = None) -> DetectorRecord:
    """Train as planned and leave `model/`, config, logs and the list of patients in `out`.

    Args:
        plan: from `make_plan`.
        out: the run folder, new or empty unless `resume`.
        resume: go on with an interrupted run, or return the record of a finished one.
        runner: device and loader processes.

    Returns:
        The detector's record with thresholds and validation AP50.

    Raises:
        ConfigError: the folder is not empty, or the resumed run was another one.
        DivergedError: the training came to nothing.
    """
    runner = runner or Runner()
    run = begin_run(plan.to_json(), out, resume=resume)
    handler = run.open_log()
    try:
        learned = fraction_record(
            plan.train.manifest, plan.options.fraction, plan.options.seed, shots=plan.options.shots
        )
        write_patients(run, learned, plan.val.manifest, sources=plan.record.origin["sources"])
        for note in plan.train.notes:
            LOG.info("%s", note)
        LOG.info("%d films to learn from, %d to choose by", len(plan.train), len(plan.val))
        method, step = _trained(plan, run, runner, resume)
        model = method.detector.to(runner.torch_device).eval()
        store = FilmStore(plan.val.manifest)
        found = find_boxes(model, plan.val, store, plan.preprocessing, runner, most=plan.record.most_found)
        record = _chosen(plan, found, step)
        TrainedDetector(model.cpu(), plan.preprocessing, record).save(run.path / "model")
        LOG.info("validation %s; the detector is in %s", record.headline, run.path / "model")
    finally:
        run.close_log(handler)
    return record


def _trained(plan: Plan, run: RunFolder, runner: Runner, resume: bool) -> tuple[Detect, int]:
    """The method with the weights of its best validation, and the step of that."""
    options = plan.options
    settings = options.training(len(plan.train), workers=runner.workers, device=runner.device)
    config = options.learning(plan.train)
    method = detection_method(plan.encoder, plan.preprocessing, plan.train, options.head(), config, seed=options.seed)
    LOG.info(
        "%d steps of %d films, peak learning rate %g, at most %d boxes a film",
        total_steps(settings, len(plan.train)),
        settings.batch_size,
        settings.peak_lr,
        method.detector.queries,
    )
    described = describe(method.detector.backbone.config, plan.preprocessing, plan.record)
    at = fit(
        method,
        TrainingFilms(FilmStore(plan.train.manifest), plan.train.image_ids, truth=plan.train),
        settings,
        run,
        describe=described | {"kind": "method", "method": "detect"},
        evaluators=(validation(plan.val, runner, most=plan.record.most_found),),
        keep_best=BEST,
        resume=resume,
    )
    if at.best is None:
        raise DivergedError("no finite boxes on validation films", where=run.path, fix="Lower the learning rate (--lr)")
    best = run.path / "checkpoints" / "best"
    weights, _ = ckpt.load_checkpoint(best)
    fill(method, weights, where=best)
    return method, int(at.best_step or 0)


def _chosen(plan: Plan, found: pd.DataFrame, step: int) -> DetectorRecord:
    """The record with what validation decided."""
    truth, findings = plan.val.truth(), plan.record.findings
    scenes, points = read_scenes(found, truth, findings), detection_points(found, truth, findings)
    thresholds, notes = {}, {}
    for number, finding in enumerate(findings):
        threshold = threshold_at_rate(rank(scenes, number), SHOWN_RATE)
        if threshold is None:
            notes[finding] = f"no score has at most {SHOWN_RATE:g} false positives an image on validation films"
            LOG.warning("%s: %s", finding, notes[finding])
        else:
            thresholds[finding] = threshold
    values = {name: macro_value(points[name]) for name in ("ap50", "ap", "ar")}
    by_finding = {finding: float(points["ap50"][number]) for number, finding in enumerate(findings)}
    assert not np.isnan(list(by_finding.values())).any()  # `make_plan` checked that every finding has a box
    of = {"films": len(plan.val), "patients": len(scenes.patients), "step": step, "ap50_of": by_finding}
    return replace(plan.record, thresholds=thresholds, threshold_notes=notes, validation={**values, **of})
