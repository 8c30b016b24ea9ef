"""`hilum ground` of a classifier: numbers, pages and pictures, and options that mean nothing there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hilum.commands.ground import ground
from hilum.encoder import Encoder
from hilum.errors import ConfigError
from hilum.evaluation.average_maps import AverageMap
from hilum.evaluation.features import Runner
from hilum.evaluation.ground import Grounding
from hilum.evaluation.query_ground import caption, judge_queries
from tests.evaluation.bright_queries import bright_classifier, write_chests

RUNNER = Runner(device="cpu", quiet=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chests(tmp_path_factory.mktemp("chests") / "data")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bright") / "run"
    bright_classifier().save(root / "model")
    (root / "fraction.json").write_text(json.dumps({"patients": ["someone else"]}))
    return root


@pytest.fixture(scope="module")
def judged(data: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    pytest.importorskip("SimpleITK")
    out = tmp_path_factory.mktemp("ground") / "out"
    options = Grounding(draws=60, examples=2, anchor="film7", registered=2)
    return out, judge_queries(str(run), str(data), str(out), options, runner=RUNNER, command="hilum ground RUN")


def test_a_query_that_knows_hits_the_box_more_often_than_the_class_token(judged: tuple[Path, dict[str, Any]]) -> None:
    results = judged[1]
    ways = results["ways"]
    assert list(ways) == ["query", "class_token", "centre"]
    assert ways["query"]["pointing"]["micro"]["value"] == 1.0
    assert ways["class_token"]["pointing"]["micro"]["value"] == 0.0  # constant: it points nowhere
    first = results["differences"][0]
    assert (first["first"], first["second"]) == ("query", "class_token")
    assert first["pointing"]["micro"]["value"] == 1.0
    assert first["cnr"]["micro"]["low"] > 1
    assert results["counts"]["films"] == results["counts"]["patients"] == 5
    assert results["counts"]["categories"] == {"Mass": 5}


def test_what_is_written(judged: tuple[Path, dict[str, Any]]) -> None:
    out, results = judged
    assert json.loads((out / "results.json").read_text()) == results
    page, text = (out / "results.html").read_text(), (out / "results.md").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * 3 + 1  # film, query, class token; one average
    assert "5 questions on 5 films of 5 patients" in page
    assert "Mass: 2 films, 0 left out" in page
    assert "never from a box" in page
    assert "position prior" not in page
    assert "| Mass | 2 | none | 5 |" in text
    for name in ("maps.png", "averages.png"):
        assert (out / name).stat().st_size > 1000
    scores = pd.read_parquet(out / "scores.parquet")
    assert len(scores) == 5 * 3
    assert len(pd.read_parquet(out / "registrations.parquet")) >= 2


def test_what_stands_under_an_average(judged: tuple[Path, dict[str, Any]]) -> None:
    one = AverageMap("Mass", None, 30, 1, {"nothing alike": 2, "a film without any contrast": 1})  # type: ignore[arg-type]
    assert caption(one) == "Mass: 1 film, 3 left out (1 a film without any contrast, 2 nothing alike)"


def test_options_of_the_other_kind_are_refused(data: Path, run: Path, encoder: Encoder, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for option, value in (("preset", "biovil"), ("tau", 0.2), ("sentences", "report"), ("sections", ("findings",))):
        with pytest.raises(ConfigError, match=f"--{option}: has no meaning here"):
            judge_queries(str(run), str(data), out, Grounding(**{option: value}), runner=RUNNER)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="zones are places that reports name"):
        judge_queries(str(run), str(data), out, Grounding(boxes="zones"), runner=RUNNER)
    folder = str(encoder.save(tmp_path / "encoder"))
    for given in ({"anchor": "film7"}, {"ask": ("a=b",)}, {"registered": 3}, {"allow_train": True}):
        with pytest.raises(ConfigError, match=f"--{next(iter(given)).replace('_', '-')}: has no meaning here"):
            ground(folder, data=str(data), out=out, **given)  # type: ignore[arg-type]
    assert not Path(out).exists()


def test_patients_of_training_are_refused(data: Path, run: Path, tmp_path: Path) -> None:
    known = tmp_path / "run"
    bright_classifier().save(known / "model")
    (known / "fraction.json").write_text(json.dumps({"patients": ["patient3"]}))
    with pytest.raises(ConfigError, match="1 of 10 patients"):
        judge_queries(str(known), str(data), str(tmp_path / "out"), Grounding(), runner=RUNNER)
    options = Grounding(allow_train=True, draws=5, examples=0)
    results = judge_queries(str(known), str(data), str(tmp_path / "out"), options, runner=RUNNER)
    assert any("NOT AN HONEST RESULT" in note for note in results["notes"])


def test_from_the_command_line(data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground(str(run), data=str(data), out=str(tmp_path / "out"), draws=5, examples=0, device="cpu")
    said = capsys.readouterr().out
    assert "Query of the finding − class token of the encoder" in said
    assert said.strip().endswith("results.html")
