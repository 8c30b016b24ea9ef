"""Risks as evidence: the concordance of `discrimination`, and a follow-up that must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import UserError
from hilum.metrics.survival import discrimination
from hilum.results.judgement import open_judgement
from tests.results.judged_folders import subjects, survival_results, write_folder


def test_concordance_is_that_of_the_persons(tmp_path: Path) -> None:
    table = subjects(2.0)
    found = open_judgement(write_folder(tmp_path / "one", survival_results(), subjects=table))
    columns = (table[name] for name in ("time", "event", "score", "patient_id"))
    known = discrimination(*columns, at=[200.0], tau=200.0, draws=30, seed=2)
    for metric, expected in (("harrell", known.harrell), ("uno", known.uno), ("auroc", known.auroc[0])):
        sample = found.replicates(metric, 30, 2)
        assert (sample.points[0], sample.counts[0].n) == (pytest.approx(expected.value), 80)
    assert found.evidence.tests(found.evidence, "harrell", 10, 0) is None


def test_other_follow_up_or_horizon_is_refused(tmp_path: Path) -> None:
    changed = subjects(1.0)
    changed.loc[3, "time"] += 1
    one, two, three = (
        open_judgement(write_folder(tmp_path / str(k), survival_results(horizon), subjects=table))
        for k, (horizon, table) in enumerate(((200, subjects(2.0)), (200, changed), (100, subjects(1.0))))
    )
    with pytest.raises(UserError, match="the time of 1 differs, the first is 'Death: p3'"):
        two.like(one, ["Death"])
    with pytest.raises(UserError, match="the horizons of Death differ: 200 and 100 days"):
        three.like(one, ["Death"])
