"""Subgroup tables: bands, pooled and small levels, a planted gap, and corrected p-values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hilum.metrics.bootstrap import bootstrap
from hilum.results.predictions import check_predictions
from hilum.results.subgroups import age_bands, subgroup_results


def table(n: int = 400, *, blind: str = "B") -> pd.DataFrame:
    """A model that sees the finding at site A and guesses at site `blind`; one person a film."""
    rng = np.random.default_rng(0)
    label = (rng.random(n) < 0.4).astype(float)
    site = np.where(np.arange(n) % 2, "A", "B")
    score = np.where(site == blind, rng.random(n), np.clip(0.3 + 0.4 * label + rng.normal(0, 0.1, n), 0, 1))
    return pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(n)],
            "patient_id": [f"p{i}" for i in range(n)],
            "site": site,
            "sex": rng.choice(["F", "M"], n),
            "age": rng.integers(0, 100, n).astype(float),
            "label.Mass": label,
            "score.Mass": score,
        }
    )


def test_a_planted_gap_is_found_and_others_are_not() -> None:
    found = subgroup_results(check_predictions(table()), draws=100, permutations=200)
    rows = {name: entry["findings"]["Mass"] for name, entry in found["attributes"].items()}
    assert list(rows) == ["Sex", "Age band", "Site"]
    assert (rows["Site"]["best"], rows["Site"]["worst"]) == ("A", "B")
    assert rows["Site"]["gap"]["p"] == pytest.approx(1 / 201)
    assert rows["Site"]["holm"] == pytest.approx(3 / 201)
    assert rows["Site"]["gap"]["low"] > 0.2
    assert rows["Sex"]["gap"]["p"] > 0.05


def test_a_level_has_the_auroc_of_its_films_alone() -> None:
    given = table()
    found = subgroup_results(check_predictions(given), draws=20, permutations=1)
    here = given[given["site"] == "A"]
    alone = bootstrap(here[["label.Mass"]], here[["score.Mass"]], here["patient_id"], findings=["Mass"], draws=0)
    level = found["attributes"]["Site"]["findings"]["Mass"]["levels"]["A"]
    assert level["value"] == alone.points["auroc"][0]
    assert level["n"] == 200
    assert found["attributes"]["Site"]["levels"][0]["images"] == 200


def test_small_levels_are_listed_but_make_no_gap() -> None:
    given = table()
    given.loc[:5, "site"] = "C"
    row = subgroup_results(check_predictions(given), draws=10, permutations=1)["attributes"]["Site"]["findings"]["Mass"]
    assert row["levels"]["C"]["reason"] == "too few"
    assert row["levels"]["C"]["n"] == 6
    assert "C" not in (row["best"], row["worst"])


def test_many_levels_are_pooled_and_one_level_is_no_attribute() -> None:
    given = table().assign(site=[f"s{min(i, 30)}" for i in range(400)], sex="F").drop(columns="age")
    found = subgroup_results(check_predictions(given), draws=5, permutations=1)["attributes"]
    assert list(found) == ["Site"]
    levels = [row["level"] for row in found["Site"]["levels"]]
    assert (len(levels), levels[0], levels[-1]) == (12, "s30", "others")


def test_age_bands_keep_their_ends() -> None:
    years = pd.Series([0, 17.9, 18, 39, 40, 60, 79, 80, 120, None, "old"], dtype=object)
    young, adult = ["under 18"] * 2, ["18–39"] * 2
    assert age_bands(years).tolist() == [
        *young,
        *adult,
        "40–59",
        *["60–79"] * 2,
        *["80 and over"] * 2,
        *["unknown"] * 2,
    ]


def test_large_tables_take_fewer_draws_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hilum.results.subgroups.WORK", 100)
    monkeypatch.setattr("hilum.results.subgroups.FEWER", 7)
    found = subgroup_results(check_predictions(table(40)), draws=50, permutations=50)
    assert (found["draws"], found["permutations"]) == (7, 7)
