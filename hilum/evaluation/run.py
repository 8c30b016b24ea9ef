"""Carry out an adaptation plan in a run folder: train, choose thresholds, save the classifier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum import checkpoint as ckpt
from hilum.errors import ConfigError, DivergedError
from hilum.evaluation.adaptation import Plan
from hilum.evaluation.classifier import Classifier, Record, TrainedClassifier, describe
from hilum.evaluation.features import Runner
from hilum.evaluation.finetune import BEST, LOWEST, classifier_scores, fine_tune_method, start_at_probe, validation
from hilum.evaluation.frozen import Source, train_frozen
from hilum.evaluation.patients import write_patients
from hilum.films import FilmStore
from hilum.heads.calibrate import calibrated, fit_calibration, unfitted
from hilum.heads.choose import choose_thresholds, macro_auroc
from hilum.heads.targets import probabilities
from hilum.labels import Unit, fraction_record
from hilum.models.fill import fill
from hilum.progress import ProgressBar
from hilum.run_folder import LOG, RunFolder
from hilum.trainer import TrainingFilms, fit, total_steps
from hilum.transforms.augmentations import FilmViews, augmentation


@dataclass(frozen=True)
class Trained:
    """What either protocol hands back."""

    classifier: Classifier
    val_scores: NDArray[np.float64]  # (N, K) probabilities on the validation films
    validation: dict[str, Any]  # where the best weights were found


def run_adaptation(plan: Plan, out: str | Path, *, resume: bool = False, runner: Runner | None = None) -> Record:
    """Train as planned and leave `model/`, config, logs and the list of patients in `out`.

    Args:
        plan: from `make_plan`.
        out: the run folder, new or empty unless `resume`.
        resume: go on with an interrupted run, or return the record of a finished one.
        runner: device and loader processes.

    Returns:
        The classifier's record with thresholds and validation AUROC.

    Raises:
        ConfigError: the folder is not empty, or the resumed run was another one.
    """
    runner = runner or Runner()
    run = begin_run(plan.to_json(), out, resume=resume)
    handler = run.open_log()
    try:
        write_patients(
            run,
            _learned(plan),
            plan.val.manifest,
            sources=plan.record.origin["sources"],
            second_round=plan.record.second_round != "none",
        )
        for line in plan.record.derived:
            LOG.info(line)
        LOG.info(
            "%s, %s: %d films to learn from, %d to choose by",
            plan.options.mode,
            plan.options.head,
            len(plan.train),
            len(plan.val),
        )
        trained = (
            _frozen(plan, run, runner) if plan.options.mode == "frozen" else _fine_tuned(plan, run, runner, resume)
        )
        record = _chosen(plan, trained)
        TrainedClassifier(trained.classifier, plan.encoder.preprocessing, record).save(run.path / "model")
        LOG.info("validation AUROC %.4f; the classifier is in %s", record.validation["auroc"], run.path / "model")
    finally:
        run.close_log(handler)
    return record


def begin_run(described: dict[str, Any], out: str | Path, *, resume: bool) -> RunFolder:
    """The run folder of an adaptation: new, with its plan in it, or the same run again.

    Raises:
        ConfigError: the folder is not empty, or the resumed run was another one.
    """
    run = RunFolder(out, resume=resume)
    if resume:
        check_same(described, run)
    else:
        run.start(described)
    return run


def _frozen(plan: Plan, run: RunFolder, runner: Runner) -> Trained:
    settings, second = plan.options.grid_settings(), plan.record.second_round
    rounds = 1 if second == "none" else 2
    named = "auroc" if settings.select == "auroc" else "negative_loss"
    run.rewind_metrics(0)
    with ProgressBar("training heads", rounds * settings.epochs) as bar:

        def on_epoch(row: dict[str, float]) -> None:
            run.log_metrics({"step": int(row["epoch"]), **row})
            bar.advance(1, f"val {named} {row[f'val/{named}_best']:.4f}")

        def on_second(row: dict[str, float]) -> None:
            step = settings.epochs + int(row["epoch"])
            run.log_metrics({"step": step, "epoch": step, "loss/second_round": row["loss"]})
            bar.advance(1, "second round, training and validation films")

        source = Source(
            runner, run.path / "features", plan.store, plan.options.token_memory, _views(plan), plan.options.seed
        )
        frozen = train_frozen(
            plan.encoder,
            plan.train,
            plan.val,
            plan.record,
            settings,
            source,
            on_epoch=on_epoch,
            on_second=on_second,
        )
    result = frozen.result
    found: dict[str, Any] = {"lr": result.lr, "epoch": result.epoch, "grid": result.table}
    if rounds == 2:
        found["second_round"] = {"films": len(plan.train) + len(plan.val), "epochs": settings.epochs, "start": second}
    return Trained(frozen.classifier, probabilities(frozen.val_logits, plan.record.targets).numpy(), found)


def _fine_tuned(plan: Plan, run: RunFolder, runner: Runner, resume: bool) -> Trained:
    options = plan.options
    settings = options.training(len(plan.train), workers=runner.workers, device=runner.device)
    config = options.fine_tuning(plan.train.targets)
    method = fine_tune_method(plan.encoder, plan.record, config, seed=options.seed)
    LOG.info(
        "%d steps of %d films, peak learning rate %g",
        total_steps(settings, len(plan.train)),
        settings.batch_size,
        settings.peak_lr,
    )
    if options.start == "probe" and not ckpt.checkpoints(run.path):
        auroc = start_at_probe(method, plan.train, plan.val, options.probe(), options.head, runner)
        LOG.info("the head starts at a frozen probe with validation AUROC %.4f", auroc)
    architecture = method.classifier.backbone.config
    at = fit(
        method,
        TrainingFilms(FilmStore(plan.train.manifest), plan.train.image_ids, plan.train.targets),
        settings,
        run,
        describe=describe(architecture, plan.encoder.preprocessing, plan.record)
        | {"kind": "method", "method": "finetune"},
        evaluators=(validation(plan.val, runner),),
        keep_best=BEST if options.select == "auroc" else LOWEST,
        keep_lowest=options.select == "loss",
        resume=resume,
    )
    if at.best is None:
        raise DivergedError(
            "no finite scores on validation films", where=run.path, fix="Lower the learning rate (--lrs)"
        )
    best = run.path / "checkpoints" / "best"
    weights, _ = ckpt.load_checkpoint(best)
    fill(method, weights, where=best)
    classifier = method.classifier.to(runner.torch_device).eval()
    scores = classifier_scores(
        classifier, FilmStore(plan.val.manifest), plan.encoder.preprocessing, options.targets, runner
    )
    return Trained(classifier.cpu(), scores, {"lr": settings.peak_lr, "step": at.best_step})


def _chosen(plan: Plan, trained: Trained) -> Record:
    """The record with what validation decided: calibration first, then thresholds of the scores users will see."""
    record, val, how = plan.record, plan.val, plan.options.calibrate
    calibration = fit_calibration(val.targets, trained.val_scores, how, record.targets)
    for finding, reason in unfitted(calibration, val.findings).items():
        LOG.warning("%s: not calibrated: %s", finding, reason)
    scores = calibrated(trained.val_scores, calibration, record.targets)
    auroc = macro_auroc(plan.val.targets, trained.val_scores)
    assert auroc is not None  # `make_plan` checked that a finding has both classes
    thresholds, notes = choose_thresholds(val.targets, scores, val.findings, record.threshold_rule)
    for finding, note in notes.items():
        LOG.warning("%s: %s", finding, note)
    patients = int(plan.val.manifest.table["patient_id"].nunique())
    found = {"auroc": auroc, "films": len(plan.val), "patients": patients, **trained.validation}
    return replace(record, calibration=calibration, thresholds=thresholds, threshold_notes=notes, validation=found)


def _views(plan: Plan) -> FilmViews | None:
    """What training films of a frozen encoder go through; None: nothing, so that they are encoded once."""
    options = plan.options
    assert options.augment is not None
    if options.augment == "none":
        return None
    return augmentation(options.augment, plan.encoder.preprocessing, options.augment_set)


def _learned(plan: Plan) -> dict[str, Any]:
    """Whose films teach, and how they were drawn."""
    options = plan.options
    assert options.fraction_seed is not None
    whole = options.shots is not None or options.fraction == 1
    unit: Unit = "patient" if whole else options.fraction_unit
    return fraction_record(plan.train.manifest, options.fraction, options.fraction_seed, unit=unit, shots=options.shots)


def check_same(plan: Mapping[str, Any], run: RunFolder) -> None:
    """Refuse to resume a run whose resolved configuration was another than `plan`."""
    before, now = run.config(), json.loads(json.dumps(plan))
    paths = ("data", "encoder", "features")  # may have moved: their digests decide
    changed = [key for key in now if key not in paths and before.get(key) != now[key]]
    if changed:
        raise ConfigError(
            f"differs from the run that is to be resumed: {', '.join(changed)}",
            where=run.path,
            fix="Repeat the first command with --resume, or start a new run in another --out",
        )
