"""Nested label fractions, of patients and of films, and what is saved of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError, ManifestError
from hilum.labels import fraction_record, nested_fraction
from hilum.manifest import Manifest
from tests.labels.tables import NAN, manifest


@pytest.fixture(scope="module")
def archive() -> Manifest:
    """1,000 patients with 1-4 films; a common, a less common and a rare finding (8 patients)."""
    rng = np.random.default_rng(3)
    films = rng.integers(1, 5, size=1000)
    patient = np.repeat(np.arange(1000), films)
    common, less = rng.random(1000) < 0.3, rng.random(1000) < 0.1
    rare = np.isin(np.arange(1000), rng.choice(1000, size=8, replace=False))
    table = pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(len(patient))],
            "patient_id": [f"p{i}" for i in patient],
            "split": np.where(patient < 800, "train", np.where(patient < 900, "val", "test")),
            "label.Edema": common[patient].astype(float),
            "label.Mass": less[patient].astype(float),
            "label.Hernia": rare[patient].astype(float),
        }
    )
    return Manifest.from_table(table, ".")


def training_patients(films: Manifest) -> set[str]:
    return set(films.select("train").table["patient_id"])


@pytest.mark.parametrize("seed", range(5))
def test_fractions_are_nested_by_patient_and_leave_other_splits_whole(archive: Manifest, seed: int) -> None:
    parts = [nested_fraction(archive, fraction, seed) for fraction in (0.01, 0.1, 0.5, 1.0)]
    patients = [training_patients(part) for part in parts]
    assert [len(p) for p in patients] == [8, 80, 400, 800]
    assert all(small < large for small, large in pairwise(patients))
    for part in parts:
        for split in ("val", "test"):
            pd.testing.assert_frame_equal(part.select(split).table, archive.select(split).table)
        kept = part.table["patient_id"].value_counts()
        assert (archive.table["patient_id"].value_counts()[kept.index] == kept).all()  # nobody is cut in half
    pd.testing.assert_frame_equal(parts[-1].table, archive.table)


@pytest.mark.parametrize("seed", range(5))
def test_fractions_are_stratified_and_keep_a_rare_finding(archive: Manifest, seed: int) -> None:
    def shares(films: Manifest) -> pd.Series:
        train = films.select("train").table
        return train.groupby("patient_id")[["label.Edema", "label.Mass", "label.Hernia"]].max().mean()

    tenth, all_of_them = shares(nested_fraction(archive, 0.1, seed)), shares(archive)
    assert abs(tenth - all_of_them)[["label.Edema", "label.Mass"]].max() < 0.06
    small = nested_fraction(archive, 0.01, seed).select("train").table
    for finding in archive.findings:
        assert set(small[f"label.{finding}"]) == {0.0, 1.0}


def test_fraction_depends_on_seed_and_patients_only(archive: Manifest) -> None:
    chosen = training_patients(nested_fraction(archive, 0.1, 0))
    assert chosen != training_patients(nested_fraction(archive, 0.1, 1))
    shuffled = Manifest.from_table(archive.table.sample(frac=1, random_state=0), ".")
    assert chosen == training_patients(nested_fraction(shuffled, 0.1, 0))


def test_fraction_counts_only_patients_with_a_known_label() -> None:
    films = manifest({"Edema": [1, 0] * 10 + [NAN] * 80})
    assert len(training_patients(nested_fraction(films, 0.5, 0, ["Edema"]))) == 10


def test_fraction_faults() -> None:
    films = manifest({"Edema": [1, 0]})
    for wrong in (0.0, 1.5, -1.0):
        with pytest.raises(ConfigError, match=r"fraction must be in \(0, 1\]"):
            nested_fraction(films, wrong, 0)
    with pytest.raises(ManifestError, match="no training patient has a known label for Edema"):
        nested_fraction(manifest({"Edema": [NAN, NAN]}), 0.1, 0, ["Edema"])


def test_fraction_record_names_the_patients(archive: Manifest) -> None:
    record = fraction_record(nested_fraction(archive, 0.01, 0), 0.01, 0)
    assert record["n_patients"] == len(record["patients"]) == 8
    assert len(record["digest"]) == 64
    assert record == fraction_record(nested_fraction(archive, 0.01, 0), 0.01, 0)


def test_fractions_of_films_are_nested_stratified_and_listed(archive: Manifest) -> None:
    parts = [nested_fraction(archive, fraction, 0, unit="image") for fraction in (0.01, 0.1, 1.0)]
    films = [set(part.select("train").table["image_id"]) for part in parts]
    total = len(archive.select("train"))
    assert [len(part) for part in films] == [round(total * 0.01), round(total * 0.1), total]
    assert all(small < large for small, large in pairwise(films))
    whole = archive.table["patient_id"].value_counts()
    kept = parts[1].select("train").table["patient_id"].value_counts()
    assert (kept < whole[kept.index]).any()  # somebody is cut, as the record says
    assert not set(kept.index) & set(archive.select("test").table["patient_id"])
    record = fraction_record(parts[0], 0.01, 0, unit="image")
    assert (record["unit"], record["images"]) == ("image", sorted(films[0]))
    assert "partly" in record["rule"]
