"""The four files: self-contained, escaped, complete, and written whole or not at all."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.errors import UserError
from hilum.results import against_baselines, classification_results, compare, write_results
from tests.results.frames import NAMES, predictions

THRESHOLDS = {"Effusion": 0.35, "Mass": 0.3}


def full(table: pd.DataFrame) -> dict:
    results = classification_results(
        table,
        thresholds=THRESHOLDS,
        draws=50,
        in_depth=True,
        context={"title": "A <test> & more", "command": "hilum evaluate RUN", "encoder": "vit_tiny_patch16"},
    )
    scores = table[[name for name in table.columns if name.startswith("score.")]].to_numpy()
    results["notes"] += ["Synthetic films | not medicine."]
    results["baselines"] = against_baselines(table, {"hog": np.full_like(scores, 0.2)}, draws=50)
    results["comparisons"] = [compare("pretrained", table, "random", table, draws=50)]
    return results


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("out") / "with space"
    return write_results(folder, full(predictions()), predictions())


class Reader(html.parser.HTMLParser):
    """Collects tags and attributes, and checks that every tag that is opened is closed."""

    VOID = ("meta", "br", "link", "img", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(written: dict[str, Path]) -> None:
    page = written["html"].read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(reader.tags)
    links = [value for name, value in reader.attributes if name in ("href", "src", "xlink:href", "action")]
    assert links
    assert all(link.startswith("#") for link in links)
    assert all(f'id="{link[1:]}"' in page for link in links)
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_shows_curves_intervals_cohort_and_how_it_was_made(written: dict[str, Path]) -> None:
    page = written["html"].read_text(encoding="utf-8")
    results = json.loads(written["json"].read_text(encoding="utf-8"))
    assert page.count("<figure>") == 4 * 2  # four plots of each of two defined findings
    auroc = results["findings"]["Effusion"]["auroc"]
    assert f"{auroc['value']:.3f} [{auroc['low']:.3f}, {auroc['high']:.3f}]" in page
    for words in (
        "Hernia: no positives (0 positive,",
        "A &lt;test&gt; &amp; more",
        "North &amp; &lt;South&gt;",
        "hilum evaluate RUN",
        "vit_tiny_patch16",
        "50 draws of whole patients, seed 0",
        "pretrained against random",
        "<summary>hog by finding</summary>",
        "By prevalence on these films",
        "Net benefit with intervals",
        "<summary>View</summary>",
        "ONLY 50 BOOTSTRAP DRAWS",
        "Synthetic films",
        f"numpy {np.__version__}",
    ):
        assert words in page, words
    assert not re.search(r"\bnan\b|\bNone\b", page.split("</style>")[1])


def test_markdown_reads_value_and_interval(written: dict[str, Path]) -> None:
    text = written["markdown"].read_text(encoding="utf-8")
    results = json.loads(written["json"].read_text(encoding="utf-8"))
    auroc = results["macro"]["auroc"]
    assert f"{auroc['value']:.3f} [{auroc['low']:.3f}, {auroc['high']:.3f}]" in text
    assert re.search(r"\| Hernia \| no positives \| 0 \|", text)
    widths: dict[str, set[int]] = {}
    heading = ""
    for line in text.splitlines():
        heading = line if line.startswith("#") else heading
        if line.startswith("|"):
            widths.setdefault(heading, set()).add(line.replace("\\|", "").count("|"))
    assert all(len(columns) == 1 for columns in widths.values())  # every table is rectangular
    assert not re.search(r"\bnan\b|\bNone\b", text)


def test_json_and_parquet_give_the_same_back(written: dict[str, Path]) -> None:
    results = json.loads(written["json"].read_text(encoding="utf-8"))
    assert results == full(predictions())
    pd.testing.assert_frame_equal(pd.read_parquet(written["predictions"]), predictions())
    assert {path.name for path in written["html"].parent.iterdir()} == {
        "results.json",
        "results.md",
        "results.html",
        "predictions.parquet",
    }


def test_one_finding_and_bare_columns_make_a_page_too(tmp_path: Path) -> None:
    table = predictions()[["image_id", "patient_id", "label.Mass", "score.Mass"]]
    results = classification_results(table, thresholds={}, draws=0, context={})
    page = write_results(tmp_path, results, table)["html"].read_text(encoding="utf-8")
    assert page.count("<figure>") == 4
    assert "<h1>Results</h1>" in page
    assert "[–, –]" in page


def test_a_page_of_nothing_but_undefined_findings(tmp_path: Path) -> None:
    table = predictions().assign(**{f"label.{name}": 0 for name in NAMES})
    results = classification_results(table, thresholds={}, draws=5, context={})
    page = write_results(tmp_path, results, table)["html"].read_text(encoding="utf-8")
    assert page.count("<figure>") == 0
    assert page.count("no positives (0 positive, 150 negative, 0 blank labels)") == 3


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, written: dict[str, Path]) -> None:
    again = write_results(tmp_path, full(predictions()), predictions())
    for kind in ("json", "markdown", "html"):
        assert again[kind].read_bytes() == written[kind].read_bytes()


def test_a_fault_leaves_the_old_files_as_they_were(tmp_path: Path) -> None:
    paths = write_results(tmp_path, full(predictions()), predictions())
    before = {path: path.read_bytes() for path in paths.values()}
    broken = predictions().assign(**{"score.Mass": 7.0})
    with pytest.raises(UserError, match="not a probability"):
        write_results(tmp_path, full(predictions()), broken)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
