"""Who is left out."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.jackknife import GROUPS, jackknife_blocks, jackknife_groups


def left_out(n_patients: int) -> np.ndarray:
    """(patients, groups) 1 where a patient is left out."""
    table = np.concatenate(list(jackknife_blocks(n_patients)), axis=1)
    groups = jackknife_groups(n_patients)
    assert not table[:, groups:].any()
    return 1 - table[:, :groups]


@pytest.mark.parametrize("n_patients", [1, 5, 64, 130, GROUPS])
def test_each_patient_by_himself(n_patients: int) -> None:
    np.testing.assert_array_equal(left_out(n_patients), np.eye(n_patients))


def test_many_patients_in_equal_groups_each_once() -> None:
    table = left_out(GROUPS * 2 + 7)
    assert (table.sum(axis=1) == 1).all()
    assert sorted(set(table.sum(axis=0))) == [2, 3]
    np.testing.assert_array_equal(table, left_out(GROUPS * 2 + 7))


def test_nobody() -> None:
    assert list(jackknife_blocks(0)) == []
