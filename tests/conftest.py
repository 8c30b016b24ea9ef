"""Shared fixtures: where the reference material lies, and small data sets made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image

torch.set_num_threads(1)

# the same examples each run, or a suite of thousands fails now and then on one that it never saw before
_FILTERS = (HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("hilum", deadline=None, derandomize=True, suppress_health_check=_FILTERS)
settings.load_profile("hilum")

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the checkout with golden vectors and real films."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared (golden vectors and real films), which is not there")
    return SHARED


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 films of 20 patients, 64 x 64: `Mass` is a bright square, `Effusion` a bright lower edge, on noise."""
    root = tmp_path_factory.mktemp("tiny data")
    write_films(root, films=40)
    return root


@pytest.fixture(scope="session")
def reported_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The films of `tiny_data`, each patient one study with a report that says what is on its films."""
    root = tmp_path_factory.mktemp("reported data")
    write_films(root, films=40)
    table = pd.read_csv(root / "manifest.csv", dtype=str, keep_default_na=False)
    table["study_id"] = table["patient_id"]
    for _, films in table.groupby("study_id"):
        told = []
        for finding, words in (("Mass", "a mass in the left lung"), ("Effusion", "pleural effusion on the right")):
            present = (films[f"label.{finding}"] == "1").any()
            told.append(f"There is {words}." if present else f"No {finding.lower()}.")
        heart = "The heart is 10.5 cm wide and normal." if len(told[0]) % 2 else "Heart size is normal."
        findings, impression = f"PA and AP views. {heart} {' '.join(told)}", told[0]
        table.loc[films.index, "findings"] = findings
        table.loc[films.index, "impression"] = impression
        table.loc[films.index, "report"] = f"FINDINGS: {findings} IMPRESSION: {impression}"
    table.to_csv(root / "manifest.csv", index=False)
    return root


def write_films(root: Path, *, films: int, size: int = 64, seed: int = 0) -> Path:
    """A manifest.csv with `films` noise films of two findings a small network can learn; two films a patient."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    rows = []
    for number in range(films):
        pixels = rng.normal(90, 25, (size, size)) + rng.normal(0, 20)
        mass, effusion = int(rng.random() < 0.4), int(rng.random() < 0.4)
        if mass:
            top, left = rng.integers(8, size // 2 - 16, 2)
            pixels[top : top + 14, left : left + 14] += 110
        if effusion:
            pixels[-size // 5 :] += 90
        name = f"film{number:04d}"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{name}.png")
        patient = number // 2
        split = "test" if patient % 5 == 4 else "val" if patient % 5 == 3 else "train"
        rows.append(
            {
                "image": f"images/{name}.png",
                "patient_id": f"patient{patient:03d}",
                "view_position": "PA" if number % 2 else "AP",
                "split": split,
                "width": size,
                "height": size,
                "label.Mass": mass,
                "label.Effusion": effusion if number % 7 else "",
            }
        )
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    return root
