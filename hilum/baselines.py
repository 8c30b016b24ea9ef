"""What a network must beat: two baselines that need none, from stored 8-bit films and the table alone.

`metadata` sees only how a film was taken (mean grey, aspect ratio, size, view, site); a network that does not beat
it may have learned the machine instead of the disease. `hog` sees the film as histograms of edge directions at 128 x
128 pixels. Both end in one standardised logistic regression a finding, whose strength of regularisation the
validation split chooses, so they are tuned as honestly as a network is.

They are meant to stand beside every result, so they are cheap: with fewer films than features the regression is fitted
in the space that the films span, which is the same regression (its penalty does not change under rotation), and weaker
penalties are no longer tried once two in a row have not helped.

Sources: Dalal and Triggs 2005 (HOG: 9 directions, cells of 8 x 8 pixels, blocks of 2 x 2 cells, L2-Hys);
DeGrave, Janizek and Lee 2021 (why the metadata baseline belongs beside every result on chest films).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
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
PATIENCE: Final = 2  # strengths in a row that do not help before the weaker ones are left untried
HOG_SIDE: Final = 128  # pixels; films are squeezed to a square of this side
DIRECTIONS: Final = 9  # of edges, over half a turn
CELL: Final = 8  # pixels a side
CLIPPED: Final = 0.2  # L2-Hys: normalise, cut here, normalise again
BLOCK: Final = 512  # films scored at a time, so that their features fit into memory
THOUSAND: Final = 1000.0  # pixels; sizes of films are counted in thousands

Floats = NDArray[np.float64]
Films = Iterable[NDArray[np.uint8]]  # (H, W) 8-bit grey each; a generator keeps one film in memory at a time


@dataclass(frozen=True)
class Labelled:
    """Films with what is known of them; what `fit_baseline` learns from or chooses on."""

    films: Films  # N films
    table: pd.DataFrame  # N rows: optional view_position (or view), orig_width, orig_height, site
    labels: Floats  # (N, K) 1, 0, or NaN (left out)


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline; `score` gives probabilities."""

    name: str
    sites: tuple[str, ...]  # those of the training films; films of others look like films of none
    scaler: StandardScaler
    basis: Floats | None  # (D, R) directions that the training films span; None where they span everything
    models: tuple[LogisticRegression | float, ...]  # one a finding; a number where the score is constant
    notes: tuple[str, ...]  # what a reader must know, one sentence each

    def score(self, films: Films, table: pd.DataFrame) -> Floats:
        """Probability of each finding, (N, K), for N films and their N table rows."""
        waiting, parts = iter(films), list[Floats]()
        for start in range(0, len(table), BLOCK):
            rows = table.iloc[start : start + BLOCK]
            features = _features(self.name, list(islice(waiting, len(rows))), rows, self.sites)
            features = _rotated(self.scaler.transform(features), self.basis)
            parts.append(np.stack([_probability(model, features) for model in self.models], axis=1))
        if next(waiting, None) is not None:
            raise ValueError(f"more films than the {len(table)} rows in their table")
        return np.concatenate([np.empty((0, len(self.models))), *parts])


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
    sites = sites_of(train.table)
    known = _features(name, train.films, train.table, sites)
    scaler = StandardScaler().fit(known)
    known, labels = scaler.transform(known), _labels(train)
    basis = _span(known)
    known = _rotated(known, basis)
    names = [str(k) for k in range(labels.shape[1])] if findings is None else list(findings)
    held = None
    if val is not None:
        seen = scaler.transform(_features(name, val.films, val.table, sites))
        held = (_rotated(seen, basis), _labels(val))
    models: list[LogisticRegression | float] = []
    notes: list[str] = []
    for k, finding in enumerate(names):
        column = None if held is None else (held[0], held[1][:, k])
        model, note = _fit_finding(known, labels[:, k], column)
        models.append(model)
        notes += [f"{finding}: {note}"] if note else []
    return Baseline(name, sites, scaler, basis, tuple(models), tuple(notes))


def sites_of(table: pd.DataFrame) -> tuple[str, ...]:
    """The sites named in a table, sorted; none where there is no such column."""
    if "site" not in table.columns:
        return ()
    named = table["site"].dropna().astype(str).str.strip()
    return tuple(sorted(set(named) - {""}))


