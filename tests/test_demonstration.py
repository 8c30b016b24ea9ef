"""The demo: every part runs on a few synthetic patients; at its full size pretraining must beat random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hilum.cli import main
from hilum.demonstration import Recipe, run_demo
from hilum.errors import UserError
from hilum.study import Answer, as_markdown

SMALL = Recipe(
    patients=90, size=64, labels=("Effusion", "SupportDevice"), epochs=1.0, frozen_epochs=5, finetune_epochs=1
)


def test_the_whole_road_on_a_few_patients(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = run_demo(tmp_path / "a demo", SMALL)
    said = capsys.readouterr().out
    for verb in ("prepare", "audit", "pretrain"):
        assert f"=== hilum {verb}" in said
    assert "No leaks found" in said
    assert "paired difference" in said
    html = page.read_text()
    assert "finetune, 10% of the labels, random weights" in html
    assert "hog" in html
    assert "://" not in html  # nothing is loaded from anywhere
    answers = json.loads((page.parent / "answers.json").read_text())
    assert {(answer["mode"], answer["fraction"]) for answer in answers} == {
        (mode, fraction) for mode in ("frozen", "finetune") for fraction in (0.1, 1.0)
    }
    # the same seed is the same demo
    with pytest.raises(UserError, match="not empty"):
        run_demo(tmp_path / "a demo", SMALL)


def test_answers_read_as_a_table() -> None:
    def estimate(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    macro = {"first": estimate(0.8), "second": estimate(0.7), "difference": estimate(0.1)}
    text = as_markdown([Answer("frozen", 0.1, {"auroc": {"macro": macro}}, 1.0)])
    assert "0.800 [0.700, 0.900]" in text
    assert "+0.100 [+0.000, +0.200]" in text
    assert "| frozen | 10% |" in text


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pretraining_beats_random_weights_under_a_frozen_head(tmp_path: Path) -> None:
    assert main(["demo", f"--out={tmp_path / 'demo'}"]) == 0
    answers = json.loads((tmp_path / "demo/study/answers.json").read_text())
    (frozen,) = (a for a in answers if a["mode"] == "frozen" and a["fraction"] == 1.0)
    assert frozen["comparison"]["auroc"]["macro"]["difference"]["low"] > 0
