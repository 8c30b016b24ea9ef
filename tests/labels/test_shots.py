"""K-shot sets: enough of both classes of every finding, nested, by patient, and no more than the rule asks for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import ConfigError, ManifestError
from hilum.labels import LabelPolicy, few_shots, fraction_record
from hilum.manifest import Manifest
from tests.labels.tables import NAN, manifest

FINDINGS = ("Edema", "Mass", "Hernia")


@pytest.fixture(scope="module")
def archive() -> Manifest:
    """400 training patients of one to three films; three findings of 40 %, 10 % and 3 %; a tenth of the cells blank."""
    rng = np.random.default_rng(7)
    patient = np.repeat(np.arange(500), rng.integers(1, 4, size=500))
    columns = {}
    for finding, share in zip(FINDINGS, (0.4, 0.1, 0.03), strict=True):
        values = (rng.random(500) < share).astype(float)[patient]
        columns[f"label.{finding}"] = np.where(rng.random(len(patient)) < 0.1, NAN, values)
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(len(patient))], "patient_id": [f"p{i}" for i in patient]})
    return Manifest.from_table(table.assign(split=np.where(patient < 400, "train", "test"), **columns), ".")


def counts(films: Manifest) -> dict[str, tuple[int, int]]:
    """Positive and negative training patients of each finding, counted one patient at a time."""
    found = dict.fromkeys(FINDINGS, (0, 0))
    for _, rows in films.select("train").table.groupby("patient_id"):
        for finding in FINDINGS:
            cells = set(rows[f"label.{finding}"])
            positive, negative = found[finding]
            found[finding] = (positive + (1.0 in cells), negative + (0.0 in cells and 1.0 not in cells))
    return found


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_enough_of_both_classes_nested_and_whole_patients(archive: Manifest, seed: int) -> None:
    parts = [few_shots(archive, shots, seed, FINDINGS) for shots in (1, 3, 8)]
    for shots, part in zip((1, 3, 8), parts, strict=True):
        assert all(min(pair) >= shots for pair in counts(part).values())
        kept, whole = (films.select("train").table["patient_id"].value_counts() for films in (part, archive))
        assert (kept == whole[kept.index]).all()
        assert len(part.select("test")) == len(archive.select("test"))
        assert len(kept) <= 2 * shots * len(FINDINGS)
    patients = [set(part.select("train").table["patient_id"]) for part in parts]
    assert all(small < large for small, large in pairwise(patients))


def test_one_finding_has_exactly_k_of_each_and_classes_need_no_others() -> None:
    binary = manifest({"Edema": [1.0] * 30 + [0.0] * 70})
    train = few_shots(binary, 5, 0, ("Edema",)).table["label.Edema"]
    assert (int(train.sum()), len(train)) == (5, 10)
    classes = {name: [float(row % 3 == at) for row in range(90)] for at, name in enumerate(("NoFinding", "A", "B"))}
    part = few_shots(manifest(classes), 4, 0, ("NoFinding", "A", "B"), kind="multiclass").table
    assert [int(part[f"label.{name}"].sum()) for name in classes] == [4, 4, 4]
    assert len(part) == 12


def test_negatives_are_first_those_without_any_finding() -> None:
    films = manifest({"Edema": [1.0] * 20 + [0.0] * 20, "Mass": [NAN] * 20 + [1.0] * 10 + [0.0] * 10})
    part = few_shots(films, 3, 0, ("Edema",)).table  # asked for alone, Mass does not matter
    assert len(part) == 6
    both = few_shots(films, 3, 0, ("Edema", "Mass")).table
    assert (both["label.Edema"] == 1).sum() == (both["label.Mass"] == 1).sum() == 3
    assert len(both) == 9  # the positives of Mass are negatives of Edema; Mass needs three that have neither


def test_uncertain_labels_count_by_the_policy() -> None:
    films = manifest({"Edema": [-1.0] * 6 + [0.0] * 6})
    with pytest.raises(ManifestError, match=r"fewer than 2 training patients of Edema \(0 positive\)"):
        few_shots(films, 2, 0, ("Edema",))
    assert len(few_shots(films, 2, 0, ("Edema",), LabelPolicy.parse("ones"))) == 4


def test_another_seed_another_set_and_faults(archive: Manifest) -> None:
    one, two = (few_shots(archive, 5, seed, FINDINGS) for seed in (0, 1))
    assert set(one.table["patient_id"]) != set(two.table["patient_id"])
    shuffled = Manifest.from_table(archive.table.sample(frac=1, random_state=0), ".")
    assert set(few_shots(shuffled, 5, 0, FINDINGS).table["patient_id"]) == set(one.table["patient_id"])
    assert fraction_record(one, 1.0, 0, shots=5)["shots"] == 5
    with pytest.raises(ConfigError, match="shots: must be at least 1, not 0"):
        few_shots(archive, 0, 0, FINDINGS)
    with pytest.raises(ManifestError, match=r"fewer than 200 training patients of .*Hernia \(\d+ positive\)"):
        few_shots(archive, 200, 0, FINDINGS)
