"""Baselines without a network on the films that a classifier is judged on, taught by the films that taught it.

They stand beside every result, so they must not cost more than the result: of a large training split a share is drawn
by lot, once and for all, and the page says how many films taught them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hilum.baselines import BASELINES, Labelled, fit_baseline
from hilum.errors import ManifestError
from hilum.evaluation.classifier import Record
from hilum.evaluation.predict import Films
from hilum.films import FilmStore
from hilum.labels import LabelPolicy, targets_of, with_no_finding
from hilum.lookup import lookup
from hilum.manifest import Manifest
from hilum.progress import ProgressBar

MOST: Final = {"train": 2000, "val": 1000}  # films that teach and that choose; more would cost more than they add


def check_baselines(names: Sequence[str]) -> None:
    """Refuse an unknown baseline before anything is computed.

    Raises:
        ConfigError: with the names there are.
    """
    for name in names:
        lookup(BASELINES, name, kind="baseline")


def baseline_scores(
    names: Sequence[str],
    record: Record,
    manifest: Manifest,
    films: Films,
    *,
    views: tuple[str, ...] = (),
    patients: Mapping[str, Any] | None,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Fit baselines and score the judged films.

    Args:
        names: of `hilum.baselines.BASELINES`.
        record: of the classifier; its findings and policy are used.
        manifest: the data set; its train split teaches and its val split chooses the regularisation. Where patients of
            the classifier's training are among them, only these teach, so that a classifier of few labels meets a
            baseline of the same few.
        films: those to be judged.
        views: the view positions asked for; none named means those of training.
        patients: `trained_patients(run)`.

    Returns:
        name -> probabilities (N, K), and name -> one sentence for the reader.

    Raises:
        ManifestError: the data set has no training films to learn from.
    """
    teachers, whose = _teachers(manifest, record, views, patients)
    if not len(teachers):
        raise ManifestError(
            "has no training films for the baselines",
            where=manifest.root,
            fix="Give --baselines none, or add a train split",
        )
    train, val = _some(teachers, MOST["train"]), _some(_known(manifest, record, views).select(split="val"), MOST["val"])
    told = f"Learned from {len(train):,} films of {whose}"
    told += f", drawn by lot from {len(teachers):,}." if len(train) < len(teachers) else "."
    scores: dict[str, NDArray[np.float64]] = {}
    notes: dict[str, str] = {}
    for name in names:
        held = _labelled(val, record, f"{name}: validation films") if len(val) else None
        fitted = fit_baseline(name, _labelled(train, record, f"{name}: training films"), held, findings=record.findings)
        judged = _pixels(films.manifest, f"{name}: judged films", cache=True)
        scores[name] = fitted.score(judged, films.manifest.table)
        notes[name] = " ".join([told, *fitted.notes])
    return scores, notes


def can_learn(
    manifest: Manifest, record: Record, *, views: tuple[str, ...] = (), patients: Mapping[str, Any] | None
) -> bool:
    """Whether the data set has labelled training films of the classifier's findings that could teach a baseline."""
    labelled = any(name in manifest.findings for name in record.findings)
    return labelled and len(_teachers(manifest, record, views, patients)[0]) > 0


def _known(manifest: Manifest, record: Record, views: tuple[str, ...]) -> Manifest:
    wanted = views or tuple(record.origin.get("views", ()))
    return with_no_finding(manifest.select(views=wanted or None), record.findings)[0]


def _teachers(
    manifest: Manifest, record: Record, views: tuple[str, ...], patients: Mapping[str, Any] | None
) -> tuple[Manifest, str]:
    train = _known(manifest, record, views).select(split="train")
    ids = set(patients["patients"]) if patients else set()
    rows = np.flatnonzero(train.table["patient_id"].isin(ids).to_numpy())
    if not rows.size:
        return train, "this data set's own train split"
    return _rows(train, rows), "the classifier's training patients"


def _some(manifest: Manifest, most: int) -> Manifest:
    """At most so many films, always the same ones of the same list, in its order."""
    if len(manifest) <= most:
        return manifest
    return _rows(manifest, np.sort(np.random.default_rng(0).permutation(len(manifest))[:most]))


def _rows(manifest: Manifest, rows: NDArray[np.intp]) -> Manifest:
    return Manifest(manifest.table.iloc[rows].reset_index(drop=True), manifest.root)


def _labelled(manifest: Manifest, record: Record, title: str) -> Labelled:
    policy = LabelPolicy.from_json({"default": "ignore", "rules": {}, **record.policy})
    there = [finding for finding in record.findings if finding in manifest.findings]
    rules = {name: rule for name, rule in policy.rules.items() if name in there}
    labels = np.full((len(manifest), len(record.findings)), np.nan)
    columns = [record.findings.index(name) for name in there]
    labels[:, columns] = targets_of(manifest, there, LabelPolicy(policy.default, rules))
    return Labelled(_pixels(manifest, title), manifest.table, labels)


def _pixels(manifest: Manifest, title: str, *, cache: bool = False) -> Iterator[NDArray[np.uint8]]:
    """Films one after the other, so that only one is in memory; `cache` those that were decoded for the classifier."""
    store = FilmStore(manifest, cache=cache, quiet=True)
    with ProgressBar(title, len(store)) as bar:
        for row in range(len(store)):
            yield store.film(row)
            bar.advance()
