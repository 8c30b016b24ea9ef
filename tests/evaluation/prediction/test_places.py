"""New films through a segmenter and a detector: masks and boxes lie on the film as it came."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("transformers")

from hilum.errors import ConfigError
from hilum.evaluation.detection.model import DetectorRecord, TrainedDetector, build_detector
from hilum.evaluation.features import Runner
from hilum.evaluation.prediction.run import Asked, predict_films
from hilum.evaluation.segmentation.model import SegmenterRecord, TrainedSegmenter
from hilum.heads.segmentation import Config, Segmenter
from hilum.models.backbone import build_backbone
from tests.evaluation.prediction.conftest import GREY, SIZES

RUNNER = Runner(device="cpu", quiet=True)
ORIGIN = {"prepared": {"size": 64, "fit": "pad"}, "encoder": "tiny"}


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It draws Mass wherever the film is bright, and Effusion nowhere."""
    root = tmp_path_factory.mktemp("segmenters") / "run"
    torch.manual_seed(0)
    head = Config(width=8, auxiliary_width=0)
    record = SegmenterRecord(
        ("Mass", "Effusion"),
        head={"width": 8, "auxiliary_width": 0},
        thresholds={"Mass": 0.0, "Effusion": 1.0},
        areas={"Effusion": 0.5},
        threshold_notes={"Effusion": "no film has it"},
        validation={"films": 3},
        origin=ORIGIN,
    )
    TrainedSegmenter(Segmenter(build_backbone(SIZES), 2, head), GREY, record).save(root / "model")
    return root


def test_masks_have_the_size_of_the_film(segmenter: Path, folder: Path, tmp_path: Path) -> None:
    files = [str(folder / "wide.jpg"), str(folder / "square.png")]
    found = predict_films(str(segmenter), files, str(tmp_path / "out"), Asked(), runner=RUNNER, workers=1)
    for name, size in (("wide", (100, 50)), ("square", (64, 64))):
        with (
            Image.open(tmp_path / "out" / "masks" / name / "Mass.png") as mask,
            Image.open(tmp_path / "out" / "masks" / name / "Effusion.png") as other,
        ):
            assert mask.size == other.size == size
            assert np.asarray(mask).min() == 255  # everything is at least 0 sure
            assert np.asarray(other).max() == 0
    assert found.table["area.Mass"].tolist() == [1.0, 1.0]
    assert found.table["area.Effusion"].tolist() == [0.0, 0.0]
    assert found.lines[0] == "2 films read; from the threshold on: Mass 2, Effusion 0"
    assert "Effusion: no film has it." in found.results["notes"]
    assert "100.00%" in (tmp_path / "out" / "results.md").read_text()
    with pytest.raises(ConfigError, match="a model of the task segment says where by itself"):
        predict_films(str(segmenter), files, str(tmp_path / "maps"), Asked(maps="cam"), runner=RUNNER)


def test_boxes_are_coco_in_pixels_of_the_film(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    head = {"blocks": 2, "width": 32, "layers": 1, "heads": 2, "feedforward": 16, "queries": 4}
    record = DetectorRecord(("Mass",), head_config=head, most_found=4, thresholds={"Mass": 0.0}, origin=ORIGIN)
    TrainedDetector(build_detector(SIZES, GREY, record), GREY, record).save(tmp_path / "run" / "model")
    files = [str(folder / "wide.jpg"), str(folder / "square.png")]
    found = predict_films(str(tmp_path / "run"), files, str(tmp_path / "out"), Asked(), runner=RUNNER, workers=1)
    coco = json.loads((tmp_path / "out" / "boxes.json").read_text())
    assert [(one["file_name"], one["width"], one["height"]) for one in coco["images"]] == [
        ("wide", 100, 50),
        ("square", 64, 64),
    ]
    assert coco["categories"] == [{"id": 1, "name": "Mass"}]
    sizes = {one["id"]: (one["width"], one["height"]) for one in coco["images"]}
    for box in coco["annotations"]:
        left, top, width, height = box["bbox"]
        assert 0 <= left <= left + width <= sizes[box["image_id"]][0] + 0.01
        assert 0 <= top <= top + height <= sizes[box["image_id"]][1] + 0.01
        assert 0 <= box["score"] <= 1
    each = [sum(box["image_id"] == image for box in coco["annotations"]) for image in (0, 1)]
    assert found.table["boxes.Mass"].tolist() == each
    assert sum(each) > 0
    assert found.results["counts"]["called"] == {"Mass": sum(count > 0 for count in each)}
