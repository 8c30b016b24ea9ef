"""Shares of patients for pretraining: nested, whole patients, independent of the order of rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.manifest import Manifest
from hilum.manifest.share import first_patients, share_of_patients


def test_shares_are_nested_and_keep_patients_whole(tiny_data: Path) -> None:
    films = Manifest.read(tiny_data)
    before: set[str] = set()
    for fraction, patients in ((0.05, 1), (0.1, 2), (0.5, 10), (1.0, 20)):
        kept, count = share_of_patients(films, fraction, seed=3)
        found = set(kept.table["patient_id"])
        assert len(found) == count == patients
        assert len(kept) == 2 * count  # two films a patient
        assert before <= found
        before = found


def test_another_seed_is_another_share_and_rows_may_come_in_any_order(tiny_data: Path) -> None:
    films = Manifest.read(tiny_data)
    mixed = Manifest(films.table.sample(frac=1, random_state=1).reset_index(drop=True), films.root)
    shares = {seed: set(share_of_patients(films, 0.3, seed)[0].table["patient_id"]) for seed in range(4)}
    assert shares[0] == set(share_of_patients(mixed, 0.3, 0)[0].table["patient_id"])
    assert len({frozenset(share) for share in shares.values()}) > 1


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, np.nan])
def test_a_share_that_is_none_is_refused(fraction: float, tiny_data: Path) -> None:
    with pytest.raises(ConfigError, match=r"data-fraction.*\(0, 1\]"):
        share_of_patients(Manifest.read(tiny_data), fraction, 0)


def test_the_first_patients_of_a_split_stay_whole_and_other_splits_untouched(tiny_data: Path) -> None:
    films = Manifest.read(tiny_data)
    kept = first_patients(films, {"test": 2, "val": 99})
    counts = kept.table.groupby("split")["patient_id"].nunique().to_dict()
    whole = films.table.groupby("split")["patient_id"].nunique().to_dict()
    assert counts == {**whole, "test": 2}
    assert len(kept.select(split="test")) == 4
