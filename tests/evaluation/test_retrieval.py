"""Retrieval on a few phantom films with an encoder whose answers, and so whose ranks, are known."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hilum.datasets.phantom.write import write_phantom
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.evaluation.joint_space import film_vectors, text_vectors
from hilum.evaluation.retrieval import class_results, film_classes, make_archive
from hilum.evaluation.search import Retrieval, run_retrieval
from hilum.heads.prompt_file import read_prompts
from hilum.manifest import Manifest
from hilum.reports import normalised, reports_of
from tests.evaluation.joint_encoders import BlindEncoder, LookupEncoder

RUNNER = Runner(device="cpu", batch_size=16, quiet=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of 24 patients; every third report is the same sentence, and one film in eight has none."""
    root = write_phantom(tmp_path_factory.mktemp("phantom") / "data", patients=24, size=64, progress=False)
    table = Manifest.read(root).table.copy()
    table["split"] = "test"
    study = pd.factorize(table["study_id"])[0]
    table["report"] = [
        "" if s % 8 == 7 else "No acute process." if s % 3 == 0 else text
        for s, text in zip(study, table["report"], strict=True)
    ]
    table[["findings", "impression"]] = ""
    Manifest.from_table(table, root).write(root)
    return root


@pytest.fixture(scope="module")
def manifest(data: Path) -> Manifest:
    return Manifest.read(data)


@pytest.fixture(scope="module")
def reader(manifest: Manifest) -> LookupEncoder:
    """Knows the report of every film by heart: one direction a distinct text."""
    texts = [normalised(text) for text in manifest.table["report"]]
    number = {text: place for place, text in enumerate(sorted(set(texts)))}
    vectors = torch.eye(len(number)) * 3
    return LookupEncoder(
        manifest, lambda text: vectors[number[normalised(text)]], films=vectors[[number[text] for text in texts]]
    )


def test_a_reader_who_knows_the_reports_is_wrong_only_where_they_repeat(
    data: Path, manifest: Manifest, reader: LookupEncoder, tmp_path: Path
) -> None:
    out = tmp_path / "found"
    results = run_retrieval(reader, str(data), str(out), Retrieval(draws=40, examples=2), runner=RUNNER)
    table = manifest.table[manifest.table["report"] != ""]
    texts = table["report"].map(normalised)
    studies_of = texts.map(table.groupby(texts)["study_id"].nunique())
    films_of = texts.map(Counter(texts))
    films_in_study = table["study_id"].map(Counter(table["study_id"]))
    found = results["directions"]["image_to_report"]
    assert found["study"]["recall"]["1"]["value"] == pytest.approx((1 / studies_of).mean())
    assert found["text"]["recall"]["1"]["value"] == 1.0
    assert found["pair"]["recall"]["1"]["value"] == pytest.approx((1 / films_of).mean())
    assert found["study"]["gallery"] == table["study_id"].nunique() < found["pair"]["gallery"] == len(table)
    back = results["directions"]["report_to_image"]
    first = table["study_id"].drop_duplicates().index  # one query a study: any of its films is a hit
    assert back["study"]["recall"]["1"]["value"] == pytest.approx((films_in_study / films_of)[first].mean())
    assert back["study"]["queries"] == len(first)
    among = results["directions"]["image_to_image"]
    several = manifest.table["study_id"].map(Counter(manifest.table["study_id"])) > 1
    assert among["study"]["queries"] == int(several.sum())
    assert among["study"]["gallery"] == len(manifest) - 1
    assert "pair" not in among


def test_chance_is_what_constant_vectors_get(data: Path, manifest: Manifest, tmp_path: Path) -> None:
    blank = LookupEncoder(manifest, lambda text: torch.ones(3), films=torch.ones(len(manifest), 3))
    results = run_retrieval(blank, str(data), str(tmp_path / "out"), Retrieval(draws=5, examples=0), runner=RUNNER)
    for entry in results["directions"].values():
        for row in entry.values():
            for value in [*row["recall"].values(), row["median_rank"]]:
                assert value["value"] == pytest.approx(value["chance"])
    assert not (tmp_path / "out" / "similar_cases.png").exists()
    for classes in results["classes"].values():
        for entry in classes.values():
            assert entry["value"] == pytest.approx(entry["chance"])


