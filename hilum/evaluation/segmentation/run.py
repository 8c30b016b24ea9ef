"""Carry out a plan of `hilum adapt segment` in a run folder: train, choose where masks begin, save the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hilum import checkpoint as ckpt
from hilum.errors import DivergedError
from hilum.evaluation.features import Runner
from hilum.evaluation.patients import write_patients
from hilum.evaluation.run import begin_run
from hilum.evaluation.segmentation.choose import HALF, Cut, choose_cut
from hilum.evaluation.segmentation.method import LOSS, segment_method, sweep_films, validation
from hilum.evaluation.segmentation.model import SegmenterRecord, TrainedSegmenter, describe
from hilum.evaluation.segmentation.plan import SELECT, Plan
from hilum.films import FilmStore
from hilum.labels import fraction_record
from hilum.metrics.segmentation import dice_all, dice_positive
from hilum.models.fill import fill
from hilum.run_folder import LOG, RunFolder
from hilum.trainer import TrainingFilms, fit, total_steps

EVALUATION_BATCH = 16  # films a forward pass on validation films: maps are large


def run_segmentation(
    plan: Plan, out: str | Path, *, resume: bool = False, runner: Runner | None = None
) -> SegmenterRecord:
    """Train as planned and leave `model/`, config, logs and the list of patients in `out`.

    Args:
        plan: from `make_plan`.
        out: the run folder, new or empty unless `resume`.
        resume: go on with an interrupted run, or return the record of a finished one.
        runner: device and loader processes.

    Returns:
        The model's record with thresholds and the validation value.

    Raises:
        ConfigError: the folder is not empty, or the resumed run was another one.
        DivergedError: no checkpoint has a finite validation value.
    """
    runner = runner or Runner()
    runner = replace(runner, batch_size=min(runner.batch_size, EVALUATION_BATCH))
    run = begin_run(plan.to_json(), out, resume=resume)
    handler = run.open_log()
    try:
        learned = fraction_record(plan.train.manifest, plan.options.fraction, plan.options.seed)
        write_patients(run, learned, plan.val.manifest, sources=plan.record.origin["sources"])
        for split, films in (("learn from", plan.train), ("choose by", plan.val)):
            said = ", ".join(f"{name} {masks} with a mask, {empty} without" for name, (masks, empty) in _counts(films))
            LOG.info("%d films to %s: %s", len(films), split, said)
        for note in plan.train.masks.notes:
            LOG.warning(note)
        trained, value, step = _train(plan, run, runner, resume)
        record = _chosen(plan, trained, value, step, runner)
        TrainedSegmenter(trained.model.cpu(), trained.preprocessing, record).save(run.path / "model")
        LOG.info("validation %s; the segmenter is in %s", record.headline, run.path / "model")
    finally:
        run.close_log(handler)
    return record


def _train(plan: Plan, run: RunFolder, runner: Runner, resume: bool) -> tuple[TrainedSegmenter, float, int]:
    """The weights that were best on validation films, their value and their step."""
    options = plan.options
    settings = options.training(len(plan.train), workers=runner.workers, device=runner.device)
    method = segment_method(
        plan.encoder,
        len(options.labels),
        options.head_config(),
        options.settings(),
        preprocessing=plan.preprocessing,
        drop_path=options.drop_path,
        layer_scale=options.layer_scale,
        decoder=plan.decoder,
        seed=options.seed,
    )
    if options.head == "medim":
        LOG.info("the decoder starts %s", "fresh" if plan.decoder is None else "as pretraining left it")
    steps = total_steps(settings, len(plan.train))
    LOG.info("%d steps of %d films, peak learning rate %g", steps, settings.batch_size, settings.peak_lr)
    described = describe(method.segmenter.backbone.config, plan.preprocessing, plan.record)
    films = plan.train
    at = fit(
        method,
        TrainingFilms(FilmStore(films.manifest), films.image_ids, truth=films.masks),
        settings,
        run,
        describe={**described, "kind": "method", "method": "segment"},
        evaluators=(validation(plan.val, runner),),
        keep_best=SELECT[options.select],
        keep_lowest=SELECT[options.select] == LOSS,
        resume=resume,
    )
    if at.best is None or at.best_step is None:
        what = f"validation never had the number that chooses ({SELECT[options.select]})"
        fix = "If the loss is not finite, lower --lr; if masks vanish at this --size, raise it, or --select all"
        raise DivergedError(what, where=run.path, fix=fix)
    best = run.path / "checkpoints" / "best"
    weights, _ = ckpt.load_checkpoint(best)
    fill(method, weights, where=best)
    return TrainedSegmenter(method.segmenter.eval(), plan.preprocessing, plan.record), at.best, at.best_step


def _chosen(plan: Plan, trained: TrainedSegmenter, value: float, step: int, runner: Runner) -> SegmenterRecord:
    """The record with what validation decided."""
    sweep = sweep_films(trained, plan.val, runner)
    given = plan.options.threshold == "given"
    cuts = {name: Cut(HALF) if given else choose_cut(sweep, k) for k, name in enumerate(plan.record.findings)}
    notes = {name: cut.note for name, cut in cuts.items() if cut.note}
    for name, cut in cuts.items():
        LOG.info("%s: drawn from %g, at least %g %% of the film", name, cut.threshold, 100 * cut.area)
    findings: dict[str, Any] = {}
    for k, (name, cut) in enumerate(cuts.items()):
        pixels = sweep.at(k, cut.threshold, cut.area)
        positive = dice_positive(pixels)[pixels.true > 0]
        findings[name] = {
            "dice_positive": float(positive.mean()) if positive.size else None,
            "dice_all": float(dice_all(pixels).mean()),
        }
    found = {
        "name": SELECT[plan.options.select].removeprefix("val/").replace("_", " "),
        "value": value,
        "step": step,
        "films": len(plan.val),
        "patients": int(plan.val.manifest.table["patient_id"].nunique()),
        "findings": findings,
    }
    return replace(
        plan.record,
        thresholds={name: cut.threshold for name, cut in cuts.items()},
        areas={name: cut.area for name, cut in cuts.items()},
        threshold_notes=notes,
        validation=found,
    )


def _counts(films: Any) -> list[tuple[str, tuple[int, int]]]:
    return list(films.counts().items())
