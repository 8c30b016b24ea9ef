"""Guards of an honest evaluation: whose films may be judged, and what the page must say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hilum.encoder import Encoder
from hilum.errors import ConfigError, ManifestError
from hilum.evaluation.classifier import Record, TrainedClassifier, build_classifier
from hilum.evaluation.features import Runner
from hilum.evaluation.predict import films_to_judge, predict
from hilum.manifest import Manifest

RECORD = Record(("Mass", "Effusion"))
NOBODY: dict[str, Any] = {"patients": [], "val_patients": [], "sources": []}


def with_columns(films: Path, **columns: Any) -> Manifest:
    return Manifest.from_table(Manifest.read(films).table.assign(**columns), films)


def test_the_training_split_needs_leave(films: Path) -> None:
    manifest = Manifest.read(films)
    with pytest.raises(ConfigError, match="not judged on the split it learned from"):
        films_to_judge(RECORD, manifest, "train", patients=NOBODY)
    assert len(films_to_judge(RECORD, manifest, "train", patients=NOBODY, allow_train=True).manifest) == 72


@pytest.mark.parametrize("where", ["patients", "val_patients"])
def test_known_patients_are_refused_with_their_number(films: Path, where: str) -> None:
    manifest = Manifest.read(films)
    seen = {**NOBODY, where: ["PATIENT004", "patient009", "patient000"]}  # case does not hide anybody
    with pytest.raises(ConfigError, match=r"2 of 12 patients of the test split were used .* 'patient004'"):
        films_to_judge(RECORD, manifest, "test", patients=seen)
    allowed = films_to_judge(RECORD, manifest, "test", patients=seen, allow_train=True)
    assert allowed.notes[0].startswith("NOT AN HONEST RESULT: 2 of the patients")


def test_patients_of_another_source_are_others(films: Path) -> None:
    seen = {**NOBODY, "patients": ["patient004"], "sources": ["here"]}
    assert films_to_judge(RECORD, with_columns(films, source="there"), "test", patients=seen).notes == ()
    with pytest.raises(ConfigError, match="1 of 12 patients"):
        films_to_judge(RECORD, with_columns(films, source="here"), "test", patients=seen)


def test_validation_films_come_with_a_warning(films: Path) -> None:
    seen = {**NOBODY, "val_patients": ["patient003"]}
    notes = films_to_judge(RECORD, Manifest.read(films), "val", patients=seen).notes
    assert notes == ("Learning rate, epoch and thresholds were chosen on these films: the numbers are too favourable.",)


def test_unrecorded_patients_are_said(films: Path) -> None:
    notes = films_to_judge(RECORD, Manifest.read(films), "test", patients=None).notes
    assert "overlap could not be checked" in notes[0]


def test_views_of_training_are_kept(films: Path) -> None:
    record = Record(("Mass",), origin={"views": ["PA"]})
    judged = films_to_judge(record, Manifest.read(films), "test", patients=NOBODY)
    assert set(judged.manifest.table["view_position"]) == {"PA"}
    assert judged.notes == ("Only films with the views PA, as in training.",)
    asked = films_to_judge(record, Manifest.read(films), "test", views=("AP",), patients=NOBODY)
    assert set(asked.manifest.table["view_position"]) == {"AP"}
    with pytest.raises(ManifestError, match="no films in the test split with views LATERAL"):
        films_to_judge(record, Manifest.read(films), "test", views=("LATERAL",), patients=NOBODY)


def test_labels_by_the_policy_of_training_and_missing_findings_named(films: Path) -> None:
    labels = np.where(np.arange(120) % 3 == 0, -1.0, 0.0)
    manifest = with_columns(films, **{"label.Mass": labels})
    record = Record(("Mass", "Hernia"), policy={"default": "ignore", "rules": {"Mass": "ones"}})
    judged = films_to_judge(record, manifest, "test", patients=NOBODY)
    assert set(judged.targets[:, 0]) == {0.0, 1.0}
    assert np.isnan(judged.targets[:, 1]).all()
    assert judged.notes == (
        "The table has no labels for Hernia.",
        "Uncertain labels count as ignore, Mass as ones, as in training.",
    )
    with pytest.raises(ManifestError, match=r"has labels for none of Hernia\. It has: Mass, Effusion"):
        films_to_judge(Record(("Hernia",)), manifest, "test", patients=NOBODY)


def test_predictions_do_not_depend_on_the_batch(encoder: Encoder, films: Path) -> None:
    model = build_classifier(encoder.model.config, RECORD).eval()
    judged = films_to_judge(RECORD, with_columns(films, sex="F", age=50.0), "test", patients=NOBODY)
    trained = TrainedClassifier(model, encoder.preprocessing, RECORD)
    one, two = (predict(trained, judged, runner=Runner(device="cpu", batch_size=size, quiet=True)) for size in (24, 7))
    pd.testing.assert_frame_equal(one, two, rtol=1e-5)
    assert list(one.columns) == [
        "image_id",
        "study_id",
        "patient_id",
        "split",
        "view_position",
        "age",
        "sex",
        "label.Mass",
        "label.Effusion",
        "score.Mass",
        "score.Effusion",
    ]
