"""Sets under common names: renamed, linked, their sources told apart, and what cannot be learned listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hilum.benchmarking.cross_sets import cross_sets
from hilum.errors import ConfigError
from tests.benchmarking.conftest import write_films


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    write_films(tmp_path / "here", patients=15, seed=1)
    write_films(tmp_path / "there", patients=15, seed=2, names=("Mass", "Fluid"))
    return [str(tmp_path / "here"), str(tmp_path / "there")]


def test_findings_get_their_common_names(two: list[str], tmp_path: Path) -> None:
    here, there = cross_sets(two, tmp_path / "out", label_names={"there": {"Fluid": "Effusion"}})
    assert here.findings == there.findings == ("Mass", "Effusion")
    assert set(there.manifest.table["source"]) == {"there"}
    there.manifest.check_files()
    assert there.manifest.root == tmp_path / "out" / "data" / "there"
    original = pd.read_csv(tmp_path / "there" / "manifest.csv")
    assert there.manifest.table["label.Effusion"].tolist() == original["label.Fluid"].tolist()
    assert "label.Fluid" in original


def test_what_no_other_set_labels_is_listed(two: list[str], tmp_path: Path) -> None:
    here, there = cross_sets(two, tmp_path / "out")
    assert (here.findings, here.alone, there.alone) == (("Mass",), ("Effusion",), ("Fluid",))


def test_what_cannot_be_learned_is_listed_with_its_counts(two: list[str], tmp_path: Path) -> None:
    path = tmp_path / "here" / "manifest.csv"
    table = pd.read_csv(path)
    table.loc[table["split"] == "val", "label.Effusion"] = 0
    table.to_csv(path, index=False)
    here, there = cross_sets(two, tmp_path / "out", label_names={"there": {"Fluid": "Effusion"}})
    assert here.findings == ("Mass",)
    assert here.unfit == {"Effusion": "0 positive and 6 negative films in val"}
    assert there.findings == ("Mass", "Effusion")


def test_screening_crosses_sets_whose_labels_differ(two: list[str], tmp_path: Path) -> None:
    here, there = cross_sets(two, tmp_path / "out", labels=("NoFinding",))
    assert here.findings == there.findings == ("NoFinding",)
    assert there.derived is not None
    assert "NoFinding is derived from 2 labels (Mass, Fluid)" in there.derived
    table = there.manifest.table
    assert ((table["label.NoFinding"] == 1) == ((table["label.Mass"] == 0) & (table["label.Fluid"] == 0))).all()


def test_a_second_call_leaves_the_tables_alone(two: list[str], tmp_path: Path) -> None:
    cross_sets(two, tmp_path / "out")
    path = tmp_path / "out" / "data" / "here" / "manifest.parquet"
    when = path.stat().st_mtime_ns
    cross_sets(two, tmp_path / "out")
    assert path.stat().st_mtime_ns == when
    cross_sets(two, tmp_path / "out", label_names={"here": {"Mass": "Nodule"}, "there": {"Mass": "Nodule"}})
    assert "label.Nodule" in pd.read_parquet(path)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"label_names": {"elsewhere": {}}}, "elsewhere.*none of the sets"),
        ({"label_names": {"there": {"Fluidd": "Effusion"}}}, "there has no finding 'Fluidd'.*Fluid"),
        ({"label_names": {"there": {"Fluid": "Mass"}}}, "two columns label.Mass"),
        ({"labels": ["Fluid"]}, "'Fluid' is not labelled in two sets.*Shared: Mass"),
        ({"label_names": {"there": {"Mass": "Nodule"}}}, "share no finding.*here: Mass, Effusion"),
    ],
)
def test_wrong_names_are_refused(two: list[str], tmp_path: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        cross_sets(two, tmp_path / "out", **options)


def test_one_set_is_no_matrix(two: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least two data folders"):
        cross_sets(two[:1], tmp_path / "out")
    with pytest.raises(ConfigError, match="two sets are called here"):
        cross_sets([two[0], two[0]], tmp_path / "out")
