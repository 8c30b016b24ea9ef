"""`hilum restore` as a library call: mask a split, restore it under every condition, judge the words, draw examples."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.evaluation.joint_space import films_to_read
from hilum.evaluation.restoration import (
    OWN,
    Records,
    accuracies,
    films_of_others,
    mask_records,
    masked_batches,
    restore_words,
    spell,
    word_table,
)
from hilum.manifest import Manifest
from hilum.methods.mrm import MRM
from hilum.reports import Reports, reports_of
from hilum.results.classification import plain, software_versions
from hilum.results.pictures import png
from hilum.results.reading import write_reading
from hilum.results.restoration import Example, Word, restoration_markdown, restoration_page, restoration_sheet
from hilum.run_folder import RunFolder
from hilum.schema import MASKED, TOKENS, Split
from hilum.transforms.text import Terms


@dataclass(frozen=True)
class Restoration:
    """What decides a restoration result."""

    split: Split = "test"
    views: tuple[str, ...] = ()
    mask_ratio: float | None = None  # share of hidden patches; None is the run's own
    terms: str | None = None  # a word list; None is our own
    reference: int = 2000  # training films, at most, whose mean stands for "no film in particular"
    examples: int = 4  # films on the sheet
    draws: int = 1000
    seed: int = 0  # of masks, examples and draws

    def __post_init__(self) -> None:
        for name in ("reference", "examples", "draws"):
            if getattr(self, name) < (name == "reference"):
                raise ConfigError(f"{getattr(self, name)} is too few", where=name, fix="Give a larger number")


def run_restoration(
    method: MRM,
    data: str,
    out: str,
    options: Restoration,
    *,
    report_alone: MRM | None = None,
    runner: Runner | None = None,
    command: str = "",
    source: str = "given",
) -> dict[str, Any]:
    """Judge how much of hidden reports comes back; writes results.html, .md, .json, words.parquet and restored.png.

    Args:
        method: trained with film and report.
        data: folder with a manifest that has reports.
        out: a new folder.
        options: what is asked.
        report_alone: a model trained without the film, with the same tokenizer.
        runner: device, batch size and so on.
        command: shown on the page.
        source: where the method came from, shown on the page.

    Returns:
        The results as plain JSON values.

    Raises:
        ConfigError: the runs cannot be used or compared, or a non-empty `out`.
        ManifestError: no films or reports, or one patient with most of them.
    """
    runner = runner or Runner()
    RunFolder(out)  # refuses a folder with something in it
    terms = Terms.english() if options.terms is None else Terms.read(options.terms)
    _check(method, report_alone)
    if options.mask_ratio is not None:
        method = copy.copy(method)  # the same weights under another rule
        method.config = replace(method.config, mask_ratio=options.mask_ratio)
    everything = Manifest.read(data)
    manifest, reports, silent = _with_reports(films_to_read(everything, options.split, options.views), method)
    for model in (method, report_alone):
        if model is not None:
            model.eval().to(runner.torch_device)
    records = mask_records(method, manifest, reports, runner, seed=options.seed)
    others = torch.from_numpy(films_of_others(records.patients, options.seed))
    mean, films = _mean_film(method, everything, options, runner)
    vectors = {
        OWN: records.vectors,
        "mean_film": mean.expand_as(records.vectors),
        "other_film": records.vectors[others],
    }
    restored = {name: restore_words(method, records, vector, runner) for name, vector in vectors.items()}
    if report_alone is not None:
        restored["report_alone"] = restore_words(report_alone, records, None, runner)
    table = word_table(records, restored, method.tokenizer, terms)
    resampling = {"draws": options.draws, "seed": options.seed}
    results = plain(
        {
            "task": "restoration",
            "conditions": list(restored),
            "masked_words": accuracies(table, list(restored), **resampling),
            "counts": {**_counts(records, method), "without_report": silent, "mean_of_films": films},
            "bootstrap": {"unit": "patient", "confidence": 0.95, **resampling},
            "versions": software_versions(),
            "notes": _notes(options, report_alone),
            "context": _context(method, data, everything, options, command, source),
        }
    )
    shown = _examples(method, records, restored[OWN], options, runner)
    write_reading(
        out,
        results,
        html=restoration_page(results, shown),
        markdown=restoration_markdown(results),
        tables={"words": table},
        pictures={"restored.png": png(restoration_sheet(shown))} if shown else {},
    )
    return dict(results)


def _check(method: MRM, report_alone: MRM | None) -> None:
    """Refuse a second run that saw films, or reads other words."""
    if report_alone is None:
        return
    if report_alone.report is None or report_alone.bridge is not None:
        what = "the run reads films too" if report_alone.report is not None else "the run has no report decoder"
        fix = "Train it with --set.image_vector_on=none"
        raise ConfigError(what, where="report_alone", fix=fix)
    if report_alone.tokenizer.digest != method.tokenizer.digest:
        fix = "Train it with --tokenizer of the first run"
        raise ConfigError("the two runs have different tokenizers", where="report_alone", fix=fix)
    if report_alone.config.text.positions < method.config.length:
        what = f"the run reads {report_alone.config.text.positions} pieces and the first {method.config.length}"
        raise ConfigError(what, where="report_alone", fix="Train it with the same length")


def _with_reports(manifest: Manifest, method: MRM) -> tuple[Manifest, Reports, int]:
    """The films that have a report, their reports, and how many have none."""
    present = reports_of(manifest, method.config.sections).present
    if not present.any():
        raise ManifestError("none of these films has a report", where=manifest.root, fix="Check --split and --views")
    chosen = Manifest(manifest.table.loc[present].reset_index(drop=True), manifest.root)
    return chosen, reports_of(chosen, method.config.sections), int((~present).sum())


def _mean_film(method: MRM, everything: Manifest, options: Restoration, runner: Runner) -> tuple[Tensor, int]:
    """The mean vector of training films with a report, masked as the others, and how many they are."""
    train = films_to_read(everything, "train", options.views)
    rows = np.random.default_rng(options.seed).permutation(len(train))[: options.reference]
    some = Manifest(train.table.iloc[np.sort(rows)].reset_index(drop=True), train.root)
    chosen, reports, _ = _with_reports(some, method)
    return mask_records(method, chosen, reports, runner, seed=options.seed).vectors.mean(dim=0), len(chosen)


def _counts(records: Records, method: MRM) -> dict[str, int]:
    length = method.config.length
    longer = [method.tokenizer.encode(text, length + 1).mask[-1] for text in dict.fromkeys(records.reports.texts)]
    return {
        "films": len(records),
        "patients": len(set(records.patients)),
        "reports": len(longer),
        "reports_cut_off": int(sum(longer)),
    }


def _notes(options: Restoration, report_alone: MRM | None) -> list[str]:
    notes = [
        "Words are hidden by the run's own rule; a word of several pieces is right if all of its hidden pieces are. "
        "Signs without a letter or digit are not counted.",
        "mean_film and other_film are the same model with another vector in the film's place; both see a vector that a "
        "model trained with films did not learn to do without.",
    ]
    if report_alone is None:
        notes.append(
            "No model trained on reports alone was given; mean_film stands in for one. Train one with "
            "--set.image_vector_on=none and give it as --report-alone."
        )
    if options.split == "train":
        notes.append("These films and reports were in the training.")
    return notes


def _context(
    method: MRM, data: str, manifest: Manifest, options: Restoration, command: str, source: str
) -> dict[str, Any]:
    chosen = {name: value for name, value in asdict(options).items() if name not in ("draws", "seed", "mask_ratio")}
    return {
        "title": f"Restored records of the {options.split} split of {Path(data).resolve().name}",
        "run": source,
        "data": data,
        "manifest_sha256": manifest.digest,
        "hidden_of_the_film": method.config.mask_ratio,
        "hidden_of_the_report": method.config.report_ratio,
        "hidden_at_once": method.config.report_masking,
        **chosen,
        "command": command,
    }


def _examples(
    method: MRM, records: Records, restored: np.ndarray, options: Restoration, runner: Runner
) -> list[Example]:
    """Films of different patients with their words and pictures, drawn by the seed."""
    rows = np.random.default_rng(options.seed).permutation(len(records))
    _, first = np.unique(records.patients[rows], return_index=True)
    chosen = np.sort(rows[np.sort(first)][: options.examples])
    if not len(chosen):
        return []
    wanted, found, start = set(chosen.tolist()), [], 0
    for batch in masked_batches(method, records.manifest, records.reports, runner, seed=options.seed):
        here = [row for row in range(start, start + len(batch[TOKENS])) if row in wanted]
        if here:
            places = torch.tensor([row - start for row in here], device=batch[TOKENS].device)
            some = {key: value[places] for key, value in batch.items() if isinstance(value, Tensor)}
            pictures = {name: value.mean(dim=1).cpu().numpy() for name, value in method.reconstruct(some).items()}
            for place, row in enumerate(here):
                drawn = {name: np.rint(value[place] * 255).astype(np.uint8) for name, value in pictures.items()}
                title = str(records.manifest.table["image_id"].iloc[row])
                found.append(Example(title, drawn, _words(method, records, restored, row)))
        start += len(batch[TOKENS])
    return found


def _words(method: MRM, records: Records, restored: np.ndarray, row: int) -> tuple[Word, ...]:
    """The words of one report in order: what they were, and what came back where they were hidden."""
    tokens, masked = records.batch[TOKENS][row].numpy(), records.batch[MASKED][row].numpy()
    words = []
    for number in range(int(records.words[row].max(initial=-1)) + 1):
        own = records.words[row] == number
        hidden = bool((own & masked).any())
        truth, guess = spell(method.tokenizer, tokens[own]), spell(method.tokenizer, restored[row][own])
        words.append(Word(truth, guess if hidden else None))
    return tuple(words)
