"""Score findings that nobody labelled: sentences instead of a head, judged like any classifier.

The scores go the same way as those of `hilum adapt`: a table of predictions, patient-level intervals, one results
page. What differs is said on the page: no label was used, so the only threshold is 0.5, where both sentences are
equally near. Thresholds of the largest F1 can be chosen on the validation split, which does use its labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hilum.encoder import load
from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.joint_space import JointEncoder, film_vectors, films_to_read, split_notes, text_vectors
from hilum.evaluation.predict import COHORT
from hilum.heads.choose import choose_thresholds
from hilum.heads.prompt_file import Prompts, read_prompts, shipped_prompts
from hilum.heads.zero_shot import Scoring, class_vector, pair_probability
from hilum.labels import LabelPolicy, check_findings, targets_of
from hilum.manifest import Manifest
from hilum.results import classification_results, write_results
from hilum.run_folder import RunFolder
from hilum.schema import LABEL_PREFIX, Split


@dataclass(frozen=True)
class ZeroShot:
    """What decides a zero-shot result."""

    prompts: str = "findings"  # a file, or the name of one that comes with the package
    labels: tuple[str, ...] = ()  # findings to score; () takes every labelled finding that has prompts
    scoring: Scoring = "chexzero"
    thresholds: Literal["none", "validation"] = "none"
    policy: str = "ignore"  # uncertain labels
    split: Split = "test"
    views: tuple[str, ...] = ()
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Scored:
    """What scoring gave: the numbers, the predictions they come from, and where they were written."""

    folder: Path
    page: Path
    results: dict[str, Any]
    predictions: pd.DataFrame


def judge_zero_shot(
    encoder: str | JointEncoder,
    data: str,
    out: str,
    options: ZeroShot,
    *,
    also: Sequence[str | JointEncoder] = (),
    runner: Runner | None = None,
    command: str = "",
) -> Scored:
    """Score a split by sentences and write results.html, .md, .json and predictions.parquet.

    Args:
        encoder: a run or encoder folder with a text tower, or the encoder itself.
        data: folder with a manifest that has label columns.
        out: a new folder.
        options: what is asked.
        also: more encoders, whose probabilities are averaged with the first one's (CheXzero: ten checkpoints of a run).
        runner: device, batch size and so on.
        command: shown on the page.

    Raises:
        ConfigError: a broken prompts file, no finding with prompts, a name that does not exist, or a non-empty `out`.
        CheckpointError: the encoder has no text tower.
        ManifestError: no films, or no labels.
    """
    runner, policy = runner or Runner(), LabelPolicy.parse(options.policy)
    RunFolder(out)  # refuses a folder with something in it
    prompts, everything = read_prompts(options.prompts), Manifest.read(data)
    findings, notes = findings_to_score(everything, prompts, options.labels)
    chosen = films_to_read(everything, options.split, options.views)
    loaded = [load(one) if isinstance(one, str) else one for one in (encoder, *also)]
    table = zero_shot_predictions(loaded, chosen, findings, prompts, options.scoring, policy, runner)
    thresholds: dict[str, float | None] = dict.fromkeys(findings)
    if options.thresholds == "validation":
        val = films_to_read(everything, "val", options.views)
        held = zero_shot_predictions(loaded, val, findings, prompts, options.scoring, policy, runner)
        labels, scores = (held[[f"{kind}.{name}" for name in findings]].to_numpy() for kind in ("label", "score"))
        best, said = choose_thresholds(labels, scores, findings)
        thresholds, notes = dict(best), [*notes, *(f"{name}: {why}." for name, why in said.items())]
    results = classification_results(
        table,
        thresholds=thresholds,
        draws=options.draws,
        seed=options.seed,
        context={**_context(loaded, (encoder, *also), data, everything, prompts, options), "command": command},
        task="zero-shot",
        in_depth=True,
    )
    results["notes"] = [*notes, *_standing_notes(options, policy), *results["notes"]]
    page = write_results(Path(out), results, table)["html"]
    return Scored(Path(out), page, results, table)


def findings_to_score(manifest: Manifest, prompts: Prompts, labels: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The findings that have labels and prompts, and a sentence on each that is left out.

    Raises:
        ConfigError: a label that the manifest does not have, or nothing is left.
    """
    if labels:
        check_findings(manifest, labels)
    wanted = tuple(labels) or manifest.findings
    kept = tuple(name for name in wanted if name in prompts)
    if not kept:
        shown = ", ".join(wanted) or "none: the manifest has no label column"
        raise ConfigError(
            f"has no prompts for any of the findings asked for ({shown})",
            where=f"prompts {prompts.name}",
            fix=f"Write sentences for them, or choose from: {', '.join(prompts.findings)}",
        )
    notes = []
    if without := [name for name in wanted if name not in prompts]:
        notes.append(f"Left out, since the prompts file has no sentences for it: {', '.join(without)}.")
    unused = [name for name in prompts.findings if name not in manifest.findings]
    if unused and not labels and prompts.name not in shipped_prompts():
        notes.append(f"The prompts file speaks of {', '.join(unused)}, which the manifest has no labels for.")
    return kept, notes


