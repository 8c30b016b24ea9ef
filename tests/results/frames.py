"""A table of predictions for the tests: several films a patient, blanks, one finding without positives."""

from __future__ import annotations

import numpy as np
import pandas as pd

NAMES = ("Effusion", "Mass", "Hernia")


def predictions(seed: int = 0, n: int = 150, *, quality: float = 1.5) -> pd.DataFrame:
    """Films of n / 3 patients; the same seed gives the same labels whatever the quality of the scores."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {
        "image_id": [f"i{i:04d}" for i in range(n)],
        "study_id": [f"s{i // 2}" for i in range(n)],
        "patient_id": [f"p{i // 3}" for i in range(n)],
        "split": ["test"] * n,
        "view_position": rng.choice(["PA", "AP", ""], n),
        "age": np.repeat(np.where(np.arange(n // 3) % 10, 40.0 + np.arange(n // 3) % 7, np.nan), 3),
        "sex": np.repeat(rng.choice(["F", "M"], n // 3), 3),
        "site": ["North & <South>"] * n,
    }
    noise = np.random.default_rng(seed + round(1000 * quality))
    for name, share in zip(NAMES, (0.4, 0.2, 0.0), strict=True):
        label = (rng.random(n) < share).astype(float)
        columns[f"score.{name}"] = 1 / (1 + np.exp(1 - noise.normal(quality * label)))
        label[rng.random(n) < 0.1] = np.nan
        columns[f"label.{name}"] = label
    return pd.DataFrame(columns)
