"""Bootstrap of concordance and AUROC against the same draws written out subject by subject."""

from __future__ import annotations

import time as clock

import numpy as np
import pytest

from hilum.metrics.replicates import draw_blocks
from hilum.metrics.survival import discrimination, harrell_c, time_dependent_auroc, uno_c
from tests.metrics.survival_subjects import drawn

DRAWS = 70  # more than one block
SUBJECTS = drawn(2, 40, censored=0.6, competing=0.2)
PATIENTS = np.array([f"p{number % 25}" for number in range(40)])
AT = [10.0, 40.0]


def test_replicates_are_those_of_drawing_whole_patients() -> None:
    found = discrimination(*SUBJECTS, PATIENTS, at=AT, tau=50.0, draws=DRAWS, seed=7)
    ids = np.unique(PATIENTS)
    counts = np.concatenate(list(draw_blocks(len(ids), DRAWS, 7)), axis=1)[:, :DRAWS]
    for r in range(DRAWS):
        rows = np.repeat(np.arange(40), counts[np.searchsorted(ids, PATIENTS), r])
        time, event, score = (column[rows] for column in SUBJECTS)
        again = [harrell_c(time, event, score), uno_c(time, event, score, tau=50.0)]
        again += time_dependent_auroc(time, event, score, AT)
        again = [np.nan if value is None else value for value in again]
        np.testing.assert_allclose(found.replicates[:, r], again, atol=1e-12)
    assert found.harrell.value == harrell_c(*SUBJECTS)
    assert found.uno.value == uno_c(*SUBJECTS, tau=50.0)
    assert [estimate.value for estimate in found.auroc] == list(time_dependent_auroc(*SUBJECTS, AT))
    low, high = np.quantile(found.replicates[0], (0.025, 0.975))
    assert (found.harrell.low, found.harrell.high, found.harrell.draws) == (low, high, DRAWS)
    assert (found.harrell.n, found.harrell.n_patients) == (40, 25)
    met = SUBJECTS.event == 1
    assert found.harrell.n_positive == met.sum()
    assert found.uno.n_positive == (met & (SUBJECTS.time < 50)).sum()
    assert found.auroc[0].n_positive == (met & (SUBJECTS.time <= 10)).sum()


def test_order_of_rows_and_more_draws_change_nothing() -> None:
    first = discrimination(*SUBJECTS, PATIENTS, at=AT, draws=30, seed=1)
    mixed = np.random.default_rng(0).permutation(40)
    turned = discrimination(*(column[mixed] for column in SUBJECTS), PATIENTS[mixed], at=AT, draws=70, seed=1)
    np.testing.assert_allclose(turned.replicates[:, :30], first.replicates, atol=1e-12)
    same = discrimination(*(column[mixed] for column in SUBJECTS), PATIENTS[mixed], at=AT, draws=30, seed=1)
    assert same.pairing == first.pairing


def test_differences_are_paired() -> None:
    time, event, score = SUBJECTS
    first = discrimination(time, event, score, PATIENTS, draws=DRAWS)
    same = discrimination(time, event, 2 * score, PATIENTS, draws=DRAWS)
    gap = first.difference(same, "uno")
    assert (gap.value, gap.low, gap.high, gap.p) == pytest.approx((0, 0, 0, 1))
    noise = discrimination(time, event, np.sin(np.arange(40.0)), PATIENTS, draws=DRAWS)
    gap = first.difference(noise, "harrell")
    assert gap.value == pytest.approx((first.harrell.value or 0) - (noise.harrell.value or 0))
    low, high = np.nanquantile(first.replicates[0] - noise.replicates[0], (0.025, 0.975))
    assert (gap.low, gap.high) == (pytest.approx(low), pytest.approx(high))
    with pytest.raises(ValueError, match="same patients"):
        first.difference(discrimination(time, event, score, PATIENTS, draws=DRAWS, seed=1), "harrell")
    with pytest.raises(ValueError, match="same patients"):
        first.difference(discrimination(time + 1, event, score, PATIENTS, draws=DRAWS), "harrell")


def test_undefined_says_why() -> None:
    nobody = discrimination([], [], [], [], at=[1.0], draws=5)
    assert (nobody.harrell.value, nobody.harrell.reason, nobody.auroc[0].reason) == (None, "no subject", "no subject")
    censored = discrimination([1, 2, 3], [0, 0, 0], [1, 2, 3], ["a", "b", "c"], at=[2.0], draws=5)
    assert (censored.uno.value, censored.uno.reason) == (None, "no comparable pair")
    assert censored.auroc[0].reason == "no event by then"
    late = discrimination([1, 2, 3], [1, 1, 1], [1, 2, 3], ["a", "b", "c"], at=[3.0], draws=5)
    assert late.auroc[0].reason == "nobody followed longer"
    alone = discrimination([1, 2], [1, 0], [2, 1], ["a", "a"], draws=5)
    assert (alone.harrell.value, alone.harrell.low, alone.harrell.reason) == (1.0, None, "one patient: no interval")
    assert censored.difference(censored, "harrell").reason == "no comparable pair"


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="confidence"):
        discrimination([1], [1], [1], ["a"], confidence=95)
    with pytest.raises(ValueError, match="one for each of 1"):
        discrimination([1], [1], [1], ["a", "b"])


@pytest.mark.slow
def test_a_thousand_draws_of_ten_thousand_subjects_take_seconds() -> None:
    subjects = drawn(0, 10_000, censored=0.9, digits=None)
    discrimination(*SUBJECTS, PATIENTS, at=AT, draws=5)  # compile
    began = clock.monotonic()
    found = discrimination(*subjects, np.arange(10_000), at=np.arange(10, 100, 10), tau=90.0)
    assert found.harrell.draws == 1000
    assert clock.monotonic() - began < 30