def metadata_features(films: Films, table: pd.DataFrame, sites: Sequence[str] = ()) -> Floats:
    """How each film was taken, (N, 8 + sites): mean grey in [0, 1], width / height, width, height, view, site.

    Width and height are in thousands of pixels, of the original file where `orig_width` and `orig_height` are known.
    A view or a site is a column of its own (four views); a blank or unknown one is zeros.
    """
    stored = np.array([(_grey(film).mean() / 255, film.shape[1], film.shape[0]) for film in films], dtype=np.float64)
    grey, width, height = stored.reshape(-1, 3).T
    if {"orig_width", "orig_height"} <= set(table.columns):
        original = table[["orig_width", "orig_height"]].to_numpy(np.float64, na_value=np.nan)
        known = np.isfinite(original).all(axis=1)
        width, height = np.where(known, original[:, 0], width), np.where(known, original[:, 1], height)
    nothing = pd.Series(pd.NA, index=table.index)
    views, places = table.get("view_position", table.get("view", nothing)), table.get("site", nothing)
    marks = [(views == view).fillna(value=False).to_numpy(float) for view in VIEWS]
    marks += [(places == site).fillna(value=False).to_numpy(float) for site in sites]
    return np.column_stack([grey, width / height, width / THOUSAND, height / THOUSAND, *marks])


def hog_features(films: Films, table: pd.DataFrame, sites: Sequence[str] = ()) -> Floats:
    """Histograms of oriented gradients of each film squeezed to 128 x 128, (N, 8100); nothing else is looked at."""
    del table, sites
    return np.array([_hog(film) for film in films], dtype=np.float64)


def _hog(film: NDArray[np.uint8]) -> Floats:
    """Dalal and Triggs' descriptor (8100,): blocks of 2 x 2 cells at every place, each normalised by L2-Hys."""
    small = Image.fromarray(_grey(film)).resize((HOG_SIDE, HOG_SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float64)
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[1:-1], across[:, 1:-1] = grey[2:] - grey[:-2], grey[:, 2:] - grey[:, :-2]
    turn = np.rad2deg(np.arctan2(down, across)) % 180  # an edge and its opposite are one direction
    direction = np.minimum((turn * DIRECTIONS / 180).astype(np.int64), DIRECTIONS - 1)
    cells = HOG_SIDE // CELL
    place = np.arange(HOG_SIDE) // CELL
    at = (place[:, None] * cells + place) * DIRECTIONS + direction
    sums = np.bincount(at.ravel(), weights=np.hypot(across, down).ravel(), minlength=cells * cells * DIRECTIONS)
    mean = sums.reshape(cells, cells, DIRECTIONS) / CELL**2
    blocks = np.concatenate([mean[:-1, :-1], mean[:-1, 1:], mean[1:, :-1], mean[1:, 1:]], axis=-1)
    return _unit(np.minimum(_unit(blocks), CLIPPED)).ravel()


def _unit(blocks: Floats) -> Floats:
    lengths: Floats = np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + 1e-10)
    return blocks / lengths


def _features(name: str, films: Films, table: pd.DataFrame, sites: Sequence[str]) -> Floats:
    features: Floats = lookup(BASELINES, name, kind="baseline")(films, table, sites)
    if len(features) != len(table):
        raise ValueError(f"{len(features)} films but {len(table)} rows in their table")
    return features


def _span(features: Floats) -> Floats | None:
    """Orthonormal directions (D, R) of standardised features (N, D) with N < D; None where there are fewer features."""
    if len(features) >= features.shape[1]:
        return None
    squares, places = np.linalg.eigh(features @ features.T)
    kept = squares > squares[-1] * 1e-10
    basis: Floats = features.T @ (places[:, kept] / np.sqrt(squares[kept]))
    return basis


def _rotated(features: Floats, basis: Floats | None) -> Floats:
    return features if basis is None else features @ basis


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
        best = max(range(len(tried)), key=lambda place: tried[place][0])
        if len(tried) - 1 - best >= PATIENCE:
            break
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
