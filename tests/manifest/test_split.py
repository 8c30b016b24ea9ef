"""Splits by keyed hash: by patient, stable, near the fractions."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.errors import ConfigError
from hilum.manifest import assign_splits

EXPECTED = ["train", "train", "train", "train", "train", "train", "train", "train"]
IDS = [f"p{number}" for number in range(5000)]


def test_only_the_patient_and_the_seed_count() -> None:
    whole = assign_splits(IDS, seed=3)
    np.testing.assert_array_equal(assign_splits(IDS[::-1], seed=3), whole[::-1])
    np.testing.assert_array_equal(assign_splits(IDS[:10], seed=3), whole[:10])
    assert (assign_splits(IDS, seed=4) != whole).mean() > 0.3
    films = assign_splits(["a", "b", "A ", "a"], seed=0)
    assert films[0] == films[2] == films[3]


def test_the_draw_never_changes() -> None:
    """Splits saved by an older version must be those that this one draws."""
    assert list(assign_splits(["a", "b", "c", "d", "e", "f", "g", "h"], seed=0)) == EXPECTED


def test_fractions() -> None:
    names, counts = np.unique(assign_splits(IDS, seed=0, fractions=(0.5, 0.2, 0.3)), return_counts=True)
    shares = dict(zip(names, counts / len(IDS), strict=True))
    assert shares == pytest.approx({"train": 0.5, "val": 0.2, "test": 0.3}, abs=0.03)
    assert set(assign_splits(IDS, seed=0, fractions=(0.0, 0.0, 1.0))) == {"test"}
    assert set(assign_splits(IDS, seed=0, fractions=(1.0, 0.0, 0.0))) == {"train"}


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_bad_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="not shares of train, val and test"):
        assign_splits(IDS, seed=0, fractions=fractions)  # type: ignore[arg-type]
