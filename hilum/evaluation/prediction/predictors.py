"""What a run of each task says of new films: one table, a loader a task, one form of answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import CheckpointError
from hilum.evaluation.classifier import load_classifier
from hilum.evaluation.features import Runner
from hilum.evaluation.predict import Films, predict
from hilum.evaluation.prediction.explained import Explained, explained
from hilum.evaluation.prediction.new_films import NewFilms
from hilum.evaluation.survival.model import load_risk
from hilum.evaluation.survival.scores import score_films
from hilum.evaluation.tasks import TASKS, task_of
from hilum.lookup import lookup

SCORE: Final = "score."  # score.<name>: probability of a finding, risk of an endpoint
CALLED: Final = "called."  # called.<name>: 1 from the stored threshold on, 0 below; blank without a threshold


@dataclass(frozen=True)
class Answers:
    """What a model says of N films."""

    columns: pd.DataFrame  # (N rows) numbers of each film, `SCORE` and `CALLED` or those of the task
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predictor:
    """A loaded run, ready for new films."""

    task: str
    names: tuple[str, ...]  # findings, endpoints
    origin: Mapping[str, Any]  # of the record
    answer: Callable[[NewFilms, Path, Runner], Answers]  # (films, folder to write more into, runner)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)  # for the results page
    explained: Explained | None = None  # what maps are made of


LOADERS: Final = {  # task -> run folder to `Predictor`
    "classify": "hilum.evaluation.prediction.predictors:load_findings",
    "survive": "hilum.evaluation.prediction.predictors:load_risks",
    "segment": "hilum.evaluation.prediction.places:load_masks",
    "detect": "hilum.evaluation.prediction.places:load_boxes",
}


def load_predictor(run: str | Path) -> Predictor:
    """A run of `hilum adapt`, whatever its task.

    Raises:
        CheckpointError: nothing there, not finished, damaged, or an encoder.
    """
    if not Path(run).is_dir():
        raise CheckpointError("no such folder", where=run, fix="Give a finished run of `hilum adapt`")
    chosen = task_of(run)
    name = next(name for name, task in TASKS.items() if task is chosen)
    loaded: Predictor = lookup(LOADERS, name, kind="task")(run)
    return loaded


def load_findings(run: str | Path) -> Predictor:
    """A run of `hilum adapt classify`: probabilities, as `hilum evaluate` has them."""
    trained = load_classifier(run)
    record = trained.record

    def answer(films: NewFilms, place: Path, runner: Runner) -> Answers:
        blank = np.full((len(films.manifest), len(record.findings)), np.nan, dtype=np.float32)
        table = predict(trained, Films(films.manifest, blank, ()), runner=runner)
        scores = table[[SCORE + name for name in record.findings]].to_numpy(np.float64)
        notes = tuple(f"{name}: {why}." for name, why in record.threshold_notes.items())
        return Answers(scored(record.findings, scores, record.thresholds), notes)

    about = {
        "head": f"{record.head}, {record.mode}, {record.reading}, {record.targets}",
        "thresholds": f"{record.how_chosen}, {record.chosen_on}",
        "calibration": record.calibration.get("kind", "none"),
        "validation_auroc": record.validation.get("auroc"),
    }
    return Predictor("classify", record.findings, record.origin, answer, record.thresholds, about, explained(trained))


def load_risks(run: str | Path) -> Predictor:
    """A run of `hilum adapt survive`: a risk an endpoint, and probabilities of the findings trained with it."""
    trained = load_risk(run)
    record = trained.record
    names, thresholds = (*record.findings, *record.endpoints), {**record.finding_thresholds, **record.thresholds}

    def answer(films: NewFilms, place: Path, runner: Runner) -> Answers:
        scores = score_films(trained, films.manifest, runner=runner)
        notes = tuple(f"{name}: {why}." for name, why in record.threshold_notes.items())
        return Answers(scored(names, scores, thresholds), notes)

    form = {"cox": "log hazard ratio, up to a constant", "discrete": "chance of the event by the horizon"}
    about = {
        "head": f"{record.head}, {record.form}",
        "score_of_endpoints": form.get(record.form, "probability of the event within the horizon"),
        "horizon_days": record.horizon,
        "covariates": [str(column["name"]) for column in record.covariates],
    }
    return Predictor("survive", names, record.origin, answer, thresholds, about, explained(trained))


def scored(names: tuple[str, ...], scores: NDArray[np.float64], thresholds: Mapping[str, float]) -> pd.DataFrame:
    """Scores (N, K), and 1 or 0 for each from its threshold on; blank where none was chosen."""
    calls = dict[str, pd.Series]()
    for k, name in enumerate(names):
        at = thresholds.get(name)
        called = [None if at is None else int(score >= at) for score in scores[:, k]]
        calls[CALLED + name] = pd.Series(called, dtype="Int64")
    return pd.DataFrame({**{SCORE + name: scores[:, k] for k, name in enumerate(names)}, **calls})
