"""Opening judged folders, naming them, and refusing what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.errors import ConfigError, UserError
from hilum.lookup import lookup
from hilum.results.judgement import KINDS, judged_folder, open_judgement, open_judgements
from tests.results.judged_folders import items, write_folder, write_scores


def test_every_kind_has_a_reader() -> None:
    assert all(callable(lookup(KINDS, task, kind="task")) for task in KINDS)


def test_a_run_with_one_judged_folder_inside_is_that_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    inside = write_scores(run / "evaluate-test-0123", n=30)
    assert judged_folder(run) == judged_folder(inside) == inside
    found = open_judgement(run)
    assert (found.task, found.name, found.folder) == ("classification", "run", inside)
    assert next(iter(found.metrics)) == "auroc"
    write_scores(run / "evaluate-val-0123", n=30)
    with pytest.raises(UserError, match=r"was judged 2 times.*evaluate-test-0123"):
        open_judgement(run)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "nothing was judged here"),
        ("{", "holds no results.json that can be read"),
        (json.dumps({"task": "comparison"}), "task 'comparison', which is not compared"),
        (json.dumps({"task": "grounding"}), "written by an older version"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match=says):
        open_judgement(tmp_path)
    with pytest.raises(UserError, match="there is no such folder"):
        open_judgement(tmp_path / "nowhere")


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "one", {"task": "retrieval"}, items=items())
    (folder / "items.parquet").write_bytes(b"not a table")
    with pytest.raises(UserError, match=r"items\.parquet: cannot be read"):
        open_judgement(folder)
    items().drop(columns="category").to_parquet(folder / "items.parquet")
    with pytest.raises(UserError, match="the column 'category' is missing"):
        open_judgement(folder)


def test_names_are_the_shortest_that_differ(tmp_path: Path) -> None:
    places = [write_scores(tmp_path / name / "judged", n=30) for name in ("mae", "random")]
    assert [one.name for one in open_judgements(places)] == ["mae/judged", "random/judged"]
    assert [one.name for one in open_judgements(places, ("A", "B"))] == ["A", "B"]
    with pytest.raises(UserError, match="one folder was given twice"):
        open_judgements([places[0], places[0]])
    with pytest.raises(UserError, match="one folder was given twice"):
        open_judgements([places[0], places[0].parent])


def test_other_films_are_named(tmp_path: Path) -> None:
    one, two = (open_judgement(write_scores(tmp_path / str(n), n=n)) for n in (30, 33))
    with pytest.raises(UserError, match=r"different films: 3 films only in 33 \('i0030', 'i0031', 'i0032'\)"):
        two.like(one, ["Mass"])


def test_other_tasks_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="unknown task 'prognosis'"):
        lookup(KINDS, "prognosis", kind="task")
