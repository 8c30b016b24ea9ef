"""Films with follow-up: who has a mass or is old dies earlier."""

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


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = VisionTransformer(ViTConfig(image_size=64, patch_size=16, channels=1, width=48, depth=2, heads=2))
    grey = Preprocessing(size=64, channels=1, mean=(0.5,), std=(0.25,))
    return Encoder(network, grey, {"method": "none"}).save(tmp_path_factory.mktemp("encoders") / "tiny encoder")


@pytest.fixture(scope="session")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 films of 100 patients, two each, 80 days apart: 60 patients to learn from, 20 to choose by, 20 to judge."""
    return write_followed(tmp_path_factory.mktemp("followed films"))


def write_followed(root: Path, *, patients: int = 100, seed: int = 0) -> Path:
    """Films and a manifest.csv with Death (all causes) and Stroke (death competes)."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    rows = []
    for patient in range(patients):
        mass, age = int(rng.random() < 0.5), float(rng.integers(40, 80))
        risk = 2.0 * mass + 0.06 * (age - 60)
        death = 400 * (rng.exponential() / np.exp(risk)) ** (1 / 1.2)
        stroke, lost = 900 * rng.exponential() / np.exp(mass), rng.uniform(50, 1500)
        for film in range(2):
            gap = 80 * (1 - film)  # dates are those after the last film
            pixels = rng.normal(90 + rng.normal(0, 8), 20, (64, 64))
            top, left = rng.integers(4, 28, 2)
            pixels[top : top + 16, left : left + 16] += 120 * mass
            name = f"{patient:03d}{'ba'[film]}"  # the later film has the smaller id
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{name}.png")
            rows.append(
                {
                    "image": f"images/{name}.png",
                    "patient_id": f"P{patient:03d}",
                    "view_position": "PA",
                    "split": ("train", "train", "train", "val", "test")[patient % 5],
                    "age": age if patient % 9 else "",
                    "sex": "MF"[patient % 2],
                    "label.Mass": mass,
                    "time.Death": int(np.ceil(gap + min(death, lost))),
                    "event.Death": int(death <= lost),
                    "time.Stroke": int(np.ceil(gap + min(stroke, death, lost))),
                    "event.Stroke": 1 if stroke <= min(death, lost) else 2 if death <= lost else 0,
                    "risk.Death": round(risk, 4),
                }
            )
    rows[0] |= {"time.Death": "", "event.Death": ""}
    rows[1] |= {"time.Death": 0, "event.Death": 0}
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root
