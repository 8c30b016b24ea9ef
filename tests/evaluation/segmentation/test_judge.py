"""A segmenter judged: files and numbers, what is refused, what is said, and other runs drawn beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.cli import main
from hilum.errors import CheckpointError, ConfigError
from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.evaluation.segmentation.judge import judge_masks
from hilum.evaluation.segmentation.model import load_segmenter
from hilum.evaluation.segmentation.sheets import COLOURS, choose_rows, legend, mask_panels, painted
from hilum.evaluation.tasks import task_named
from hilum.manifest import Manifest
from hilum.manifest.masks import read_masks
from hilum.metrics.segmentation import surface_distance
from tests.evaluation.segmentation.conftest import QUIET


def judged(run: Path, data: Path, out: Path, **more: Any) -> Any:
    return judge_masks(str(run), str(data), out=str(out), **{"draws": 100, "runner": QUIET, **more})


@pytest.fixture(scope="module")
def on_test(trained_run: Path, masked_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return judged(trained_run, masked_data, tmp_path_factory.mktemp("judged") / "test", beside=(str(trained_run),))


def test_everything_is_written_and_agrees(on_test: Any, trained_run: Path, masked_data: Path) -> None:
    names = {path.name for path in on_test.folder.iterdir()}
    assert names == {"results.json", "results.md", "results.html", "items.parquet", "sheet.png"}
    results = json.loads((on_test.folder / "results.json").read_text())
    assert results == on_test.results
    assert results["task"] == "segmentation"
    items = pd.read_parquet(on_test.folder / "items.parquet")
    assert list(items.columns[:4]) == ["item_id", "image_id", "patient_id", "category"]
    assert items["item_id"].is_unique
    assert len(items) == results["counts"]["items"]
    table = Manifest.read(masked_data).table
    assert set(items["image_id"]) <= set(table.loc[table["split"] == "test", "image_id"])
    for name, entry in results["findings"].items():
        own = items[items["category"] == name]
        scores = entry["scores"]
        assert scores["dice_all"]["model"]["value"] == pytest.approx(own["value.dice_all"].mean())
        assert scores["dice_positive"]["model"]["value"] == pytest.approx(own["value.dice_positive"].mean())
        assert scores["iou"]["model"]["value"] == pytest.approx(own["value.iou"].mean())
        assert scores["dice_all"]["blind"]["nothing"]["value"]["value"] == pytest.approx(
            (own["pixels.true"] == 0).mean()
        )
        assert entry["positive"] + entry["empty"] == entry["films"] == len(own)
        assert entry["threshold"] == load_segmenter(trained_run).record.thresholds[name]
    assert "drawing nothing" in on_test.lines[0]


def test_masks_are_measured_on_the_films_own_pixels(on_test: Any, trained_run: Path, masked_data: Path) -> None:
    trained = load_segmenter(trained_run)
    manifest = Manifest.read(masked_data).select(split="test")
    films = MaskedFilms(manifest, read_masks(manifest, ("Mass", "Effusion")))
    for row, maps in enumerate(trained.probabilities(films, QUIET)):
        assert maps.shape == (2, 64, 64)
        drawn, true = trained.record.cut("Mass").mask(maps[0]), films.masks(row)[0] == 1
        item = on_test.table.set_index("item_id").loc[f"{films.image_ids[row]}:Mass"]
        if true.any():
            true = true if true.shape == drawn.shape else np.zeros_like(drawn)
            distance = surface_distance(drawn, true, (2.0, 2.0))
            expected = np.nan if distance is None else distance
            np.testing.assert_allclose(item["value.hd95_mm"], expected)
            dice = 2 * (drawn & true).sum() / (drawn.sum() + true.sum())
            assert item["value.dice_positive"] == pytest.approx(dice)
        else:
            assert np.isnan(item["value.dice_positive"])
            assert item["value.dice_all"] == float(not drawn.any())


def test_a_reader_is_told_how(on_test: Any) -> None:
    page, text = (on_test.folder / "results.html").read_text(), (on_test.folder / "results.md").read_text()
    for said in (
        "Dice, films with the finding",
        "empty = 1",
        "95 % surface distance, mm",
        "Nothing drawn",
        "Mean mask",
    ):
        assert said in page
        assert said in text
    assert "12 validation films" in page
    assert "Mass: orange, Effusion: blue" in page
    assert page.count("<img") == 8 * 4  # film, truth, the run, the run beside it
    with Image.open(on_test.folder / "sheet.png") as sheet:
        assert sheet.width > 4 * 250


def test_dishonest_or_impossible_requests_are_refused(
    trained_run: Path, masked_data: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="not judged on the split it learned from"):
        judged(trained_run, masked_data, tmp_path / "a", split="train")
    with pytest.raises(ConfigError, match="hog draws no masks"):
        judged(trained_run, masked_data, tmp_path / "a", baselines=("hog",))
    with pytest.raises(CheckpointError, match="not a segmenter"):
        judged(tiny_encoder, masked_data, tmp_path / "a")
    with pytest.raises(ConfigError, match="output folder is not empty"):
        judged(trained_run, masked_data, masked_data)
    with pytest.raises(ConfigError, match="no such file or folder of masks"):
        judged(trained_run, masked_data, tmp_path / "a", masks=str(tmp_path / "nowhere"))
    assert not (tmp_path / "a").exists()
    val = judged(trained_run, masked_data, tmp_path / "val", split="val", baselines=())
    assert list(val.results["macro"]["dice_all"]["blind"]) == ["nothing"]
    assert any("chosen on these films" in note for note in val.results["notes"])


def test_masks_elsewhere_without_millimetres_and_with_one_finding(
    trained_run: Path, masked_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(masked_data / "images", tmp_path / "data" / "images")
    shutil.copytree(masked_data / "masks", tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").glob("*.Effusion.png"):
        path.unlink()
    table = pd.read_csv(masked_data / "manifest.csv").drop(columns=["spacing_mm", "label.Effusion"])
    table.to_csv(tmp_path / "data" / "manifest.csv", index=False)
    found = judged(trained_run, tmp_path / "data", tmp_path / "out", masks=str(tmp_path / "elsewhere"))
    assert list(found.results["findings"]) == ["Mass"]
    assert "hd95_pixels" in found.results["findings"]["Mass"]["scores"]
    notes = " ".join(found.results["notes"])
    assert "surface distances are in pixels" in notes
    assert "Effusion: no film here has a mask of it" in notes
    assert "Mean over findings" not in (found.folder / "results.html").read_text()


def test_the_task_table_leads_here() -> None:
    assert task_named("segment").judge_run is judge_masks


def test_pictures(trained_run: Path, masked_data: Path) -> None:
    manifest = Manifest.read(masked_data)
    films = MaskedFilms(manifest, read_masks(manifest, ("Mass", "Effusion")))
    rows = choose_rows(films, 0)
    stated = films.masks.stated[rows]
    assert len(set(rows.tolist())) == 8
    assert (stated[:6] == 1).any(axis=1).all()
    assert not (stated[6:] == 1).any()
    film = np.full((40, 20), 100, np.uint8)
    masks = np.zeros((2, 40, 20), bool)
    masks[1, 10:20, 5:15] = True
    picture = np.array(painted(film, masks, 40))
    assert picture[15, 10].tolist() == [95, 128, 147]  # a third of the second colour
    assert picture[9, 10].tolist() == list(COLOURS["blue"])
    assert picture[2, 2].tolist() == [100, 100, 100]
    assert legend(("Mass", "Effusion")) == ["Mass: orange", "Effusion: blue"]
    trained = load_segmenter(trained_run)
    panels = mask_panels(films.take(rows[:2]), {"ours": trained}, QUIET)
    assert [caption.split(",")[0] for caption, _ in panels[0].pictures] == ["film", "truth", "ours"]


def test_the_shell_judges_and_draws_runs_side_by_side(
    trained_run: Path, masked_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--draws", "100", "--beside", str(trained_run), "--masks", str(masked_data / "masks"), "--device", "cpu"]
    out = str(tmp_path / "out")
    assert main(["evaluate", str(trained_run), "--data", str(masked_data), "--out", out, *given]) == 0
    assert "Mass: Dice 0." in capsys.readouterr().out
    assert "upernet (2)" in (tmp_path / "out" / "results.html").read_text()
    wrong = ["evaluate", str(trained_run), "--data", str(masked_data), "--boxes", "x.json"]
    assert main(wrong) == 2
    assert "boxes: says nothing to a run of this task" in capsys.readouterr().err
