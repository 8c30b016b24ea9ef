"""Films with a bright square (Mass, known everywhere) and a bright lower edge (Effusion, unknown on some)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hilum.evaluation.features import Runner
from hilum.evaluation.segmentation.plan import Options, make_plan
from hilum.evaluation.segmentation.run import run_segmentation
from tests.evaluation.conftest import make_encoder


def write_masked_films(root: Path, films: int, *, size: int = 64, split: str | None = None, seed: int = 0) -> Path:
    """`films` noise films, two a patient, with masks in `root/masks`; `split` puts all of them into one split."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rows = []
    for number in range(films):
        pixels = rng.normal(80, 20, (size, size))
        mass, effusion = number % 5 != 3, number % 3 == 0
        masks = {name: np.zeros((size, size), bool) for name in ("Mass", "Effusion")}
        top, left = rng.integers(4, size - 24, 2)
        masks["Mass"][top : top + 18, left : left + 18] = mass
        masks["Effusion"][-12:] = effusion
        for mask in masks.values():
            pixels[mask] += 120
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"film{number}.png")
        for name, mask in masks.items():
            if mask.any():
                Image.fromarray(mask).save(root / "masks" / f"film{number}.{name}.png")
        rows.append(
            {
                "image": f"images/film{number}.png",
                "patient_id": f"patient{number // 2:03d}",
                "view_position": "PA",
                "split": split or ("train", "train", "val", "test")[number // 2 % 4],
                "width": size,
                "height": size,
                "spacing_mm": "2.0,2.0",
                "label.Mass": int(mass),
                "label.Effusion": int(effusion) if number % 7 else "",
            }
        )
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root


QUICK = {"width": 16, "auxiliary_width": 8, "steps": 30, "lr": 2e-3, "batch_size": 4, "rotate": 0.0, "drop_path": 0.0}
QUIET = Runner(device="cpu", quiet=True)


def options(encoder: Path, data: Path, **more: Any) -> Options:
    return Options(str(encoder), str(data), ("Mass", "Effusion"), **{**QUICK, **more})


@pytest.fixture(scope="session")
def masked_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_masked_films(tmp_path_factory.mktemp("masked"), 48)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder().save(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture(scope="session")
def trained_run(masked_data: Path, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of thirty steps: it has begun to see, no more."""
    out = tmp_path_factory.mktemp("runs") / "upernet"
    run_segmentation(make_plan(options(tiny_encoder, masked_data)), out, runner=QUIET)
    return out
