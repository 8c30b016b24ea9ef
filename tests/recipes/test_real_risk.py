"""The recipe of risk on real films: which films may be asked about, and what counts as the event."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

PATH = Path(__file__).resolve().parents[2] / "recipes/real_risk.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_real_risk", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(folder: Path, name: str, table: pd.DataFrame) -> Path:
    (folder / name).mkdir()
    table.to_csv(folder / name / "manifest.csv", index=False)
    return folder


def test_films_after_the_event_are_left_out(recipe: ModuleType, tmp_path: Path) -> None:
    nothing = float("nan")
    table = pd.DataFrame(
        {
            "image": list("abcdefg"),
            "icu_admission_offset": [-3, 0, 7, 8, nothing, nothing, nothing],
            "death_offset": [5, 20, nothing, 9, 6, 30, nothing],
        }
    )
    rows = recipe.intensive_care_or_death(written(tmp_path, "hannover_covid", table), days=7)
    assert dict(zip(rows["image"], rows["label.IntensiveCareOrDeath7d"], strict=True)) == {
        "b": 1,
        "c": 1,
        "d": 0,
        "e": 1,
        "f": 0,
        "g": 0,  # nobody says how long he was watched: taken as no
    }


def test_unknown_survival_is_left_out(recipe: ModuleType, tmp_path: Path) -> None:
    table = pd.DataFrame({"image": list("abc"), "survival": ["Y", "N", float("nan")]})
    rows = recipe.death(written(tmp_path, "cohen_covid", table))
    assert dict(zip(rows["image"], rows["label.Death"], strict=True)) == {"a": 0, "b": 1}


def test_counts_are_of_films_and_of_patients(recipe: ModuleType) -> None:
    rows = pd.DataFrame({"split": ["train", "train", "test"], "patient_id": ["p", "p", "q"], "label.Death": [1, 1, 0]})
    text = recipe.counted(rows, "Death")
    assert "| train | 2 | 1 | 2 | 1 |" in text
    assert "| val | 0 | 0 | 0 | 0 |" in text
    assert "| test | 1 | 1 | 0 | 0 |" in text