def test_what_is_written(data: Path, reader: LookupEncoder, manifest: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = Retrieval(draws=10, examples=3, neighbours=4, labels=("Effusion", "Cardiomegaly"))
    results = run_retrieval(reader, str(data), str(out), options, runner=RUNNER, command="hilum retrieve RUN")
    assert json.loads((out / "results.json").read_text()) == results
    page, text = (out / "results.html").read_text(), (out / "results.md").read_text()
    assert page.count("data:image/jpeg;base64,") == 3 * (1 + 4)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert "hilum retrieve RUN" in page
    assert "Film → report" in text
    table = pd.read_parquet(out / "ranks.parquet")
    one = table[(table["direction"] == "image_to_report") & (table["hit"] == "study")]
    assert one["rank"].median() == results["directions"]["image_to_report"]["study"]["median_rank"]["value"]
    items = pd.read_parquet(out / "items.parquet")
    assert items["item_id"].is_unique
    for direction, part in items.groupby("category"):
        entry = results["directions"][direction.replace(" ", "_")]["study"]
        assert part["value.recall@10"].mean() == pytest.approx(entry["recall"]["10"]["value"])
    np.testing.assert_allclose(items["value.reciprocal_rank"], 1 / table.loc[table["hit"] == "study", "rank"])
    with Image.open(out / "similar_cases.png") as picture:
        assert picture.size[0] > picture.size[1] > 3 * 190
    with pytest.raises(ConfigError, match="the output folder is not empty"):
        run_retrieval(reader, str(data), str(out), options, runner=RUNNER)


def test_classes_and_sides_of_the_first_ten(manifest: Manifest) -> None:
    """Films that are nearest to films with the same label and side share it, others do not."""
    labels = manifest.labels(("Effusion",))[:, 0]
    prompts, reports = read_prompts("findings"), reports_of(manifest)
    archive = make_archive(manifest, reports, torch.rand(len(manifest), 4), torch.rand(int(reports.present.sum()), 4))
    classes = film_classes(archive, ("Effusion",), prompts)
    assert set(classes) <= {"Effusion", "Effusion, left", "Effusion, right", "Effusion, both sides"}
    assert len(classes) >= 2
    name = next(name for name in classes if "," in name)
    word = {"left": "left", "right": "right", "both sides": "bilateral"}[name.split(", ")[1]]
    for row in np.flatnonzero(classes[name] == 1):
        assert labels[row] == 1
        assert word in reports.texts[row].lower()
    side = torch.from_numpy(np.nan_to_num(classes[name], nan=0.0))[:, None]
    vectors = torch.cat([side, 1 - side], dim=1).float()
    archive = make_archive(manifest, reports, vectors, vectors[torch.from_numpy(reports.present)])
    entry = class_results(archive, classes, draws=10, seed=0)["image_to_image"][name]
    member, study = classes[name], manifest.table["study_id"].to_numpy()
    expected = []
    for row in np.flatnonzero(member == 1):
        others = (study != study[row]) & ~np.isnan(member)
        expected.append(min(1.0, (member[others] == 1).sum() / 10))
        if (member[others] == 1).sum() < 10:  # the rest comes from films without it
            assert expected[-1] < 1
    assert entry["value"] == pytest.approx(np.mean(expected))
    assert entry["chance"] < 0.3


def test_given_queries_show_the_nearest_films(
    data: Path, manifest: Manifest, reader: LookupEncoder, tmp_path: Path
) -> None:
    options = Retrieval(draws=5, neighbours=2, query=("No acute process.", str(manifest.paths()[1])))
    run_retrieval(reader, str(data), str(tmp_path / "out"), options, runner=RUNNER)
    page = (tmp_path / "out" / "results.html").read_text()
    assert "“No acute process.”" in page
    assert page.count("<p>No acute process.</p>") >= 2
    assert page.count('class="query"') == 2
    for query, message in (("none.png", "no such file"), ("  ", "is blank")):
        with pytest.raises(ConfigError, match=message):
            run_retrieval(reader, str(data), str(tmp_path / "no"), Retrieval(query=(query,)), runner=RUNNER)


def test_what_cannot_be_is_one_clear_sentence(data: Path, films: Path, reader: LookupEncoder, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(CheckpointError, match="no text tower"):
        run_retrieval(BlindEncoder(), str(data), out, Retrieval(), runner=RUNNER)
    with pytest.raises(ManifestError, match="no report text"):
        run_retrieval(reader, str(films), out, Retrieval(), runner=RUNNER)
    with pytest.raises(ManifestError, match="no films in the val split"):
        run_retrieval(reader, str(data), out, Retrieval(split="val"), runner=RUNNER)
    with pytest.raises(ConfigError, match="unknown finding 'Efusion'"):
        run_retrieval(reader, str(data), out, Retrieval(labels=("Efusion",)), runner=RUNNER)
    with pytest.raises(ConfigError, match="neighbours: 0 is too few"):
        Retrieval(neighbours=0)
    one = Manifest.read(data)
    one = Manifest(one.table[one.table["study_id"] == one.table["study_id"].iloc[0]].reset_index(drop=True), one.root)
    with pytest.raises(ManifestError, match="Retrieval needs reports of two studies"):
        make_archive(one, reports_of(one), torch.ones(len(one), 2), torch.ones(len(one), 2))
    assert not Path(out).exists()


def test_equal_texts_are_read_once(manifest: Manifest, reader: LookupEncoder) -> None:
    asked = list[str]()
    reader_text = reader.text
    reader.text = lambda text: asked.append(text) or reader_text(text)  # type: ignore[func-returns-value, assignment]
    found = text_vectors(reader, ["No acute process."] * 5)
    reader.text = reader_text
    assert (len(asked), found.shape[0]) == (1, 5)
    assert film_vectors(reader, manifest, RUNNER).shape[0] == len(manifest)
