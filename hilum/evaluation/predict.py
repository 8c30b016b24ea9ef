"""Score the films of a split with a trained classifier: a table of predictions, and the guards that keep it honest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.classifier import Record, TrainedClassifier
from hilum.evaluation.feature_store import FeatureStore
from hilum.evaluation.features import Runner
from hilum.evaluation.finetune import classifier_scores
from hilum.evaluation.stored_scores import stored_scores
from hilum.films import FilmStore
from hilum.heads.calibrate import unfitted
from hilum.labels import LabelPolicy, targets_of, with_no_finding
from hilum.manifest import Manifest, same_patient
from hilum.metrics.estimate import interval_text
from hilum.schema import LABEL_PREFIX, Split

COHORT = ("study_id", "patient_id", "split", "view_position", "age", "sex", "site", "source", "device")


@dataclass(frozen=True)
class Films:
    """The films to be judged, their targets, and what a reader of the results must know about the choice."""

    manifest: Manifest
    targets: NDArray[np.float32]  # (N, K) of 1, 0, NaN
    notes: tuple[str, ...]


def films_to_judge(
    record: Record,
    manifest: Manifest,
    split: Split,
    *,
    views: tuple[str, ...] = (),
    patients: Mapping[str, Any] | None,
    allow_train: bool = False,
) -> Films:
    """The films of a split that a classifier may be judged on.

    Args:
        record: of the classifier.
        manifest: the data set.
        split: train, val or test.
        views: only these view positions; none named means those the classifier was trained on.
        patients: `trained_patients(run)`: whose films the classifier learned from and was chosen by.
        allow_train: judge on these patients all the same, with a note on the page.

    Raises:
        ConfigError: the training split without leave, or patients that the classifier has learned from.
        ManifestError: no films, or none of the findings is in the table.
    """
    trained_views = tuple(record.origin.get("views", ()))
    chosen, notes = honest_films(
        manifest, split, views=views, trained_views=trained_views, patients=patients, allow_train=allow_train
    )
    chosen, rule = with_no_finding(chosen, record.findings)
    if rule is not None:
        notes.append(f"{rule}.")
    targets, unlabelled = _targets(record, chosen)
    if unlabelled:
        notes.append(f"The table has no labels for {', '.join(unlabelled)}.")
    policy = record.policy.get("default", "ignore"), record.policy.get("rules") or {}
    if policy != ("ignore", {}):
        exceptions = "".join(f", {finding} as {rule}" for finding, rule in policy[1].items())
        notes.append(f"Uncertain labels count as {policy[0]}{exceptions}, as in training.")
    if record.calibration:
        notes.append(f"Scores are scaled ({record.calibration['kind']}), as fitted on validation films.")
        left = unfitted(record.calibration, record.findings)
        notes += [f"{finding}: not scaled: {reason}." for finding, reason in left.items()]
    return Films(chosen, targets, tuple(notes))


def honest_films(
    manifest: Manifest,
    split: Split,
    *,
    views: tuple[str, ...] = (),
    trained_views: tuple[str, ...] = (),
    patients: Mapping[str, Any] | None,
    allow_train: bool = False,
) -> tuple[Manifest, list[str]]:
    """The films of a split whose patients a model has not learned from, and notes for the results page.

    Args:
        manifest: the data set.
        split: train, val or test.
        views: only these view positions.
        trained_views: those of training, which hold where none is named.
        patients: `trained_patients(run)`.
        allow_train: take known patients all the same, with a note.

    Raises:
        ConfigError: the training split without leave, or patients that the model has learned from.
        ManifestError: no films.
    """
    if split == "train" and not allow_train:
        raise ConfigError(
            "a model is not judged on the split it learned from",
            where="split",
            fix="Use --split test, or --allow-train",
        )
    wanted = views or trained_views
    chosen = manifest.select(split=split, views=wanted or None)
    if not len(chosen):
        shown = f" with views {','.join(wanted)}" if wanted else ""
        raise ManifestError(
            f"no films in the {split} split{shown}",
            where=manifest.root,
            fix="Check the columns split and view_position",
        )
    chosen.check_files()
    notes = [f"Only films with the views {', '.join(wanted)}, as in training."] if wanted and not views else []
    notes += _overlap(chosen, split, patients, allow_train=allow_train)
    return chosen, notes


def predict(
    trained: TrainedClassifier, films: Films, *, runner: Runner | None = None, store: FeatureStore | None = None
) -> pd.DataFrame:
    """One row an image: ids, cohort columns, `label.<Finding>` (1, 0, blank) and `score.<Finding>` (probability).

    With a `store` of the encoder's features a frozen classifier reads these instead of the films.
    """
    runner = runner or Runner()
    record = trained.record
    if store is not None:
        scores = stored_scores(trained, films.manifest, store, runner)
    else:
        model = trained.model.to(runner.torch_device).eval()
        scores = classifier_scores(model, FilmStore(films.manifest), trained.preprocessing, record.targets, runner)
    if not np.isfinite(scores).all():
        first = films.manifest.table["image_id"].iloc[int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])]
        raise ManifestError(
            f"the classifier has no finite score for image {first!r}", fix="Look at the film and the weights"
        )
    return prediction_table(record, films, trained.calibrated(scores))


def prediction_table(record: Record, films: Films, scores: NDArray[np.float64]) -> pd.DataFrame:
    """The table that results are made from: scores (N, K) beside what is known of each film."""
    given = films.manifest.table
    table = given[["image_id", *(name for name in COHORT if name in given)]].copy()
    for column, finding in enumerate(record.findings):
        table[f"{LABEL_PREFIX}{finding}"] = films.targets[:, column].astype(np.float64)
    for column, finding in enumerate(record.findings):
        table[f"score.{finding}"] = scores[:, column]
    return table


def page_context(record: Record, *, run: str, data: str, digest: str, split: Split) -> dict[str, Any]:
    """How the predictions were made, for the results page, in the order in which it is shown."""
    origin = record.origin
    return {
        "title": f"{', '.join(record.findings)} on the {split} split of {Path(data).resolve().name}",
        "classifier": run,
        "head": f"{record.head}, {record.mode}, {record.reading}, {record.targets}",
        "encoder": origin.get("encoder"),
        "trained_on": "{train_films} films, {train_patients} patients of {data}".format_map(defaultdict(str, origin)),
        "label_fraction": origin.get("fraction"),
        "data": data,
        "manifest_sha256": digest,
        "split": split,
        "threshold_rule": record.how_chosen,
        "threshold_origin": record.chosen_on,
        "training_counts": record.counts,
        "validation_auroc": record.validation.get("auroc"),
    }


def summary(results: Mapping[str, Any]) -> str:
    """One line for the terminal: macro AUROC with its interval, what it rests on, and what could not be judged."""
    macro, cohort = results["macro"]["auroc"], results["cohort"]
    beaten = {f", baseline {name} ": one["macro"]["auroc"] for name, one in results.get("baselines", {}).items()}
    values = "".join(
        f"{name}{interval_text(one['value'], one['low'], one['high'])}" for name, one in {"": macro, **beaten}.items()
    )
    undefined = "".join(f"; {row['finding']} undefined: {row['reason']}" for row in results["undefined"])
    return f"macro AUROC {values}; {cohort['images']} films of {cohort['patients']} patients{undefined}"


def _targets(record: Record, chosen: Manifest) -> tuple[NDArray[np.float32], list[str]]:
    """Targets by the classifier's own policy; a finding that the table does not have is blank throughout, and named."""
    policy = LabelPolicy.from_json({"default": "ignore", "rules": {}, **record.policy})
    there = [finding for finding in record.findings if finding in chosen.findings]
    missing = [finding for finding in record.findings if finding not in chosen.findings]
    if not there:
        raise ManifestError(
            f"has labels for none of {', '.join(record.findings)}",
            where=chosen.root,
            fix=f"It has: {', '.join(chosen.findings) or 'no label columns'}",
        )
    if not missing:
        return targets_of(chosen, record.findings, policy, record.targets), []
    if record.targets == "multiclass":
        raise ManifestError(f"lacks the classes {', '.join(missing)}", where=chosen.root, fix="Add their label columns")
    kept = LabelPolicy(
        policy.default, {name: rule for name, rule in policy.rules.items() if name in there}, policy.name
    )
    targets = np.full((len(chosen), len(record.findings)), np.nan, dtype=np.float32)
    targets[:, [record.findings.index(name) for name in there]] = targets_of(chosen, there, kept)
    return targets, missing


