"""Films to scores, and scores to one row a subject: the two tables that judging a model of risk writes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import ManifestError
from hilum.evaluation.features import Runner, row_batches, run_films
from hilum.evaluation.predict import COHORT
from hilum.evaluation.survival.endpoints import EVENT, endpoint_targets
from hilum.evaluation.survival.model import RiskRecord, TrainedRisk
from hilum.evaluation.survival.subjects import DATES, film_dates, one_row_a_subject
from hilum.films import FilmStore
from hilum.labels import LabelPolicy, targets_of
from hilum.manifest import Manifest
from hilum.schema import EVENT_PREFIX, LABEL_PREFIX, TIME_PREFIX

TRUE_RISK = "risk."  # risk.<Endpoint>: a phantom's true log hazard ratio


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


def prediction_table(record: RiskRecord, chosen: Manifest, scores: NDArray[np.float64]) -> pd.DataFrame:
    """One row a film: ids, cohort columns, covariates, follow-up, labels, true risk of a phantom, and scores."""
    given = chosen.table
    beside = [str(column["name"]) for column in record.covariates]
    ends = [prefix + name for name in record.endpoints for prefix in (TIME_PREFIX, EVENT_PREFIX, TRUE_RISK)]
    wanted = dict.fromkeys(["image_id", *COHORT, *DATES, *beside, *ends])
    table = given[[name for name in wanted if name in given]].copy()
    names = [*record.findings, *record.endpoints]
    there = [finding for finding in record.findings if finding in chosen.findings]
    if there:
        policy = LabelPolicy.from_json(record.policy)
        policy = LabelPolicy(policy.default, {name: rule for name, rule in policy.rules.items() if name in there})
        for finding, column in zip(there, targets_of(chosen, there, policy).T, strict=True):
            table[LABEL_PREFIX + finding] = column.astype(np.float64)
    return table.assign(**{f"score.{name}": column for name, column in zip(names, scores.T, strict=True)})


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
