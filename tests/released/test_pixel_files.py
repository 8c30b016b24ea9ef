"""Records read from the files that lie beside released weights, against the library each file is of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor

from hilum.errors import CheckpointError
from hilum.released.pixels import from_open_clip, from_processor, from_timm, record
from hilum.schema import Preprocessing
from hilum.transforms.image import prepare_film
from tests.oracles.pixels import odd_film

FILMS = [odd_film(*shape) for shape in [(260, 311), (403, 250), (97, 64), (131, 131)]]
PROCESSORS: list[dict[str, Any]] = [
    {"image_processor_type": "CLIPImageProcessor"},
    {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 96}, "crop_size": 80},
    {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}},
    {"image_processor_type": "ViTImageProcessor", "do_rescale": False, "do_normalize": False},
    {"image_processor_type": "ViTImageProcessor", "rescale_factor": 1 / 127.5, "resample": 1},
    {"image_processor_type": "DeiTImageProcessor"},
    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}},
    {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "image_mean": [0.1, 0.2, 0.3]},
    {"image_processor_type": "SiglipImageProcessor"},
]


def judged(values: dict[str, Any], folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    own = from_processor(values)
    for film in FILMS:
        expected = processor(Image.fromarray(film).convert("RGB"), return_tensors="np")["pixel_values"][0]
        found = prepare_film(film, own).numpy()
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("values", PROCESSORS, ids=lambda values: values["image_processor_type"])
def test_a_processor_is_followed_to_the_pixel(values: dict[str, Any], tmp_path: Path) -> None:
    judged(values, tmp_path)


def test_rad_dinos_own_file_is_followed_to_the_pixel(shared: Path, tmp_path: Path) -> None:
    values = json.loads((shared / "golden/checkpoints/rad_dino/preprocessor_config.json").read_text())
    judged(values, tmp_path)
    assert from_processor(values) == record("rad-dino", size=values["crop_size"]["height"])


def test_dinov3_divides_before_it_resizes() -> None:
    said = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": {"height": 224, "width": 224}}
    assert from_processor(said) == record("dinov3")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "does not say size, resample, image_mean, image_std"),
        ({"image_processor_type": "CLIPImageProcessor", "do_resize": False}, "resizes nothing"),
        ({"image_processor_type": "CLIPImageProcessor", "do_center_crop": False}, "would stay oblong"),
        ({"image_processor_type": "CLIPImageProcessor", "crop_size": 300}, "crops 300 pixels of 224"),
        ({"image_processor_type": "CLIPImageProcessor", "resample": 5}, "Pillow's kernel 5"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 32}}, "of size .*64"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"longest_edge": 64}}, "of size .*longest_edge"),
        ({"image_processor_type": "ViTImageProcessor", "do_pad": True}, "pads"),
    ],
)
def test_what_a_square_film_cannot_go_through_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        from_processor(values)


def test_timms_configuration_in_fields() -> None:
    assert from_timm({}) == record("timm")
    said = {"input_size": [3, 384, 384], "crop_pct": 1.0, "crop_mode": "squash", "mean": [0.5] * 3, "std": [0.5] * 3}
    own = from_timm({"architecture": "x", "pretrained_cfg": said})
    assert own == Preprocessing(size=384, mean=(0.5,) * 3, std=(0.5,) * 3, eight_bit=True, margin="even")
    border = from_timm({**said, "crop_mode": "border", "crop_pct": 0.9, "interpolation": "bilinear"})
    assert (border.resize, border.resize_to, border.fill, border.interpolation) == ("pad", 426, "mean", "bilinear")
    for values in ({"crop_mode": "naflex"}, {"interpolation": "hamming"}, {"input_size": [3, 224, 192]}):
        with pytest.raises(CheckpointError):
            from_timm(values)


def test_open_clips_configuration_in_fields() -> None:
    assert from_open_clip({}) == record("clip")
    own = from_open_clip({"model_cfg": {"vision_cfg": {"image_size": 64}}, "preprocess_cfg": {"mean": 0.5, "std": 0.5}})
    assert (own.size, own.mean) == (64, (0.5,) * 3)
    assert from_open_clip({"size": [96, 96], "resize_mode": "longest"}).resize == "pad"
    for values in ({"resize_mode": "longest", "fill_color": 127}, {"resize_mode": "keep"}, {"size": [96, 64]}):
        with pytest.raises(CheckpointError):
            from_open_clip(values)
