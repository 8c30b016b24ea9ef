"""From a manifest to a pretrained encoder: what `hilum pretrain` does, as a library call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hilum import checkpoint as ckpt
from hilum.config import FREE_ON_RESUME, TrainSettings, override, to_json
from hilum.distributed import process_rank, shut_down
from hilum.encoder import Encoder, load
from hilum.errors import ConfigError, ManifestError
from hilum.films import FilmStore
from hilum.lookup import lookup
from hilum.manifest import Manifest
from hilum.methods import METHODS
from hilum.models.fill import fill
from hilum.models.positions import resize_table
from hilum.run_folder import LOG, RunFolder
from hilum.trainer import Evaluator, TrainingFilms, fit, total_steps


@dataclass(frozen=True)
class Plan:
    """Everything that decides a pretraining run, resolved and checked."""

    method: str
    preset: str | None
    method_config: Any  # the method's own frozen Config
    settings: TrainSettings
    data: str
    manifest: Manifest  # the films trained on
    labelled: Manifest  # all films of the views asked for, for the online probe
    views: tuple[str, ...]
    init: str | None

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration, as stored in the run folder."""
        return {
            "verb": "pretrain",
            "method": self.method,
            "preset": self.preset,
            "data": self.data,
            "manifest_sha256": self.manifest.digest,
            "films": len(self.manifest),
            "patients": int(self.manifest.table["patient_id"].nunique()),
            "steps": total_steps(self.settings, len(self.manifest)),
            "views": list(self.views),
            "init": self.init,
            "method_config": to_json(self.method_config),
            "settings": to_json(self.settings),
        }


def make_plan(
    method: str,
    data: str,
    *,
    preset: str | None,
    method_options: Mapping[str, Any],
    settings: Mapping[str, Any],
    views: Sequence[str],
    init: str | None,
) -> Plan:
    """Resolve names, presets and overrides, and check all that can be checked before anything is written.

    Raises:
        ConfigError: an unknown name or value.
        ManifestError: no training films, or files that are missing.
    """
    module = lookup(METHODS, method, kind="method").__module__
    presets = lookup({"presets": f"{module}:PRESETS"}, "presets", kind="table")
    if preset is not None and preset not in presets:
        raise ConfigError(
            f"unknown preset {preset!r} of {method}", where="--preset", fix=f"Known: {', '.join(presets)}"
        )
    config = override(presets[preset or method], method_options, where="--set")
    resolved = override(TrainSettings(), settings, where="settings")
    with torch.device("meta"):
        lookup(METHODS, method, kind="method")(config)  # an architecture that cannot be built is refused here, for free
    everything = Manifest.read(data).select(views=list(views) or None)
    films = everything.select(split="train")
    if not len(films) and not (everything.table["split"] != "").any():
        films = everything  # no splits at all: an archive without labels, every film may be learned from
    if not len(films):
        raise ManifestError(
            f"no training films{' with views ' + ','.join(views) if views else ''}",
            where=data,
            fix="Check the columns split and view_position, or --views",
        )
    films.check_files()
    return Plan(method, preset, config, resolved, data, films, everything, tuple(views), init)


