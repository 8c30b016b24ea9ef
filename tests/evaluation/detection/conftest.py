"""Films with two findings that have boxes, and a detector small enough to learn them in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hilum.encoder import Encoder
from hilum.evaluation.detection.plan import Options, make_plan
from hilum.evaluation.detection.run import run_detection
from hilum.evaluation.features import Runner
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing

SMALL = {"width": 32, "heads": 4, "feedforward": 64, "blocks": 2, "queries": 12, "layers": 2}
CPU = Runner(device="cpu", quiet=True)


@pytest.fixture(scope="session")
def boxed_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 films of 40 patients, 48 x 64 pixels: `Mass` is a bright square, `Effusion` a bright lower corner, some two.

    Some films have nothing and are only listed in boxes.json; their labels are blank.
    """
    root = tmp_path_factory.mktemp("boxed data")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    rows, images, notes = [], [], []
    for number in range(80):
        pixels, found = rng.normal(80, 20, (48, 64)), []
        if rng.random() < 0.5:
            left, top = (int(value) for value in rng.integers((4, 2), (44, 18)))
            found.append((1, [left, top, 14, 14]))
        found += [(2, [left, 34, 20, 14]) for left in (0, 44) if rng.random() < 0.3]
        for _, (left, top, width, height) in found:
            pixels[top : top + height, left : left + width] += 110
        name = f"film{number:02d}"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{name}.png")
        patient = number // 2
        split = ("train", "train", "train", "val", "test")[patient % 5]
        rows.append({"image": f"images/{name}.png", "patient_id": f"p{patient:02d}", "split": split,
                     "view_position": ("AP", "PA")[number % 2], "height": 48, "width": 64})  # fmt: skip
        images.append({"id": name, "file_name": f"{name}.png", "width": 64, "height": 48})
        notes += [{"image_id": name, "category_id": kind, "bbox": box} for kind, box in found]
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    categories = [{"id": 1, "name": "Mass"}, {"id": 2, "name": "Effusion"}]
    (root / "boxes.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": notes}))
    return root


@pytest.fixture(scope="session")
def box_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ViT of two blocks on patches of 8 pixels: 64 places."""
    sizes = ViTConfig(image_size=64, patch_size=8, channels=1, width=32, depth=2, heads=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = Encoder(VisionTransformer(sizes), Preprocessing(64, 1, (0.5,), (0.25,)), {"method": "none"})
    return encoder.save(tmp_path_factory.mktemp("encoders") / "box encoder")


def make_options(encoder: Path, data: Path, **more: Any) -> Options:
    values = {"head_set": SMALL, "epochs": 1, "batch_size": 8, "lr": 1e-3, "drop_path": 0.0}
    return Options(str(encoder), str(data), **{**values, **more})


@pytest.fixture(scope="session")
def box_run(box_encoder: Path, boxed_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a few steps."""
    out = tmp_path_factory.mktemp("box runs") / "run"
    run_detection(make_plan(make_options(box_encoder, boxed_data)), out, runner=CPU)
    return out
