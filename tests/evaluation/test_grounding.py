"""Grounding on phantom films with an encoder that knows the masks: what it must score, and what must not help it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hilum.datasets.phantom.write import write_phantom
from hilum.errors import CheckpointError, ConfigError, ManifestError
from hilum.evaluation.features import Runner
from hilum.evaluation.ground import Grounding, find_questions, judge_grounding, similarities_of
from hilum.evaluation.grounding import differences, score_questions, summarise
from hilum.heads.grounding import grounding_rule
from hilum.heads.prompt_file import read_prompts
from hilum.manifest import Manifest
from hilum.metrics.grounding import THRESHOLDS
from tests.evaluation.joint_encoders import BlindEncoder, LookupEncoder

RUNNER = Runner(device="cpu", batch_size=16, quiet=True)
SIDE = 16  # patches a side


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_phantom(tmp_path_factory.mktemp("phantom") / "data", patients=24, size=64, progress=False)
    table = Manifest.read(root).table.copy()
    table["split"] = "test"
    Manifest.from_table(table, root).write(root)
    return root


@pytest.fixture(scope="module")
def manifest(data: Path) -> Manifest:
    return Manifest.read(data)


@pytest.fixture(scope="module")
def knowing(manifest: Manifest) -> LookupEncoder:
    """Patch vectors are the coverage of each patch by the mask of each finding, behind a constant of their own."""
    findings = manifest.findings
    patches = torch.zeros(len(manifest), SIDE * SIDE, len(findings) + 1)
    patches[..., -1] = 0.05
    for row, image_id in enumerate(manifest.table["image_id"]):
        for column, finding in enumerate(findings):
            path = manifest.root / "masks" / f"{image_id}.{finding}.png"
            if path.is_file():
                with Image.open(path) as picture:
                    mask = torch.from_numpy(np.array(picture, dtype=np.float32))
                covered = torch.nn.functional.avg_pool2d((mask > 0).float()[None], 64 // SIDE)
                patches[row, :, column] = covered.flatten()
    prompts = read_prompts("findings")

    def text(sentence: str) -> torch.Tensor:
        said = [any(term in sentence.lower() for term in prompts[f].terms) if f in prompts else False for f in findings]
        named = [finding for finding, there in zip(findings, said, strict=True) if there]
        vector = torch.zeros(len(findings) + 1)
        if named:
            vector[findings.index(named[0])] = 1
        return vector

    weights = torch.linspace(0, 1, SIDE * SIDE)
    return LookupEncoder(manifest, text, patches=patches, prior=weights)


@pytest.fixture(scope="module")
def judged(data: Path, knowing: LookupEncoder, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("grounded") / "out"
    options = Grounding(draws=50, examples=3, sentences="report")
    return out, judge_grounding(knowing, str(data), str(out), options, runner=RUNNER, command="hilum ground RUN")


def test_who_knows_the_masks_points_into_the_boxes(judged: tuple[Path, dict]) -> None:
    results = judged[1]
    ways = results["ways"]
    assert set(ways) == {"without_prior", "with_prior", "prior_alone", "centre"}
    assert ways["without_prior"]["pointing"]["micro"]["value"] > 0.85
    assert ways["without_prior"]["cnr"]["micro"]["value"] > 1.5
    assert ways["prior_alone"]["pointing"]["micro"]["value"] < 0.2  # the hottest corner of the film
    assert results["counts"]["questions"] > 20
    gap = next(row for row in results["differences"] if row["second"] == "prior_alone" and row["first"] != "with_prior")
    assert gap["pointing"]["micro"]["low"] > 0.5


def test_numbers_are_those_of_the_table(judged: tuple[Path, dict], manifest: Manifest) -> None:
    out, results = judged
    scores = pd.read_parquet(out / "scores.parquet")
    for way, part in scores.groupby("way"):
        entry = results["ways"][way]
        assert entry["miou"]["micro"]["value"] == pytest.approx(part["miou"].mean())
        assert entry["cnr"]["macro"]["value"] == pytest.approx(part.groupby("category")["cnr"].mean().mean())
        assert entry["iou"]["0.1"] == pytest.approx(part["iou@0.1"].mean())
        np.testing.assert_allclose(part["miou"], part[[f"iou@{t}" for t in THRESHOLDS]].mean(axis=1))
    items = pd.read_parquet(out / "items.parquet")
    assert items["item_id"].is_unique
    assert items["value.miou"].mean() == pytest.approx(results["ways"]["with_prior"]["miou"]["micro"]["value"])
    assert items["value.cnr@centre"].mean() == pytest.approx(results["ways"]["centre"]["cnr"]["micro"]["value"])
    wide = scores.pivot(index="question", columns="way", values="miou")
    first = results["differences"][0]
    assert (first["first"], first["second"]) == ("with_prior", "without_prior")
    assert first["miou"]["micro"]["value"] == pytest.approx((wide["with_prior"] - wide["without_prior"]).mean())
    reports = manifest.table.set_index("image_id")["report"]
    assert all(phrase in reports[image] for image, phrase in zip(scores["image_id"], scores["phrase"], strict=True))


def test_what_is_written(judged: tuple[Path, dict]) -> None:
    out, results = judged
    assert json.loads((out / "results.json").read_text()) == results
    page = (out / "results.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3 * 3  # the film, without and with the prior
    assert "With position prior" in (out / "results.md").read_text()
    assert "hilum ground RUN" in page
    assert (out / "maps.png").stat().st_size > 10_000


def test_the_same_map_upside_down_scores_worse(data: Path, manifest: Manifest, knowing: LookupEncoder) -> None:
    flipped = LookupEncoder(manifest, knowing.text, patches=knowing.patches.flip(1))  # type: ignore[union-attr]
    options = Grounding(draws=20)
    questions = find_questions(manifest, options)
    for preset in ("hilum", "maco-paper", "biovil"):
        rule = grounding_rule(preset)
        found = []
        for encoder in (knowing, flipped):
            asked, _ = similarities_of(encoder, manifest, questions, options, rule=rule, runner=RUNNER)
            scores = score_questions(asked, rule, encoder.position_prior, encoder.preprocessing, manifest)
            found.append(summarise(scores, draws=20, seed=0)["without_prior"])
        for metric in ("miou", "cnr", "pointing"):
            assert found[0][metric]["micro"]["value"] > found[1][metric]["micro"]["value"] + 0.1
    assert "with_prior" not in set(scores["way"])  # this encoder learned none
    assert [(row["first"], row["second"]) for row in differences(scores, draws=5, seed=0)] == [
        ("without_prior", "centre")
    ]


def test_a_blind_map_is_empty_scores_zero_and_is_counted(manifest: Manifest, knowing: LookupEncoder) -> None:
    blank = LookupEncoder(manifest, knowing.text, patches=torch.ones_like(knowing.patches))  # type: ignore[arg-type]
    options, rule = Grounding(), grounding_rule("hilum")
    questions = find_questions(manifest, options)
    asked, _ = similarities_of(blank, manifest, questions, options, rule=rule, runner=RUNNER)
    summary = summarise(score_questions(asked, rule, None, blank.preprocessing, manifest), draws=5, seed=0)
    entry = summary["without_prior"]
    assert entry["empty"] == len(asked)
    assert [entry[metric]["micro"]["value"] for metric in ("miou", "dice", "cnr", "pointing")] == [0.0] * 4
    released = score_questions(asked, grounding_rule("maco-released"), None, blank.preprocessing, manifest)
    told = summarise(released, draws=5, seed=0)["without_prior"]["miou"]["micro"]
    assert told["value"] is None


def test_tau_sharpens_the_prior_and_bad_values_are_refused(data: Path, knowing: LookupEncoder, tmp_path: Path) -> None:
    assert Grounding(preset="maco-paper").rule().tau == 0.1
    assert Grounding(preset="maco-released").rule().tau == 0.02
    assert Grounding(preset="biovil", tau=0.3).rule().tau == 0.3
    out = str(tmp_path / "out")
    cases: list[tuple[Grounding, type[Exception], str]] = [
        (Grounding(tau=0.0), ConfigError, "tau: must be more than 0, not 0"),
        (Grounding(preset="macco"), ConfigError, "unknown preset"),
        (Grounding(boxes="none.json"), ConfigError, "no such file"),
        (Grounding(prompts="none.yaml"), ConfigError, "no such prompts file"),
        (Grounding(split="val"), ManifestError, "no films in the val split"),
        (Grounding(sentences="phrase"), ManifestError, "has both a box and a sentence"),
    ]
    for options, error, message in cases:
        with pytest.raises(error, match=message):
            judge_grounding(knowing, str(data), out, options, runner=RUNNER)
    with pytest.raises(CheckpointError, match="no text tower"):
        judge_grounding(BlindEncoder(), str(data), out, Grounding(), runner=RUNNER)
    assert not Path(out).exists()


def test_zones_of_reports_score_as_weak_boxes(manifest: Manifest, tmp_path: Path) -> None:
    """A film that is bright where its reading says scores on the box made of that reading."""
    root = tmp_path / "readings"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    readings = ["PTB in the right upper field", "left lower PTB", "bilateral PTB", "normal"]
    grid = torch.zeros(4, SIDE, SIDE, 1)
    grid[0, 2:5, 3:6] = 1  # the patient's right is on the left of the picture
    grid[1, 11:13, 10:13] = 1
    rows = []
    for number, reading in enumerate(readings):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (64, 64), dtype=np.uint8)).save(
            root / "images" / f"{number}.png"
        )
        row = {"image": f"images/{number}.png", "patient_id": f"p{number}", "report": reading}
        rows.append({**row, "view_position": "PA", "split": "test"})
    lungs = np.zeros((128, 128), np.uint8)  # of another size than the film
    lungs[8:110, 16:56] = lungs[8:110, 70:112] = 255
    Image.fromarray(lungs).save(root / "masks" / "0.png")
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    readings_manifest = Manifest.read(root)
    encoder = LookupEncoder(readings_manifest, lambda text: torch.ones(1), patches=grid.reshape(4, -1, 1))
    out = tmp_path / "out"
    options = Grounding(preset="maco-paper", boxes="zones", draws=20)
    results = judge_grounding(encoder, str(root), str(out), options, runner=RUNNER)
    assert results["weak"]
    assert results["counts"]["categories"] == {"left lower": 1, "right upper": 1}
    assert results["ways"]["without_prior"]["pointing"]["micro"]["value"] == 1.0
    assert results["ways"]["centre"]["pointing"]["micro"]["value"] == 0.0
    assert "WEAK BOXES" in results["notes"][0]
    assert "1 of 2 questions use a lung mask" in " ".join(results["notes"])
    assert "weak boxes" in (out / "results.html").read_text()
    with pytest.raises(ConfigError, match="--boxes zones"):
        find_questions(readings_manifest, Grounding())
    silent = Manifest.from_table(readings_manifest.table.assign(report="normal"), root)
    with pytest.raises(ManifestError, match="names one side"):
        find_questions(silent, options)