def run_pretraining(plan: Plan, out: str | Path, *, resume: bool = False, probe: bool = True) -> Path:
    """Train and export the encoder.

    Returns:
        The run folder; `encoder/` in it is what `hilum.load` reads.
    """
    first = process_rank() == 0
    run = RunFolder(out, resume=resume, follower=not first)
    if resume:
        _check_same(plan, run)
    elif first:
        run.start(plan.to_json())
    handler = run.open_log()
    began = time.monotonic()
    try:
        torch.manual_seed(plan.settings.seed)
        method = lookup(METHODS, plan.method, kind="method")(plan.method_config)
        if plan.init is not None and not (resume and ckpt.checkpoints(run.path)):
            for line in initialise_from(method, plan.init):
                LOG.info("%s", line)
        films = FilmStore(plan.manifest)
        ids = plan.manifest.table["image_id"].tolist()
        LOG.info("%s on %d films of %d patients", plan.method, len(ids), plan.manifest.table["patient_id"].nunique())
        describe = {"kind": "method", "method": plan.method, "config": to_json(plan.method_config)}
        evaluators = _evaluators(plan, run, probe=probe)
        at = fit(
            method,
            TrainingFilms(films, ids),
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


def initialise_from(method: Any, source: str) -> tuple[str, ...]:
    """Start a method from other weights: a released file its own way, one of our encoders by its backbone.

    Returns:
        What was used and what was not, a line each, for the log.

    Raises:
        CheckpointError: the weights do not fill the whole backbone; nothing has changed then.
    """
    path = Path(source)
    if path.is_file():
        lines: tuple[str, ...] = method.start_from(path)
        return (f"start from {path.name}, sha256 {ckpt.file_digest(path)}", *lines)
    encoder = load(path)
    weights, backbone = encoder.model.state_dict(), method.backbone
    weights["pos_embed"] = resize_table(
        weights["pos_embed"],
        encoder.model.config.grid,
        backbone.config.grid,
        prefix=int(backbone.config.class_token),
        rule=encoder.model.config.position_resize,
    )
    fill(backbone, weights, where=path)
    return (f"start from the encoder {source}: {len(weights)} tensors",)


def _evaluators(plan: Plan, run: RunFolder, *, probe: bool) -> list[Evaluator]:
    chosen: list[Evaluator] = []
    if hasattr(lookup(METHODS, plan.method, kind="method"), "reconstruct"):
        from hilum.evaluation.sheets import reconstruction_sheets

        chosen.append(reconstruction_sheets(plan.labelled, run.path / "sheets", seed=plan.settings.seed))
    if probe:
        from hilum.evaluation.online import online_probe

        chosen.append(online_probe(plan.labelled, seed=plan.settings.seed))
    return chosen


def _export(plan: Plan, run: RunFolder, step: int, *, hours: float) -> None:
    """Write `encoder/` from the last checkpoint, from its moving average where there is one."""
    last = ckpt.checkpoints(run.path)[-1]
    weights, _ = ckpt.load_checkpoint(last)
    method = lookup(METHODS, plan.method, kind="method")(plan.method_config)
    method.load_state_dict(weights)
    if plan.settings.ema_decay is not None:
        method.backbone.load_state_dict(dict(ckpt.load_resume(last).average))
    origin = {
        "method": plan.method,
        "preset": plan.preset,
        "films": len(plan.manifest),
        "patients": int(plan.manifest.table["patient_id"].nunique()),
        "sources": ", ".join(sorted(set(plan.manifest.table["source"]) - {""}))
        if "source" in plan.manifest.table
        else "",
        "manifest_sha256": plan.manifest.digest,
        "init": plan.init,
        "steps": step,
        "batch_size": plan.settings.batch_size,
        "hours_of_last_session": round(hours, 3),
        "average": plan.settings.ema_decay,
        "seed": plan.settings.seed,
    }
    Encoder(method.backbone, method.preprocessing, origin).save(run.path / "encoder")


def _check_same(plan: Plan, run: RunFolder) -> None:
    """A resumed run must compute what it began; only where and how it runs may change."""
    before, now = run.config(), plan.to_json()
    for key in ("method", "manifest_sha256", "views", "method_config", "settings", "init"):
        old, new = before.get(key), now[key]
        if key == "settings":
            old = {k: v for k, v in (old or {}).items() if k not in FREE_ON_RESUME}
            new = {k: v for k, v in new.items() if k not in FREE_ON_RESUME}
        if old != new:
            changed = key if not isinstance(new, dict) else ", ".join(k for k in new if (old or {}).get(k) != new[k])
            raise ConfigError(
                f"differs from the run that is to be resumed: {changed}",
                where=run.path,
                fix="Repeat the first command with --resume, or start a new run in another --out",
            )