def _overlap(chosen: Manifest, split: Split, patients: Mapping[str, Any] | None, *, allow_train: bool) -> list[str]:
    """Refuse patients that the classifier knows; where that is allowed or meant, a note instead.

    Ids of two collections may coincide by chance, so films whose `source` is not among the sources of training are
    other patients.
    """
    if patients is None:
        return ["The patients of training are not recorded beside the classifier: overlap could not be checked."]
    table = chosen.table
    sources = set(patients.get("sources", ()))
    elsewhere = np.zeros(len(table), dtype=bool)
    if sources and "source" in table:
        elsewhere = ~table["source"].isin([*sources, ""]).to_numpy()
    ids = np.array([same_patient(patient) for patient in table["patient_id"]])[~elsewhere]
    learned = set(ids) & {same_patient(patient) for patient in patients["patients"]}
    chosen_by = set(ids) & {same_patient(patient) for patient in patients.get("val_patients", ())}
    known = learned if split == "val" else learned | chosen_by
    if known and not allow_train:
        raise ConfigError(
            f"{len(known)} of {len(set(ids))} patients of the {split} split were used to train or choose this "
            f"model, e.g. {min(known)!r}",
            where="data",
            fix="Judge it on other patients; if they are others with the same ids, give both sets a `source` column",
        )
    notes = []
    if known:
        notes.append(f"NOT AN HONEST RESULT: {len(known)} of the patients were used to train or choose the model.")
    if split == "val" and chosen_by:
        notes.append("Learning rate, epoch and thresholds were chosen on these films: the numbers are too favourable.")
    return notes
