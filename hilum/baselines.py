"""What a network must beat: two baselines that need none, from stored 8-bit films and the table alone.

`metadata` sees only how a film was taken (mean grey, aspect ratio, view); a network that does not beat it may
have learned the machine instead of the disease. `hog` sees the film as histograms of edge directions at 128 x
128 pixels. Both end in one standardised logistic regression a finding, whose strength of regularisation the
validation split chooses, so they are tuned as honestly as a network is.

Sources: Dalal and Triggs 2005 (HOG: 9 directions, cells of 8 x 8 pixels, blocks of 2 x 2 cells, L2-Hys);
DeGrave, Janizek and Lee 2021 (why the metadata baseline belongs beside every result on chest films).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import hog
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hilum.lookup import lookup
from hilum.metrics.ranking import auroc
from hilum.schema import VIEWS

BASELINES: Final[dict[str, str]] = {
    "metadata": "hilum.baselines:metadata_features",
    "hog": "hilum.baselines:hog_features",
}
STRENGTHS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # C of the logistic regression, strongest penalty first
STRENGTH_WITHOUT_VALIDATION: Final = 1e-3
HOG_SIDE: Final = 128  # pixels; films are squeezed to a square of this side

Floats = NDArray[np.float64]
Films = Iterable[NDArray[np.uint8]]  # (H, W) 8-bit grey each; a generator keeps one film in memory at a time


@dataclass(frozen=True)
class Labelled:
    """Films with what is known of them; what `fit_baseline` learns from or chooses on."""

    films: Films  # N films
    table: pd.DataFrame  # N rows: optional view_position (or view), orig_width, orig_height
    labels: Floats  # (N, K) 1, 0, or NaN (left out)


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline; `score` gives probabilities."""

    name: str
    scaler: StandardScaler
    models: tuple[LogisticRegression | float, ...]  # one a finding; a number where the score is constant
    notes: tuple[str, ...]  # what a reader must know, one sentence each

    def score(self, films: Films, table: pd.DataFrame) -> Floats:
        """Probability of each finding, (N, K), for N films and their N table rows."""
        features = self.scaler.transform(_features(self.name, films, table))
        return np.stack([_probability(model, features) for model in self.models], axis=1)


def fit_baseline(
    name: str, train: Labelled, val: Labelled | None = None, *, findings: Iterable[str] | None = None
) -> Baseline:
    """Fit a baseline on the training films, one logistic regression a finding.

    Args:
        name: a key of `BASELINES`.
        train: films, table rows and labels to learn from.
        val: the same for choosing C by AUROC; without it, or where it lacks a class, C is 0.001.
        findings: K names for the notes; numbers when absent.

    Returns:
        The fitted baseline. A finding without both classes in `train` scores its share of positives (0.5
        without any label) on every film, and a note says so.

    Raises:
        ConfigError: no baseline is called `name`.
        ValueError: films, table and labels do not have the same number of rows, or a film is not 8-bit grey.
    """
    known = _features(name, train.films, train.table)
    scaler = StandardScaler().fit(known)
    known, labels = scaler.transform(known), _labels(train)
    names = [str(k) for k in range(labels.shape[1])] if findings is None else list(findings)
    held = None if val is None else (scaler.transform(_features(name, val.films, val.table)), _labels(val))
    models: list[LogisticRegression | float] = []
    notes: list[str] = []
    for k, finding in enumerate(names):
        column = None if held is None else (held[0], held[1][:, k])
        model, note = _fit_finding(known, labels[:, k], column)
        models.append(model)
        notes += [f"{finding}: {note}"] if note else []
    return Baseline(name, scaler, tuple(models), tuple(notes))


def metadata_features(films: Films, table: pd.DataFrame) -> Floats:
    """How each film was taken, (N, 6): mean grey in [0, 1], width / height, four columns for the view.

    A blank view is four zeros. The aspect ratio is that of the original file where `orig_width` and
    `orig_height` are known.
    """
    stored = np.array([(_grey(film).mean() / 255, film.shape[1] / film.shape[0]) for film in films])
    grey, aspect = stored.reshape(-1, 2).T
    if {"orig_width", "orig_height"} <= set(table.columns):
        original = table["orig_width"].to_numpy(float) / table["orig_height"].to_numpy(float)
        aspect = np.where(np.isfinite(original), original, aspect)
    views = table.get("view_position", table.get("view", pd.Series(pd.NA, index=table.index)))
    return np.column_stack([grey, aspect, *((views == view).fillna(value=False).to_numpy(float) for view in VIEWS)])


def hog_features(films: Films, table: pd.DataFrame) -> Floats:
    """Histograms of oriented gradients of each film squeezed to 128 x 128, (N, 8100); `table` is not used."""
    del table
    return np.array([_hog(film) for film in films], dtype=np.float64)


def _hog(film: NDArray[np.uint8]) -> Floats:
    small = Image.fromarray(_grey(film)).resize((HOG_SIDE, HOG_SIDE), Image.Resampling.BOX)
    found: Floats = hog(np.asarray(small), orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2))
    return found


def _features(name: str, films: Films, table: pd.DataFrame) -> Floats:
    features: Floats = lookup(BASELINES, name, kind="baseline")(films, table)
    if len(features) != len(table):
        raise ValueError(f"{len(features)} films but {len(table)} rows in their table")
    return features


def _labels(known: Labelled) -> Floats:
    labels = np.asarray(known.labels, dtype=np.float64)
    if labels.ndim != 2 or len(labels) != len(known.table):
        raise ValueError(f"labels must be ({len(known.table)} films, findings), got {labels.shape}")
    return labels


def _fit_finding(
    features: Floats, labels: Floats, held: tuple[Floats, Floats] | None
) -> tuple[LogisticRegression | float, str]:
    """The model of one finding and a note, empty when there is nothing to say."""
    judged = ~np.isnan(labels)
    present, absent = int((labels == 1).sum()), int((labels == 0).sum())
    if not present or not absent:
        share = present / (present + absent) if judged.any() else 0.5
        return share, f"constant score, since training has {present} positives and {absent} negatives."
    features, labels = features[judged], labels[judged]
    tried: list[tuple[float, LogisticRegression]] = []
    for strength in STRENGTHS if held is not None else ():
        model = _regression(features, labels, strength)
        value = auroc(held[1], model.decision_function(held[0])) if held is not None else None
        if value is None:
            break
        tried.append((value, model))
    if not tried:
        note = f"C = {STRENGTH_WITHOUT_VALIDATION:g}, since validation cannot choose it."
        return _regression(features, labels, STRENGTH_WITHOUT_VALIDATION), note
    return max(tried, key=lambda pair: pair[0])[1], ""  # of equals the first: the strongest penalty


def _regression(features: Floats, labels: Floats, strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        # 500 steps rank films as well as the exact optimum does; the last digits of a baseline are not worth hours
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=500).fit(features, labels)


def _probability(model: Any, features: Floats) -> Floats:
    if isinstance(model, float):
        return np.full(len(features), model)
    found: Floats = model.predict_proba(features)[:, 1]
    return found


def _grey(film: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if film.ndim != 2 or film.dtype != np.uint8:
        raise ValueError(f"a film must be (height, width) uint8, got {film.shape} {film.dtype}")
    return film
