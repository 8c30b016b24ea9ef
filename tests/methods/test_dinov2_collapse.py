"""The numbers that tell a collapse, on closed forms, and the sentence that says it."""

from __future__ import annotations

import math

import pytest
import torch

from hilum.methods.dinov2.collapse import CollapseWatch, effective_rank, measures

FINE = {"effective_rank": 20.0, "student_spread": 100.0, "teacher_entropy": 0.5}


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_effective_rank_counts_equal_directions(rank: int) -> None:
    rows = torch.cat([torch.eye(rank), -torch.eye(rank)])  # centred, all singular values equal
    assert effective_rank(rows).item() == pytest.approx(rank, rel=1e-4)


def test_effective_rank_of_nothing_is_one() -> None:
    assert effective_rank(torch.ones(6, 4)).item() == 1.0
    assert effective_rank(torch.ones(1, 4)).item() == 1.0


def test_measures_of_known_assignments() -> None:
    targets = torch.eye(4)  # sure, and each another
    scores = torch.zeros(4, 4)  # uniform
    classes = torch.eye(4) * 3
    found = measures(targets, scores, classes, temperature=0.1)
    assert found["teacher_entropy"].item() == pytest.approx(0.0, abs=1e-6)
    assert found["student_entropy"].item() == pytest.approx(1.0, abs=1e-5)
    assert found["student_spread"].item() == pytest.approx(4.0, rel=1e-5)
    assert found["nearest_film"].item() == pytest.approx(math.sqrt(2), rel=1e-4)
    sure = measures(targets, torch.eye(4)[:1].repeat(4, 1) * 100, classes, temperature=0.1)
    assert sure["student_spread"].item() == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"effective_rank": 1.2}, "effective rank 1.20"),
        ({"student_spread": 1.1}, "same prototypes"),
        ({"teacher_entropy": 0.999}, "uniform"),
    ],
)
def test_a_collapse_is_said_after_some_steps_and_not_at_each(change: dict[str, float], told: str) -> None:
    watch = CollapseWatch(patience=3)
    said = [watch.look({**FINE, **change}) for _ in range(6)]
    assert [len(lines) for lines in said] == [0, 0, 1, 0, 0, 1]
    assert told in said[2][0]
    assert "koleo_weight" in said[2][0]
    assert watch.look(FINE) == ()
    assert [len(watch.look({**FINE, **change})) for _ in range(2)] == [0, 0]  # counted anew
