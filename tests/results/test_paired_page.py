"""The comparison as page, Markdown and lines: complete, escaped, self-contained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hilum.results.judgement import open_judgement
from hilum.results.paired import compare_judgements
from hilum.results.paired_page import origins, paired_markdown, paired_page, summary_lines
from tests.results.judged_folders import items, write_folder, write_scores
from tests.results.test_write import Reader


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("pages")
    judged = [
        open_judgement(write_scores(root / str(quality), quality=quality, n=150), name=name)
        for quality, name in ((2.0, "MAE <s>"), (0.5, "random"), (0.2, "third"))
    ]
    metrics = ("auroc", "brier")
    return compare_judgements(*judged, metrics=metrics, draws=40, permutations=40, margin=0.03, command="hilum compare")


def test_the_page_is_well_formed_and_loads_nothing(compared: dict[str, Any]) -> None:
    page = paired_page(compared)
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert not {"script", "link", "iframe", "img"} & set(reader.tags)
    assert page.count('aria-label="Differences') == 2
    assert "://" not in page
    for words in ("MAE &lt;s&gt; against random, third", "is better than random", "Holm", "DeLong p", "ONLY 40"):
        assert words in page, words
    assert not re.search(r"\bnan\b|\bNone\b|\bundefined\b\s*\[", page.split("</style>")[-1])


def test_markdown_is_rectangular_and_tells_the_same(compared: dict[str, Any]) -> None:
    text = paired_markdown(compared)
    assert f"- {compared['verdicts'][0]}" in text
    gap = compared["metrics"]["auroc"]["pairs"][0]["macro"]["difference"]
    assert f"{gap['value']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]" in text
    widths: dict[str, set[int]] = {}
    heading = ""
    for line in text.splitlines():
        heading = line if line.startswith("#") else heading
        if line.startswith("|"):
            widths.setdefault(heading, set()).add(line.replace("\\|", "").count("|"))
    assert all(len(columns) == 1 for columns in widths.values())


def test_the_shell_gets_verdicts_numbers_and_the_warning(compared: dict[str, Any]) -> None:
    lines = summary_lines(compared)
    assert lines[:2] == compared["verdicts"]
    names = [run["name"] for run in compared["runs"]]
    assert [line.split(":")[0] for line in lines if line.startswith("  AUROC")] == [
        f"  AUROC minus {name}" for name in names[1:]
    ]
    assert lines[-2].startswith("ONLY 40 BOOTSTRAP DRAWS")
    assert lines[-1].startswith("ONLY 40 PERMUTATIONS")


def test_facts_that_differ_come_first(compared: dict[str, Any]) -> None:
    rows = origins(compared)
    assert [name for name, texts in rows if len(set(texts)) > 1] == ["folder"]
    assert rows[0][0] == "folder"


def test_one_unnamed_category_and_nothing_defined_make_a_page_too(tmp_path: Path) -> None:
    table = items().drop_duplicates("image_id").assign(category="", **{"value.hd95_mm": float("nan")})
    judged = [open_judgement(write_folder(tmp_path / str(k), {"task": "segmentation"}, items=table)) for k in range(2)]
    for metrics in (("dice_positive",), ("hd95_mm",)):
        found = compare_judgements(*judged, metrics=metrics, draws=10, permutations=10)
        assert "How they were made" in paired_page(found)
        assert "How they were made" in paired_markdown(found)
        assert summary_lines(found)
