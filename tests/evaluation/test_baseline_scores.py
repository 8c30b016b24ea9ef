"""Who teaches the baselines: the classifier's patients, never too many films, and only where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hilum.baselines import BASELINES
from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.baseline_scores import baseline_scores, can_learn, check_baselines
from hilum.evaluation.classifier import Record
from hilum.evaluation.predict import films_to_judge
from hilum.manifest import Manifest
from hilum.metrics.ranking import auroc

RECORD = Record(("Mass", "Effusion"))


def scored(
    films: Path, patients: dict[str, Any] | None = None, **columns: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    manifest = Manifest.from_table(Manifest.read(films).table.assign(**columns), films)
    judged = films_to_judge(RECORD, manifest, "test", patients=None)
    return baseline_scores(list(BASELINES), RECORD, manifest, judged, patients=patients)


def test_baselines_score_every_judged_film(films: Path) -> None:
    scores, notes = scored(films)
    judged = films_to_judge(RECORD, Manifest.read(films), "test", patients=None)
    assert {name: values.shape for name, values in scores.items()} == {"metadata": (24, 2), "hog": (24, 2)}
    assert (auroc(judged.targets[:, 1], scores["hog"][:, 1]) or 0) > 0.8  # a bright edge is a matter of edges
    assert notes["metadata"].startswith("Learned from 72 films of this data set's own train split.")


def test_only_the_classifiers_patients_teach(films: Path) -> None:
    notes = scored(films, {"patients": [f"patient{number:03d}" for number in (0, 1, 2, 5, 6, 7)]})[1]
    assert notes["hog"].startswith("Learned from 12 films of the classifier's training patients.")


def test_of_many_films_some_teach_the_same_each_time(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.evaluation.baseline_scores.MOST", {"train": 30, "val": 10})
    (first, notes), (second, _) = scored(films), scored(films)
    text = "Learned from 30 films of this data set's own train split, drawn by lot from 72."
    assert notes["metadata"].startswith(text)
    np.testing.assert_array_equal(first["hog"], second["hog"])


def test_without_training_films_there_is_nothing_to_learn(films: Path) -> None:
    manifest = Manifest.read(films)
    assert can_learn(manifest, RECORD, patients=None)
    assert not can_learn(manifest.select(split="test"), RECORD, patients=None)
    assert not can_learn(manifest, Record(("Hernia",)), patients=None)
    with pytest.raises(ManifestError, match=r"no training films for the baselines.*--baselines none"):
        scored(films, split="test")


def test_unknown_baselines_are_named() -> None:
    with pytest.raises(ConfigError, match="unknown baseline 'hogg'"):
        check_baselines(["hogg"])
