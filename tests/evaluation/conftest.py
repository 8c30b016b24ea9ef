"""A tiny encoder and films it can learn, for every protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hilum.encoder import Encoder
from hilum.models.vit import VisionTransformer, ViTConfig
from hilum.schema import Preprocessing

TINY = ViTConfig(image_size=64, patch_size=16, channels=1, width=48, depth=2, heads=2)
GREY = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))


def make_encoder(seed: int = 0) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Encoder(VisionTransformer(TINY), GREY, {"method": "none"})


@pytest.fixture
def encoder() -> Encoder:
    return make_encoder()


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder().save(tmp_path_factory.mktemp("encoders") / "tiny encoder")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 films of 60 patients, 36 to learn from, 12 to choose by, 12 to judge; `Mass` is a square, `Effusion` an
    edge."""
    root = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    rows = []
    for number in range(120):
        mass, effusion = (int(rng.random() < 0.4) for _ in range(2))
        pixels = rng.normal(90 + rng.normal(0, 20), 25, (64, 64))
        top, left = rng.integers(4, 28, 2)
        pixels[top : top + 16, left : left + 16] += 110 * mass
        pixels[-12:] += 90 * effusion
        patient = number // 2
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{number}.png")
        rows.append(
            {
                "image": f"images/{number}.png",
                "patient_id": f"patient{patient:03d}",
                "view_position": ("AP", "PA")[number % 2],
                "split": ("train", "train", "train", "val", "test")[patient % 5],
                "label.Mass": mass,
                "label.Effusion": effusion if number % 7 else "",
            }
        )
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root
