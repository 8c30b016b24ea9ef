"""Baselines without a network on the films that a classifier is judged on, taught by the films that taught it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.baselines import BASELINES, Labelled, fit_baseline
from hilum.errors import ManifestError
from hilum.evaluation.classifier import Record
from hilum.evaluation.predict import Films
from hilum.films import FilmStore
from hilum.labels import LabelPolicy, targets_of
from hilum.lookup import lookup
from hilum.manifest import Manifest
from hilum.progress import ProgressBar
from hilum.schema import Split


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
    wanted = views or tuple(record.origin.get("views", ()))
    known = manifest.select(views=wanted or None)
    train, whose = _teachers(known, patients)
    if not len(train):
        raise ManifestError(
            "has no training films for the baselines",
            where=manifest.root,
            fix="Leave out --baselines, or add a train split",
        )
    val = known.select(split="val")
    scores: dict[str, NDArray[np.float64]] = {}
    notes: dict[str, str] = {}
    for name in names:
        held = _labelled(val, record, f"{name}: validation films") if len(val) else None
        fitted = fit_baseline(name, _labelled(train, record, f"{name}: training films"), held, findings=record.findings)
        scores[name] = fitted.score(_pixels(films.manifest, f"{name}: judged films"), films.manifest.table)
        notes[name] = " ".join([f"Learned from {len(train)} films of {whose}.", *fitted.notes])
    return scores, notes


def _teachers(known: Manifest, patients: Mapping[str, Any] | None) -> tuple[Manifest, str]:
    split: Split = "train"
    train = known.select(split=split)
    ids = set(patients["patients"]) if patients else set()
    rows = np.flatnonzero(train.table["patient_id"].isin(ids).to_numpy())
    if not rows.size:
        return train, "this data set's own train split"
    return Manifest(train.table.iloc[rows].reset_index(drop=True), train.root), "the classifier's training patients"


def _labelled(manifest: Manifest, record: Record, title: str) -> Labelled:
    policy = LabelPolicy.from_json({"default": "ignore", "rules": {}, **record.policy})
    there = [finding for finding in record.findings if finding in manifest.findings]
    rules = {name: rule for name, rule in policy.rules.items() if name in there}
    labels = np.full((len(manifest), len(record.findings)), np.nan)
    columns = [record.findings.index(name) for name in there]
    labels[:, columns] = targets_of(manifest, there, LabelPolicy(policy.default, rules))
    return Labelled(_pixels(manifest, title), manifest.table, labels)


def _pixels(manifest: Manifest, title: str) -> Iterator[NDArray[np.uint8]]:
    """Films one after the other, so that only one is in memory."""
    store = FilmStore(manifest, cache=False)
    with ProgressBar(title, len(store)) as bar:
        for row in range(len(store)):
            yield store.film(row)
            bar.advance()
