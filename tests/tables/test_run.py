"""Tables run to their end on stand-ins; faults cost their own cells; what is done stays done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.lookup import lookup
from hilum.tables import TABLES
from hilum.tables.data_sets import DATA_SETS
from hilum.tables.record import PaperTable
from hilum.tables.run import TINY, WARNING, Filled, jobs_of, run_table
from hilum.tables.stand_in import make_stand_in
from tests.tables.conftest import RUNNER

QUICK = ("mrm-table-3", "maco-table-4", "medim-table-2")  # fine-tuning, grounding, retrieval


def table(name: str) -> PaperTable:
    found = lookup(TABLES, name, kind="table")()
    assert isinstance(found, PaperTable)
    return found


def miniature(name: str, out: Path, **more: Any) -> Filled:
    return run_table(table(name), None, out, miniature=True, draws=100, runner=RUNNER, **more)


def check_filled(name: str, filled: Filled) -> None:
    """Every cell of ours has a number, or nothing was asked of it; each published number stands where it was."""
    paper, results = table(name), filled.results
    assert json.loads((filled.folder / "results.json").read_text()) == json.loads(json.dumps(results))
    assert results["warning"] == WARNING
    assert not results["faults"]
    ours = [row for row in results["rows"] if row["method"] == TINY]
    assert len(ours) == sum(setting.job for setting in paper.settings)
    filled_cells = 0
    for row in ours:
        for column, cell in zip(paper.columns, row["cells"], strict=True):
            assert cell["published"] is None
            if cell["ours"] is not None:
                assert cell["ours"]["value"] is not None, (row["setting"], column.key, cell["ours"]["reason"])
                assert -5 <= cell["ours"]["value"] <= 5
                filled_cells += 1
    assert filled_cells >= len(paper.jobs())
    published = [row for row in results["rows"] if row["method"] != TINY]
    assert len(published) == len(paper.rows)
    page = filled.page.read_text()
    assert WARNING in page
    assert all(reason.replace("'", "&#39;") in page for reason in results["flags"])


@pytest.mark.parametrize("name", QUICK)
def test_tables_run_to_their_end(name: str, tmp_path: Path) -> None:
    check_filled(name, miniature(name, tmp_path / "out"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TABLES if name not in QUICK])
def test_all_other_tables_run_to_their_end(name: str, tmp_path: Path) -> None:
    check_filled(name, miniature(name, tmp_path / "out"))


@pytest.fixture(scope="module")
def retrieved(films: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Filled]:
    """Table 2 of MedIM with one of its own encoders and one of ours, on data that are there."""
    root = tmp_path_factory.mktemp("data")
    make_stand_in(DATA_SETS["mimic-cxr-retrieval"], root, films)
    out = tmp_path_factory.mktemp("filled") / "out"
    given = {"medim": str(tiny), "mine": str(tiny)}
    return root, out, run_table(table("medim-table-2"), root, out, encoders=given, draws=100, runner=RUNNER)


def test_an_encoder_fills_its_row_or_gets_its_own(retrieved: tuple[Path, Path, Filled]) -> None:
    rows = {row["method"]: row["cells"] for row in retrieved[2].results["rows"]}
    assert list(rows) == ["MGCA", "MedIM", "mine"]
    assert all(cell["ours"] is None for cell in rows["MGCA"])
    assert rows["MedIM"][0]["published"]["value"] == 7.67
    assert [cell["ours"] for cell in rows["MedIM"]] == [cell["ours"] for cell in rows["mine"]]
    assert all(cell["published"] is None for cell in rows["mine"])
    assert retrieved[2].results["warning"] == ""
    assert retrieved[2].lines[0] == "medim-table-2: 12 of 12 cells of 2 encoders"


def test_another_call_goes_on_and_may_add_encoders(retrieved: tuple[Path, Path, Filled], tiny: Path) -> None:
    root, out, _ = retrieved
    paper = table("medim-table-2")
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("judged/results.json")}
    assert len(stamps) == 2
    given = {"medim": str(tiny), "mine": str(tiny), "third": str(tiny)}
    again = run_table(paper, root, out, encoders=given, draws=100, runner=RUNNER, resume=True)
    assert again.lines[0] == "medim-table-2: 18 of 18 cells of 3 encoders"
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    for changed in ({"draws": 200}, {"encoders": {"mine": str(root)}}, {"seeds": (1,)}):
        with pytest.raises(ConfigError, match="was begun with another"):
            run_table(paper, root, out, **{"encoders": given, "draws": 100, "resume": True, **changed})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not empty"):
        run_table(paper, root, out, encoders=given, draws=100)


def test_faults_cost_their_own_cells(films: Path, tiny: Path, tmp_path: Path) -> None:
    make_stand_in(DATA_SETS["ms-cxr"], tmp_path / "data", films)
    given = {"maco-weighted": str(tiny), "mae": str(tmp_path)}
    filled = run_table(
        table("maco-table-5"), tmp_path / "data", tmp_path / "out", encoders=given, draws=100, runner=RUNNER
    )
    rows = {row["method"]: row["cells"] for row in filled.results["rows"]}
    weighted = rows["+Interaction Weighted"]
    assert all(cell["ours"]["value"] is not None for cell in weighted[:3])
    assert {cell["ours"]["reason"] for cell in weighted[3:]} == {"the data set rsna-pneumonia is not there"}
    assert rows["+CLIP"][0]["ours"] is None
    assert all(cell["ours"]["value"] is None and cell["ours"]["reason"] for cell in rows["mae"])
    assert len(filled.results["faults"]) == 7
    assert "rsna-pneumonia is not there" in filled.page.read_text()


def test_what_cannot_begin_says_why(tiny: Path, tmp_path: Path) -> None:
    paper, given = table("mrm-table-3"), {"mrm": str(tiny)}
    with pytest.raises(ConfigError, match="no encoder is named"):
        run_table(paper, tmp_path, tmp_path / "a")
    with pytest.raises(ConfigError, match=r"none of its data sets is there.*--dry-run"):
        run_table(paper, tmp_path, tmp_path / "b", encoders=given)
    with pytest.raises(ConfigError, match="50 are too few"):
        run_table(paper, tmp_path, tmp_path / "c", encoders=given, draws=50)


def test_an_encoder_of_some_rows_is_run_for_their_settings_alone() -> None:
    paper = table("chexfound-table-5")
    assert len(jobs_of(paper, "chexfound-cxr-207k-vit-base")) == 5
    assert len(jobs_of(paper, "mine")) == len(paper.jobs())
    ablation = table("mrm-table-2")
    assert len(jobs_of(ablation, "mrm")) == 3
