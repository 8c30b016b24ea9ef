"""Items as evidence: means by category, pooled Dice as a ratio of sums, and items that must agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.errors import UserError
from hilum.metrics.resample import Resample
from hilum.results.judgement import open_judgement
from tests.results.judged_folders import items, write_folder


def test_a_category_is_the_mean_of_its_items(tmp_path: Path) -> None:
    table = items()
    found = open_judgement(write_folder(tmp_path / "one", {"task": "segmentation"}, items=table))
    assert list(found.metrics) == ["dice_positive", "hd95_mm", "dice_pooled"]
    assert [metric.higher for metric in found.metrics.values()] == [True, False, True]
    sample = found.replicates("dice_positive", 40, 1)
    for k, name in enumerate(("Mass", "Nodule")):
        mine = table["value.dice_positive"].where(table["category"] == name)
        known = Resample(table["patient_id"], draws=40, seed=1).mean(mine)
        assert sample.points[k] == pytest.approx(known.value)
        assert np.quantile(sample.values[k], 0.025) == pytest.approx(known.low)
        assert sample.counts[k].n == known.n


def test_pooled_dice_is_a_ratio_of_sums(tmp_path: Path) -> None:
    table = items()
    found = open_judgement(write_folder(tmp_path / "one", {"task": "segmentation"}, items=table))
    sums = table[table["category"] == "Mass"].filter(like="pixels.").sum()
    expected = 2 * sums["pixels.both"] / (sums["pixels.drawn"] + sums["pixels.true"])
    assert found.replicates("dice_pooled", 5, 0).points[0] == pytest.approx(expected)
    assert found.evidence.tests(found.evidence, "dice_pooled", 10, 0) is None


def test_swapping_like_with_like_gives_one(tmp_path: Path) -> None:
    found = open_judgement(write_folder(tmp_path / "one", {"task": "segmentation"}, items=items()))
    tests = found.evidence.tests(found.evidence, "dice_positive", 50, 0)
    assert tests is not None
    assert (tests.permutation, tests.macro) == ((1.0, 1.0), 1.0)


def test_other_masks_are_named_but_not_other_grids(tmp_path: Path) -> None:
    finer = items().assign(**{name: items()[name] * 4 for name in items().filter(like="pixels.")})
    other = items().assign(**{"pixels.true": items()["pixels.true"] * 2})
    one, two, three = (
        open_judgement(write_folder(tmp_path / str(k), {"task": "segmentation"}, items=table)).evidence
        for k, table in enumerate((items(), finer, other))
    )
    assert one.disagreement(two) == ""
    assert one.disagreement(three).startswith("the true masks of 32 differ, the first is 'i0: Mass'")


def test_an_item_stands_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "one", {"task": "grounding"}, items=items().assign(item_id="x"))
    with pytest.raises(UserError, match="item 'x' appears more than once"):
        open_judgement(folder)
    bare = items().drop(columns=["value.dice_positive", "value.hd95_mm"])
    folder = write_folder(tmp_path / "two", {"task": "grounding"}, items=bare)
    with pytest.raises(UserError, match="holds no values"):
        open_judgement(folder)
