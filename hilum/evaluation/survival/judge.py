"""Judge a model of risk on the subjects of a split: scores, one row a person, curves and concordance, the page."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.features import Runner, row_batches, run_films
from hilum.evaluation.predict import COHORT, honest_films
from hilum.evaluation.run import trained_patients
from hilum.evaluation.survival.card import score_meaning
from hilum.evaluation.survival.endpoints import EVENT, check_endpoints, endpoint_targets
from hilum.evaluation.survival.model import RiskRecord, TrainedRisk, load_risk
from hilum.evaluation.survival.subjects import DATES, film_dates, one_row_a_subject
from hilum.films import FilmStore
from hilum.labels import LabelPolicy, targets_of
from hilum.manifest import Manifest
from hilum.results import classification_results, write_results
from hilum.results.reading import write_reading
from hilum.results.survival import (
    Curves,
    curves_table,
    summary_lines,
    survival_curves,
    survival_markdown,
    survival_page,
    survival_results,
    together,
)
from hilum.run_folder import RunFolder
from hilum.schema import EVENT_PREFIX, LABEL_PREFIX, TIME_PREFIX, Split

TRUE_RISK = "risk."  # risk.<Endpoint>: a phantom's true log hazard ratio


@dataclass(frozen=True)
class JudgedRisk:
    """What judging gave: the numbers, a line each for the terminal, and where everything was written."""

    folder: Path
    page: Path
    results: dict[str, Any]
    lines: list[str]


def judge_risk(
    run: str,
    data: str,
    *,
    split: Split = "test",
    out: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    views: tuple[str, ...] = (),
    allow_train: bool = False,
    runner: Runner | None = None,
    command: str = "",
) -> JudgedRisk:
    """Score a split and write results.html, .md, .json, predictions.parquet (films) and subjects.parquet (persons).

    Findings that the head learned beside the endpoints are judged as a classifier's, in the subfolder `findings`.
    Arguments as of `hilum evaluate`.

    Raises:
        ConfigError: a non-empty `out`, or patients of the training among those to be judged.
        CheckpointError: `run` holds no model of risk.
        ManifestError: no films, or no follow-up, to judge by.
    """
    if out is not None:
        RunFolder(out)  # refuses a folder with something in it
    trained, manifest = load_risk(run), Manifest.read(data)
    record = trained.record
    there = tuple(endpoint for endpoint in record.endpoints if endpoint in manifest.endpoints)
    check_endpoints(manifest, there or record.endpoints)
    trained_views = tuple(record.origin.get("views", ()))
    chosen, notes = honest_films(
        manifest,
        split,
        views=views,
        trained_views=trained_views,
        patients=trained_patients(run),
        allow_train=allow_train,
    )
    notes += [f"The table has no follow-up for {name}." for name in record.endpoints if name not in there]
    scores = score_films(trained, chosen, runner=runner)
    predictions = _predictions(record, chosen, scores)
    context = _context(record, run=run, data=data, digest=manifest.digest, split=split) | {"command": command}
    folder = Path(out) if out is not None else Path(run) / f"evaluate-{split}-{manifest.digest[:8]}"
    subjects, found, curves = [], [], dict[str, Curves]()
    for endpoint in there:
        persons, said = subjects_of(predictions, endpoint, record)
        threshold = record.thresholds.get(endpoint)
        found.append(
            survival_results(
                persons,
                endpoint=endpoint,
                horizon=record.horizon,
                threshold=threshold,
                reduce=record.reduce,
                draws=draws,
                seed=seed,
                context=context,
                threshold_origin=record.threshold_notes.get(endpoint, ""),
                horizon_origin="chosen by the user before training",
            )
        )
        found[-1]["endpoints"][endpoint]["notes"] += said
        curves[endpoint] = survival_curves(persons, threshold=threshold)
        subjects.append(persons.assign(endpoint=endpoint))
    results = together(found)
    results["notes"] = [*notes, f"The score is {score_meaning(record)}; higher means an earlier event."]
    page = write_reading(
        folder,
        results,
        html=survival_page(results, curves),
        markdown=survival_markdown(results),
        tables={
            "predictions": predictions,
            "subjects": pd.concat(subjects, ignore_index=True),
            "curves": curves_table(curves),
        },
    )
    lines = summary_lines(results)
    if record.findings and (beside := _findings(record, chosen, scores, folder, draws, seed, context)):
        lines.append(f"the findings learned beside: {beside}")
    return JudgedRisk(folder, page, results, lines)


def score_films(trained: TrainedRisk, manifest: Manifest, *, runner: Runner | None = None) -> NDArray[np.float64]:
    """Scores (N, K + E) of the films, findings first, in row order.

    Raises:
        ConfigError: a covariate the model was trained with is not in the table.
        ManifestError: a score is not finite.
    """
    runner = runner or Runner()
    device = runner.torch_device
    model = trained.model.to(device).eval()
    beside = torch.from_numpy(trained.covariates.encode(manifest.table))
    batches = row_batches(range(len(manifest)), runner.batch_size)
    waiting = iter(batches)

    def network(images: Tensor) -> Tensor:
        logits: Tensor = model(images, beside[list(next(waiting))].to(device))
        return logits

    parts = run_films(
        network, FilmStore(manifest), trained.preprocessing, runner, batches=batches, title="scoring films"
    )
    scores = trained.record.objective().scores(torch.cat(list(parts)).double()).numpy()
    if not np.isfinite(scores).all():
        first = manifest.table["image_id"].iloc[int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])]
        raise ManifestError(
            f"the model has no finite score for image {first!r}", fix="Look at the film and the weights"
        )
    return scores


def subjects_of(predictions: pd.DataFrame, endpoint: str, record: RiskRecord) -> tuple[pd.DataFrame, list[str]]:
    """One row a subject with follow-up for an endpoint, for `survival_results`, and notes on how it was made.

    Raises:
        ManifestError: nobody was followed.
    """
    time, event = endpoint_targets(predictions, (endpoint,)).T
    known = ~np.isnan(event)
    if not known.any():
        raise ManifestError(
            f"none of {len(predictions)} films has follow-up for {endpoint}",
            where=TIME_PREFIX + endpoint,
            fix="Fill time.* (days after the film) and event.*",
        )
    films = predictions.assign(score=predictions[f"score.{endpoint}"], time=time, event=event)
    if TRUE_RISK + endpoint in films:
        films["true_risk"] = pd.to_numeric(films[TRUE_RISK + endpoint], errors="coerce")
    films = films[known].reset_index(drop=True)
    reduced = one_row_a_subject(films, record.reduce, dates=film_dates(films))
    notes = list(reduced.notes)
    if int((~known).sum()):
        notes.append(f"{int((~known).sum())} films have no follow-up after their day for {endpoint} and were left out.")
    if not (event == EVENT).any():
        notes.append(f"Nobody had {endpoint}: nothing can be told about the score.")
    kept = [
        name
        for name in reduced.table
        if not str(name).startswith((TIME_PREFIX, EVENT_PREFIX, "score.", LABEL_PREFIX, TRUE_RISK))
    ]
    return reduced.table[kept], notes


def _predictions(record: RiskRecord, chosen: Manifest, scores: NDArray[np.float64]) -> pd.DataFrame:
    """One row a film: ids, cohort columns, covariates, follow-up, labels, true risk of a phantom, and scores."""
    given = chosen.table
    beside = [str(column["name"]) for column in record.covariates]
    wanted = list(dict.fromkeys(["image_id", *COHORT, *DATES, *beside]))
    prefixes = (TIME_PREFIX, EVENT_PREFIX, TRUE_RISK)
    wanted += [prefix + endpoint for endpoint in record.endpoints for prefix in prefixes]
    table = given[[name for name in wanted if name in given]].copy()
    names = [*record.findings, *record.endpoints]
    if len(set(names)) < len(names):
        raise ConfigError("an endpoint and a finding share a name", where="labels", fix="Rename one of the columns")
    if record.findings:
        there = [finding for finding in record.findings if finding in chosen.findings]
        policy = LabelPolicy(LabelPolicy.from_json(record.policy).default)
        labels = targets_of(chosen, there, policy) if there else np.empty((len(chosen), 0))
        for finding, column in zip(there, labels.T, strict=True):
            table[LABEL_PREFIX + finding] = column.astype(np.float64)
    return table.assign(**{f"score.{name}": column for name, column in zip(names, scores.T, strict=True)})


def _findings(
    record: RiskRecord,
    chosen: Manifest,
    scores: NDArray[np.float64],
    folder: Path,
    draws: int,
    seed: int,
    context: dict[str, Any],
) -> Path | None:
    """The classifier's page of the findings that are labelled here; None where none is."""
    table = _predictions(record, chosen, scores)
    labelled = [finding for finding in record.findings if LABEL_PREFIX + finding in table]
    if not labelled:
        return None
    wanted = [*(f"{LABEL_PREFIX}{name}" for name in labelled), *(f"score.{name}" for name in labelled)]
    table = table[["image_id", *(name for name in COHORT if name in table), *wanted]]
    thresholds = {finding: record.finding_thresholds.get(finding, 0.5) for finding in labelled}
    title = f"{', '.join(labelled)} beside {', '.join(record.endpoints)}"
    results = classification_results(
        table, thresholds=thresholds, draws=draws, seed=seed, context={**context, "title": title}
    )
    return write_results(folder / "findings", results, table)["html"]


def _context(record: RiskRecord, *, run: str, data: str, digest: str, split: Split) -> dict[str, Any]:
    """How the scores were made, for the results page, in the order in which it is shown."""
    origin = record.origin
    covariates = ", ".join(str(column["name"]) for column in record.covariates)
    return {
        "title": f"{', '.join(record.endpoints)} on the {split} split of {Path(data).resolve().name}",
        "model": run,
        "form": record.form,
        "head": record.head,
        "covariates": covariates or "none: the film alone",
        "findings_beside": ", ".join(record.findings) or "none",
        "encoder": origin.get("encoder"),
        "trained_on": "{train_films} films, {train_patients} patients of {data}".format_map(defaultdict(str, origin)),
        "data": data,
        "manifest_sha256": digest,
        "split": split,
        f"validation_{record.validation.get('name', 'value')}": record.validation.get("value"),
    }
