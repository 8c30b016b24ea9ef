"""Train by a plan and export the encoder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from hilum import checkpoint as ckpt
from hilum.config import FREE_ON_RESUME, to_json
from hilum.distributed import process_rank, shut_down
from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.films import FilmStore
from hilum.pretraining.initialise import initialise_from, initialise_text_from
from hilum.pretraining.load import load_method
from hilum.pretraining.plan import Plan
from hilum.reports import reports_of
from hilum.run_folder import LOG, RunFolder
from hilum.trainer import Evaluator, TrainingFilms, fit

# what a resumed run must share with its beginning
IDENTITY = (
    "method", "manifest_sha256", "views", "where", "data_fraction", "reports", "method_config", "settings", "init",
    "init_text",
)  # fmt: skip


def run_pretraining(plan: Plan, out: str | Path, *, resume: bool = False, probe: bool = True) -> Path:
    """Train and export the encoder.

    Returns:
        The run folder; `encoder/` in it is what `hilum.load` reads.
    """
    first = process_rank() == 0
    run = RunFolder(out, resume=resume, follower=not first)
    if resume:
        _check_same(plan, run)
    torch.manual_seed(plan.settings.seed)
    method = plan.build()
    starting = not (resume and ckpt.checkpoints(run.path))
    started = _initialise(method, plan) if starting else ()  # weights that do not fit leave no folder behind
    if first and not resume:
        run.start(plan.to_json())
        if plan.reading is not None:
            plan.reading.tokenizer.save(run.path / ckpt.TOKENIZER)
    handler = run.open_log()
    began = time.monotonic()
    try:
        for line in started:
            LOG.info("%s", line)
        films = FilmStore(plan.manifest)
        ids = plan.manifest.table["image_id"].tolist()
        LOG.info("%s on %d films of %d patients", plan.method, len(ids), plan.manifest.table["patient_id"].nunique())
        for line in plan.counts:
            LOG.info("%s", line)
        describe = {"kind": "method", "method": plan.method, "config": to_json(plan.method_config)}
        evaluators = _evaluators(plan, method, run, probe=probe)
        reports = plan.reading.reports if plan.reading is not None else None
        at = fit(
            method,
            TrainingFilms(films, ids, reports=reports),
            plan.settings,
            run,
            describe=describe,
            evaluators=evaluators,
            resume=resume,
        )
        if first:
            _export(plan, run, at.step, hours=(time.monotonic() - began) / 3600)
    finally:
        shut_down()
        run.close_log(handler)
    return run.path


def _initialise(method: Any, plan: Plan) -> tuple[str, ...]:
    """Weights from elsewhere, where the plan names them; what was used, for the log."""
    lines = initialise_from(method, plan.init) if plan.init is not None else ()
    return (*lines, *(initialise_text_from(method, plan.init_text) if plan.init_text is not None else ()))


def _evaluators(plan: Plan, method: Any, run: RunFolder, *, probe: bool) -> list[Evaluator]:
    """What looks at the method at every checkpoint."""
    chosen: list[Evaluator] = []
    if hasattr(method, "reconstruct"):
        from hilum.evaluation.sheets import reconstruction_sheets

        reports = reports_of(plan.labelled, plan.method_config.sections) if plan.reading is not None else None
        folder = run.path / "sheets"
        chosen.append(reconstruction_sheets(plan.labelled, folder, reports=reports, seed=plan.settings.seed))
    if getattr(getattr(method, "towers", None), "position", None) is not None:
        from hilum.evaluation.weight_maps import weight_maps

        chosen.append(weight_maps(run.path / "weight_maps"))
    if probe:
        from hilum.evaluation.online import online_probe

        chosen.append(online_probe(plan.labelled, seed=plan.settings.seed))
    return chosen


def _export(plan: Plan, run: RunFolder, step: int, *, hours: float) -> None:
    """Write `encoder/` from the last checkpoint, from its moving average where there is one."""
    last = ckpt.checkpoints(run.path)[-1]
    method = load_method(last)
    if plan.settings.ema_decay is not None:
        method.backbone.load_state_dict(dict(ckpt.load_resume(last).average))
    origin = {
        "method": plan.method,
        "preset": plan.preset,
        "variant": plan.variant,
        "films": len(plan.manifest),
        "patients": int(plan.manifest.table["patient_id"].nunique()),
        "sources": ", ".join(sorted(set(plan.manifest.table["source"]) - {""}))
        if "source" in plan.manifest.table
        else "",
        "manifest_sha256": plan.manifest.digest,
        "init": plan.init,
        "init_text": plan.init_text,
        "steps": step,
        "batch_size": plan.settings.batch_size,
        "hours_of_last_session": round(hours, 3),
        "average": plan.settings.ema_decay,
        "seed": plan.settings.seed,
    }
    towers = getattr(method, "towers", None)
    tokenizer = method.tokenizer if towers is not None else None
    model = getattr(method, "encoder", method.backbone)  # dinov2 leaves its mask token behind
    Encoder(model, method.preprocessing, origin, towers=towers, tokenizer=tokenizer).save(run.path / "encoder")


def _check_same(plan: Plan, run: RunFolder) -> None:
    """A resumed run must compute what it began; only where and how it runs may change."""
    before, now = run.config(), plan.to_json()
    for key in IDENTITY:
        old, new = before.get(key), now[key]
        if key == "settings":
            old = {k: v for k, v in (old or {}).items() if k not in FREE_ON_RESUME}
            new = {k: v for k, v in new.items() if k not in FREE_ON_RESUME}
        if old != new:
            inside = ", ".join(k for k in new if (old or {}).get(k) != new[k]) if isinstance(new, dict) else ""
            changed = f"{key} ({inside})" if inside else key
            raise ConfigError(
                f"differs from the run that is to be resumed: {changed}",
                where=run.path,
                fix="Repeat the first command with --resume, or start a new run in another --out",
            )