def zero_shot_predictions(
    encoders: Sequence[JointEncoder],
    manifest: Manifest,
    findings: Sequence[str],
    prompts: Prompts,
    scoring: Scoring,
    policy: LabelPolicy,
    runner: Runner,
) -> pd.DataFrame:
    """One row an image: ids, cohort columns, `label.<Finding>` (1, 0, blank) and `score.<Finding>`.

    A score is a probability, the mean of those of all encoders.
    """
    scores = np.mean(
        [zero_shot_scores(encoder, manifest, findings, prompts, scoring, runner) for encoder in encoders], axis=0
    )
    there = {name: rule for name, rule in policy.rules.items() if name in findings}
    targets = targets_of(manifest, findings, LabelPolicy(policy.default, there))
    table = manifest.table[["image_id", *(name for name in COHORT if name in manifest.table)]].copy()
    for column, finding in enumerate(findings):
        table[f"{LABEL_PREFIX}{finding}"] = targets[:, column].astype(np.float64)
    for column, finding in enumerate(findings):
        table[f"score.{finding}"] = scores[:, column]
    return table


def zero_shot_scores(
    encoder: JointEncoder,
    manifest: Manifest,
    findings: Sequence[str],
    prompts: Prompts,
    scoring: Scoring,
    runner: Runner,
) -> NDArray[np.float64]:
    """Probabilities (N, K) of the findings on the films of a manifest."""
    films = film_vectors(encoder, manifest, runner)
    sides = []
    for side in ("positive", "negative"):
        vectors = [text_vectors(encoder, getattr(prompts[finding], side)) for finding in findings]
        sides.append(torch.stack([class_vector(sentences, scoring) for sentences in vectors]))
    found: NDArray[np.float64] = pair_probability(films.double(), sides[0].double(), sides[1].double(), scoring).numpy()
    return found


def _context(
    encoders: Sequence[JointEncoder],
    sources: Sequence[str | JointEncoder],
    data: str,
    manifest: Manifest,
    prompts: Prompts,
    options: ZeroShot,
) -> dict[str, Any]:
    return {
        "title": f"Zero-shot on the {options.split} split of {Path(data).resolve().name}",
        "encoder": ", ".join(source if isinstance(source, str) else "given" for source in sources),
        "method": encoders[0].origin.get("method", encoders[0].origin.get("layout")),
        "scoring": options.scoring,
        "prompts": prompts.name,
        "prompts_sha256": prompts.digest,
        "data": data,
        "manifest_sha256": manifest.digest,
        "split": options.split,
        "views": list(options.views),
        "threshold_origin": "the validation split" if options.thresholds == "validation" else "none: no label was used",
    }


def _standing_notes(options: ZeroShot, policy: LabelPolicy) -> list[str]:
    notes = []
    if options.thresholds == "none":
        notes.append("No label was used: there is no validation threshold, and 0.5 means both sentences fit equally.")
    notes += split_notes(options.split)
    if (policy.default, policy.rules) != ("ignore", {}):
        exceptions = "".join(f", {finding} as {rule}" for finding, rule in policy.rules.items())
        notes.append(f"Uncertain labels count as {policy.default}{exceptions}.")
    return notes
