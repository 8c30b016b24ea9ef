"""What a pretraining run will do, resolved and checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from hilum.config import TrainSettings, override, to_json
from hilum.errors import ConfigError, ManifestError
from hilum.manifest import Manifest
from hilum.manifest.share import share_of_patients
from hilum.manifest.where import select_where
from hilum.methods import build, reads_reports, table_of
from hilum.pretraining.reading import Reading, read_training_reports
from hilum.trainer import total_steps


@dataclass(frozen=True)
class Plan:
    """Everything that decides a pretraining run."""

    method: str
    preset: str | None
    variant: str | None
    method_config: Any  # the method's own frozen Config
    settings: TrainSettings
    data: str
    manifest: Manifest  # the films trained on
    labelled: Manifest  # all films of the views asked for, for the online probe
    views: tuple[str, ...]
    where: tuple[str, ...]
    data_fraction: float
    init: str | None
    init_text: str | None
    reading: Reading | None  # reports and tokenizer, for methods that read
    counts: tuple[str, ...] = ()  # films that each condition left, and what became of the reports

    def to_json(self) -> dict[str, Any]:
        """The resolved configuration, as stored in the run folder."""
        return {
            "verb": "pretrain",
            "method": self.method,
            "preset": self.preset,
            "variant": self.variant,
            "data": self.data,
            "manifest_sha256": self.manifest.digest,
            "films": len(self.manifest),
            "patients": int(self.manifest.table["patient_id"].nunique()),
            "steps": total_steps(self.settings, len(self.manifest)),
            "views": list(self.views),
            "where": list(self.where),
            "data_fraction": self.data_fraction,
            "init": self.init,
            "init_text": self.init_text,
            "counts": list(self.counts),
            "reports": self.reading.to_json() if self.reading is not None else None,
            "method_config": to_json(self.method_config),
            "settings": to_json(self.settings),
        }

    def build(self) -> Any:
        """The method, with fresh weights."""
        return build(self.method, self.method_config, self.reading.tokenizer if self.reading is not None else None)


def make_plan(
    method: str,
    data: str,
    *,
    preset: str | None = None,
    variant: str | None = None,
    method_options: Mapping[str, Any],
    settings: Mapping[str, Any],
    views: Sequence[str] = (),
    where: Sequence[str] = (),
    data_fraction: float = 1.0,
    init: str | None = None,
    init_text: str | None = None,
    tokenizer: str | None = None,
    vocabulary: int = 30000,
) -> Plan:
    """Resolve names, presets and overrides, and check all that can be checked before anything is written.

    Args:
        method: a name of METHODS.
        data: folder with a manifest.
        preset: a name of the method's PRESETS; the method's own where omitted.
        variant: a name of the method's VARIANTS, laid over the preset.
        method_options: fields of the method's Config, laid over both.
        settings: fields of TrainSettings, laid over the method's own defaults (its SETTINGS).
        views: view positions to keep.
        where: conditions on manifest columns, as of `select_where`.
        data_fraction: share of the training patients in (0, 1]; smaller shares lie inside larger ones.
        init: where the backbone starts.
        init_text: a BERT folder where the report encoder starts.
        tokenizer: a tokenizer file or BERT folder; the one of `init_text`, or one trained on the reports, if omitted.
        vocabulary: most entries of a tokenizer that is trained.

    Raises:
        ConfigError: an unknown name or value.
        ManifestError: no training films, files that are missing, or no reports for a method that reads them.
    """
    config = _method_config(method, preset, variant, method_options)
    own = table_of(method, "SETTINGS").get(variant or "hilum", {})
    resolved = override(TrainSettings(), {**own, **settings}, where="settings")
    everything = Manifest.read(data).select(views=list(views) or None)
    counts: list[str] = []
    if where:
        everything, counts = select_where(everything, where)
    films = everything.select(split="train")
    if not len(films) and not (everything.table["split"] != "").any():
        films = everything  # no splits at all: an archive without labels, every film may be learned from
    if not len(films):
        asked = [f"views {','.join(views)}"] * bool(views) + list(where)
        raise ManifestError(
            f"no training films{' with ' if asked else ''}{' and '.join(asked)}",
            where=data,
            fix="Check the columns split and view_position, --views or --where",
        )
    if data_fraction != 1.0:
        films, kept = share_of_patients(films, data_fraction, resolved.seed)
        counts.append(f"{data_fraction:.4g} of the training patients: {kept:,} patients, {len(films):,} films")
    reading = None
    if reads_reports(method):
        films, reading = read_training_reports(films, config, tokenizer or init_text, vocabulary=vocabulary)
        counts += reading.notes
    elif init_text or tokenizer:
        raise ConfigError(f"{method} reads no reports", where="--init-text, --tokenizer", fix="Leave them out")
    with torch.device("meta"):  # an architecture that cannot be built is refused here, for free
        build(method, config, reading.tokenizer if reading is not None else None)
    films.check_files()
    return Plan(
        method, preset, variant, config, resolved, data, films, everything, tuple(views), tuple(where), data_fraction,
        init, init_text, reading, tuple(counts),
    )  # fmt: skip


def _method_config(method: str, preset: str | None, variant: str | None, options: Mapping[str, Any]) -> Any:
    """Preset, then variant, then single options."""
    presets = table_of(method, "PRESETS")
    if preset is not None and preset not in presets:
        known = ", ".join(presets)
        raise ConfigError(f"unknown preset {preset!r} of {method}", where="--preset", fix=f"Known: {known}")
    config = presets[preset or method]
    if variant is not None:
        variants = table_of(method, "VARIANTS")
        if variant not in variants:
            known = ", ".join(variants) or "none"
            raise ConfigError(f"unknown variant {variant!r} of {method}", where="--variant", fix=f"Known: {known}")
        config = override(config, variants[variant], where=f"variant {variant}")
    config = override(config, options, where="--set")
    _ = config.backbone  # a model that cannot be is refused before any data is read
    return config
