"""Judge a model of risk on the subjects of a split: scores, one row a person, curves and concordance, the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hilum.errors import ConfigError
from hilum.evaluation.features import Runner
from hilum.evaluation.judged import Judged
from hilum.evaluation.patients import trained_patients
from hilum.evaluation.predict import COHORT, honest_films
from hilum.evaluation.survival.card import score_meaning
from hilum.evaluation.survival.endpoints import check_endpoints
from hilum.evaluation.survival.model import RiskRecord, load_risk
from hilum.evaluation.survival.scores import prediction_table, score_films, subjects_of
from hilum.manifest import Manifest
from hilum.results import classification_results, write_results
from hilum.results.notes import draws_note
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
from hilum.schema import LABEL_PREFIX, Split


def judge_risk(
    run: str,
    data: str,
    *,
    split: Split = "test",
    out: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    views: tuple[str, ...] = (),
    baselines: Sequence[str] | None = None,
    allow_train: bool = False,
    runner: Runner | None = None,
    command: str = "",
) -> Judged:
    """Score a split and write results.html, .md, .json, predictions.parquet (films) and subjects.parquet (persons).

    Findings that the head learned beside the endpoints are judged as a classifier's, in the subfolder `findings`.
    Arguments as of `hilum evaluate`.

    Raises:
        ConfigError: a non-empty `out`, or patients of the training among those to be judged.
        CheckpointError: `run` holds no model of risk.
        ManifestError: no films, or no follow-up, to judge by.
    """
    if baselines:
        raise ConfigError("a model of risk is judged without baselines", where="baselines", fix="Leave it out")
    if out is not None:
        RunFolder(out)  # refuses a folder with something in it
    trained, manifest = load_risk(run), Manifest.read(data)
    record = trained.record
    there = tuple(endpoint for endpoint in record.endpoints if endpoint in manifest.endpoints)
    check_endpoints(manifest, there or record.endpoints)
    chosen, notes = honest_films(
        manifest,
        split,
        views=views,
        trained_views=tuple(record.origin.get("views", ())),
        patients=trained_patients(run),
        allow_train=allow_train,
    )
    notes += [f"The table has no follow-up for {name}." for name in record.endpoints if name not in there]
    scores = score_films(trained, chosen, runner=runner)
    predictions = prediction_table(record, chosen, scores)
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
    meaning = f"The score is {score_meaning(record)}; higher means an earlier event."
    results["notes"] = [*notes, meaning, *draws_note(draws)]
    tables = {"predictions": predictions, "subjects": pd.concat(subjects, ignore_index=True)}
    page = write_reading(
        folder,
        results,
        html=survival_page(results, curves),
        markdown=survival_markdown(results),
        tables={**tables, "curves": curves_table(curves)},
    )
    lines = summary_lines(results)
    if beside := _findings(record, predictions, folder, draws=draws, seed=seed, context=context):
        lines.append(f"the findings learned beside: {beside}")
    return Judged(folder, page, results, lines, predictions)


def _findings(
    record: RiskRecord, predictions: pd.DataFrame, folder: Path, *, draws: int, seed: int, context: dict[str, Any]
) -> Path | None:
    """The classifier's page of the findings that are labelled here; None where none is."""
    labelled = [finding for finding in record.findings if LABEL_PREFIX + finding in predictions]
    if not labelled:
        return None
    wanted = [*(f"{LABEL_PREFIX}{name}" for name in labelled), *(f"score.{name}" for name in labelled)]
    table = predictions[["image_id", *(name for name in COHORT if name in predictions), *wanted]]
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
