"""Uncertainty policies, multi-class targets, checks at the door, nested label fractions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ConfigError, ManifestError
from hilum.labels import (
    LabelPolicy,
    check_both_classes,
    check_findings,
    fraction_record,
    nested_fraction,
    targets_of,
)
from hilum.manifest import Manifest

NAN = np.nan


def manifest(labels: dict[str, list[float]], *, patients: list[str] | None = None, split: str = "train") -> Manifest:
    n = len(next(iter(labels.values())))
    table = pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(n)],
            "patient_id": patients or [f"p{i}" for i in range(n)],
            "split": split,
            **{f"label.{finding}": values for finding, values in labels.items()},
        }
    )
    return Manifest.from_table(table, ".")


def test_policy_turns_uncertain_into_what_it_says_and_leaves_the_rest() -> None:
    films = manifest({"Edema": [1, 0, -1, NAN], "Mass": [-1, -1, 1, 0], "Nodule": [-1, 1, 0, NAN]})
    policy = LabelPolicy.parse("Edema=ones, Mass=zeros")
    got = targets_of(films, ("Edema", "Mass", "Nodule"), policy)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, [[1, 0, NAN], [0, 0, 1], [1, 1, 0], [NAN, 0, NAN]])


@pytest.mark.parametrize(
    ("text", "edema", "mass"),
    [("ignore", "ignore", "ignore"), ("", "ignore", "ignore"), ("zeros,Edema=ones", "ones", "zeros")],
)
def test_policy_reads_default_and_exceptions(text: str, edema: str, mass: str) -> None:
    policy = LabelPolicy.parse(text)
    assert (policy.rule("Edema"), policy.rule("Mass")) == (edema, mass)
    assert LabelPolicy.from_json(policy.to_json()) == policy


def test_policy_faults_are_named() -> None:
    with pytest.raises(ConfigError, match=r"policy: unknown rule .* 'one'\. Did you mean 'ones'\?"):
        LabelPolicy.parse("Edema=one")
    with pytest.raises(ConfigError, match="two rules for Edema"):
        LabelPolicy.parse("Edema=ones,Edema=zeros")
    with pytest.raises(ConfigError, match="two rules for all findings"):
        LabelPolicy.parse("ones,zeros")
    with pytest.raises(ConfigError, match=r"unknown finding 'Edma'.*Did you mean 'Edema'"):
        targets_of(manifest({"Edema": [1, 0]}), ("Edema",), LabelPolicy.parse("Edma=ones"))


def test_findings_are_checked_at_the_door() -> None:
    films = manifest({"Edema": [1, 0], "Mass": [0, 0]})
    with pytest.raises(ConfigError, match=r"unknown finding 'Edma'\. Did you mean 'Edema'\? Known: Edema, Mass"):
        check_findings(films, ("Edma",))
    with pytest.raises(ConfigError, match="named twice"):
        check_findings(films, ("Edema", "Edema"))
    with pytest.raises(ConfigError, match="no finding named"):
        check_findings(films, ())
    with pytest.raises(ManifestError, match=r"train split lacks .* Mass \(0 positive, 2 negative\)"):
        check_both_classes(targets_of(films, ("Edema", "Mass"), LabelPolicy()), ("Edema", "Mass"), split="train")


def test_multiclass_rows_have_exactly_one_class_or_are_unknown() -> None:
    films = manifest({"NoFinding": [1, 0, NAN, NAN], "Pneumonia": [0, 1, 1, NAN], "Tuberculosis": [0, 0, NAN, 0]})
    names = ("NoFinding", "Pneumonia", "Tuberculosis")
    got = targets_of(films, names, LabelPolicy(), "multiclass")
    np.testing.assert_array_equal(got, [[1, 0, 0], [0, 1, 0], [0, 1, 0], [NAN] * 3])
    with pytest.raises(ManifestError, match=r"1 of 2 films do not have exactly one .* first '1'"):
        targets_of(manifest({"Edema": [1, 1], "Mass": [0, 1]}), ("Edema", "Mass"), LabelPolicy(), "multiclass")
    with pytest.raises(ManifestError, match="1 of 2 films"):
        targets_of(manifest({"Edema": [1, 0], "Mass": [0, 0]}), ("Edema", "Mass"), LabelPolicy(), "multiclass")


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
