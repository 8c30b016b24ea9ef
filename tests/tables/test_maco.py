"""MaCo's tables by the protocol of its fact sheet, section 8; expected values are written from the sheet."""

from __future__ import annotations

import pytest

from hilum.heads.grounding import grounding_rule
from tests.tables.protocols import differing, job, resolved, table
from tests.tables.test_mrm import FINE_TUNING, SEGMENTATION

RATES = {  # data set, share -> lr, steps, warm-up
    ("NIH", "1 %"): (0.01, 8.5e-3, 2_000, 50),
    ("NIH", "10 %"): (0.1, 3e-3, 30_000, 500),
    ("NIH", "100 %"): (1.0, 3e-3, 200_000, 5_000),
    ("CheXpert", "1 %"): (0.01, 8e-4, 2_000, 50),
    ("CheXpert", "10 %"): (0.1, 1e-4, 60_000, 1_500),
    ("CheXpert", "100 %"): (1.0, 1e-5, 200_000, 15_000),
    ("RSNA", "1 %"): (0.01, 6.5e-3, 2_000, 50),
    ("RSNA", "10 %"): (0.1, 6e-4, 10_000, 200),
    ("RSNA", "100 %"): (1.0, 5e-4, 50_000, 2_000),
}
SIIM = {"1 %": (0.01, 5e-6, 1_000, 100), "10 %": (0.1, 2e-5, 5_000, 100), "100 %": (1.0, 1.5e-5, 160_000, 1_500)}


@pytest.mark.parametrize("place", RATES, ids=str)
def test_fine_tuning_is_mrms_script_with_other_rates(place: tuple[str, str]) -> None:
    share, lr, steps, warmup = RATES[place]
    expected = {
        **FINE_TUNING,
        "evaluate_every": 10.0,
        "fraction": share,
        "lrs": (lr,),
        "steps": steps,
        "warmup": warmup / steps,
    }
    assert not differing(resolved("maco-table-1", f"{place[0]} {place[1]}"), expected)
    name, column, setting = {
        "NIH": ("maco-table-2", "Average", place[1]),
        "RSNA": ("maco-table-5", f"RSNA {place[1]}", ""),
        "CheXpert": ("maco-table-1", f"CheXpert {place[1]}", ""),
    }[place[0]]
    assert job(name, column, setting) == job("maco-table-1", f"{place[0]} {place[1]}")


@pytest.mark.parametrize("share", SIIM)
def test_segmentation_is_mrms_with_other_rates(share: str) -> None:
    fraction, lr, steps, warmup = SIIM[share]
    expected = {**SEGMENTATION, "fraction": fraction, "lr": lr, "steps": steps, "warmup_steps": warmup}
    assert not differing(resolved("maco-table-3", f"SIIM {share}"), expected)


@pytest.mark.parametrize(("name", "column"), [("maco-table-4", "mIoU"), ("maco-table-5", "PG")])
def test_grounding_is_the_papers(name: str, column: str) -> None:
    options = resolved(name, column)
    assert (options.preset, options.split, options.tau) == ("maco-paper", "test", None)
    rule = grounding_rule("maco-paper")
    assert (rule.tau, rule.sigma) == (0.1, 1.5)  # best tau of the paper; filter in patches


def test_one_run_with_the_seed_of_the_code() -> None:
    assert {table(f"maco-table-{n}").seeds for n in (1, 2, 3, 5)} == {(42,)}
