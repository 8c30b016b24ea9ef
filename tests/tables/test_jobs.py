"""A job is done once; a miniature changes how long and how wide, never what is learned by which rule."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from hilum.lookup import lookup
from hilum.tables import TABLES
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.jobs import MINIATURE, Place, do_job, options_of
from hilum.tables.record import Job
from hilum.tables.stand_in import make_stand_in
from tests.tables.conftest import RUNNER

FREE = {"fraction", "shots", "head_set", *(name for values in MINIATURE.values() for name in values)}
FREE |= {"draws", "examples"}  # of tasks that are only asked
JOBS = {job.name: job for name in TABLES for job in lookup(TABLES, name, kind="table")().jobs().values()}


@pytest.mark.parametrize("name", JOBS)
def test_miniatures_differ_in_size_alone(name: str) -> None:
    whole, small = (options_of(JOBS[name], "E", "D", 0, miniature=miniature) for miniature in (False, True))
    differing = {one.name for one in fields(whole) if getattr(whole, one.name) != getattr(small, one.name)}
    assert differing <= FREE
    if JOBS[name].preset and "glori" in JOBS[name].preset:
        assert small.head_set["dim"] == 32


def test_labels_are_the_data_sets_unless_the_table_has_others() -> None:
    job = Job("classify", "rsna-pneumonia", None, {}, "rsna-pneumonia")
    assert options_of(job, "E", "D", 3).labels == ("Pneumonia",)
    assert options_of(job, "E", "D", 3).seed == 3
    other = Job("classify", "rsna-pneumonia", None, {"labels": ("NoFinding",)}, "rsna-pneumonia")
    assert options_of(other, "E", "D", 0).labels == ("NoFinding",)


def test_a_table_of_run_lengths_is_used_where_it_lies(tmp_path: Path) -> None:
    job = next(job for job in JOBS.values() if job.task == "segment")
    assert options_of(job, "E", str(tmp_path), 0).masks is None
    (tmp_path / "masks.csv").touch()
    assert options_of(job, "E", str(tmp_path), 0).masks == str(tmp_path / "masks.csv")


def test_a_job_is_done_once_and_elsewhere_if_so_asked(films: Path, tiny: Path, tmp_path: Path) -> None:
    for name in ("covid-cohen", "covid-sirm"):
        make_stand_in(DATA_SETS[name], tmp_path / "data", films)
    job = Job("classify", "covid-cohen", None, {"lrs": (1e-3,)}, "covid-sirm")
    place = Place(tmp_path / "data", tmp_path / "out", RUNNER, draws=100, miniature=True)
    folder = tmp_path / "out" / "job"
    judged = do_job(job, str(tiny), folder, 0, place)
    assert "covid-sirm" in (judged / "results.json").read_text()
    written = (judged / "results.json").stat().st_mtime_ns
    assert do_job(job, str(tiny), folder, 0, place) == judged
    assert (judged / "results.json").stat().st_mtime_ns == written
    (folder / "done.json").unlink()  # stopped before it was written: judged again, not trained again
    trained = (folder / "run" / "model" / "config.json").stat().st_mtime_ns
    do_job(job, str(tiny), folder, 0, place)
    assert (judged / "results.json").stat().st_mtime_ns > written
    assert (folder / "run" / "model" / "config.json").stat().st_mtime_ns == trained
