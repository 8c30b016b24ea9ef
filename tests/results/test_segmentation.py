"""Results of masks from items alone: macro means, undefined scores said, and both forms of writing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hilum.results.segmentation import (
    PIXELS,
    headline,
    segmentation_markdown,
    segmentation_page,
    segmentation_results,
    summary_lines,
)

CUT = {"threshold": 0.4, "area": 0.001, "note": ""}


def items(rows: list[tuple[str, str, int, int, int]], distance: str = "hd95_mm") -> pd.DataFrame:
    """(patient, finding, both, drawn, true) on films of 100 pixels."""
    table = pd.DataFrame(rows, columns=["patient_id", "category", *PIXELS[:3]]).assign(**{PIXELS[3]: 100})
    table["image_id"] = [f"i{number}" for number in range(len(table))]
    table["item_id"] = table["image_id"] + ":" + table["category"]
    table[f"value.{distance}"] = np.where((table[PIXELS[1]] > 0) & (table[PIXELS[2]] > 0), 3.0, np.nan)
    return table


def results(table: pd.DataFrame, **more: Any) -> dict[str, Any]:
    cuts = dict.fromkeys(table["category"], CUT)
    context = {"title": "Masks", "thresholds": "5 validation films"}
    return segmentation_results(table, cuts=cuts, context=context, **{"draws": 200, **more})


MIXED = [
    ("a", "Mass", 5, 10, 10),
    ("b", "Mass", 0, 0, 10),
    ("c", "Mass", 0, 0, 0),
    ("c", "Mass", 0, 4, 0),
    ("a", "Edema", 9, 9, 9),
    ("d", "Edema", 0, 0, 0),
]


def test_numbers_by_hand() -> None:
    found = results(items(MIXED))
    mass, edema = found["findings"]["Mass"], found["findings"]["Edema"]
    values = {metric: score["model"]["value"] for metric, score in mass["scores"].items()}
    assert values["dice_positive"] == pytest.approx(0.25)
    assert values["dice_all"] == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert values["dice_pooled"] == pytest.approx(10 / 34)
    background = 2 * (400 - 14 - 20 + 5) / (386 + 380)
    assert values["dice_classes"] == pytest.approx((10 / 34 + background) / 2)
    assert values["iou"] == pytest.approx((5 / 15) / 2)
    assert values["hd95_mm"] == 3.0
    assert {k: mass[k] for k in ("films", "patients", "positive", "empty", "missed", "false_alarms")} == {
        "films": 4, "patients": 3, "positive": 2, "empty": 2, "missed": 1, "false_alarms": 1,
    }  # fmt: skip
    nothing = {m: score["blind"]["nothing"]["value"]["value"] for m, score in mass["scores"].items() if m != "hd95_mm"}
    assert (nothing["dice_all"], nothing["dice_positive"], nothing["dice_pooled"]) == (0.5, 0.0, 0.0)
    assert mass["scores"]["hd95_mm"]["blind"] == {}
    assert mass["scores"]["dice_all"]["blind"]["nothing"]["difference"]["value"] == pytest.approx(
        values["dice_all"] - 0.5
    )
    for metric, score in found["macro"].items():
        both = [entry["scores"][metric]["model"]["value"] for entry in (mass, edema)]
        assert score["model"]["value"] == pytest.approx(np.mean(both)), metric
    assert headline(found) is found["macro"]


def test_the_mean_mask_stands_beside_the_model_where_it_was_counted() -> None:
    table = items(MIXED).assign(**{"mean_mask.both": [2, 2, 0, 0, 3, 0], "mean_mask.drawn": 6})
    found = results(table)
    blind = found["findings"]["Mass"]["scores"]["dice_positive"]["blind"]["mean_mask"]
    assert blind["value"]["value"] == pytest.approx(2 * 2 / 16)
    assert blind["difference"]["value"] == pytest.approx(0.25 - 0.25)
    pooled = found["findings"]["Mass"]["scores"]["dice_pooled"]["blind"]["mean_mask"]
    assert pooled["value"]["value"] == pytest.approx(8 / 44)
    assert found["macro"]["dice_all"]["blind"]["mean_mask"]["value"]["value"] == pytest.approx(
        ((0.25 + 0.25 + 0 + 0) / 4 + (6 / 15 + 0) / 2) / 2
    )
    assert "Mean mask" in segmentation_page(found, [])
    assert "Mean mask" in segmentation_markdown(found)
    assert "mean mask 0.250" in summary_lines(found)[0]
    assert "Mean mask" not in segmentation_page(results(items(MIXED)), [])


def test_undefined_is_none_with_a_reason_and_json_has_no_nan() -> None:
    found = results(items([("a", "Mass", 0, 3, 0), ("b", "Mass", 0, 0, 0)]))
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    scores = found["findings"]["Mass"]["scores"]
    assert scores["dice_positive"]["model"]["value"] is None
    assert scores["dice_positive"]["model"]["reason"]
    assert scores["hd95_mm"]["model"]["reason"]
    assert scores["dice_all"]["model"]["value"] == 0.5
    assert "undefined" in segmentation_page(found, [])
    assert "undefined" in segmentation_markdown(found)
    assert "undefined" in summary_lines(found)[0]


def test_one_patient_has_no_interval() -> None:
    scores = results(items([("a", "Mass", 5, 10, 10), ("a", "Mass", 0, 0, 0)]))["findings"]["Mass"]["scores"]
    for metric in ("dice_all", "dice_pooled"):
        assert scores[metric]["model"]["low"] is None
        assert "one patient" in scores[metric]["model"]["reason"]


def test_draws_are_the_seeds_and_relabelling_changes_nothing() -> None:
    table = items(MIXED)
    assert results(table, seed=3) == results(table, seed=3)
    assert results(table, seed=3) != results(table, seed=4)
    renamed = table.assign(patient_id="x" + table["patient_id"])
    assert results(renamed) == results(table)


def test_pages_name_pixels_where_there_are_no_millimetres() -> None:
    found = results(items(MIXED, "hd95_pixels"))
    found["notes"] = ["A note <b>."]
    page = segmentation_page(found, [])
    assert "no spacing_mm" in page
    assert "A note &lt;b&gt;." in page
    assert "script" not in page
