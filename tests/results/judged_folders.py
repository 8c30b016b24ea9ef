"""Judged folders of every task for the tests, small enough to check by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hilum.results import classification_results, write_results
from tests.results.frames import predictions

BASICS: dict[str, Any] = {"context": {"title": "T", "manifest_sha256": "abc"}, "notes": []}


def write_scores(folder: Path, *, quality: float = 1.5, task: str = "classification", n: int = 240) -> Path:
    """A classifier's folder; the same labels whatever the quality."""
    table = predictions(quality=quality, n=n)
    thresholds = {"Effusion": 0.35, "Mass": 0.3}
    results = classification_results(table, thresholds=thresholds, draws=20, context=BASICS["context"], task=task)
    write_results(folder, results, table)
    return folder


def write_folder(folder: Path, results: dict[str, Any], **tables: pd.DataFrame) -> Path:
    """results.json with these values beside the tables."""
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({**BASICS, **results}))
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def items(shift: float = 0.0, *, n: int = 40) -> pd.DataFrame:
    """Films of n / 2 patients with one mask a finding; Dice is blank where there is nothing to draw."""
    rng = np.random.default_rng(0)
    category = np.where(np.arange(n) % 2, "Mass", "Nodule")
    true = np.where(np.arange(n) % 5, 100, 0)
    both = np.where(true > 0, rng.integers(20, 60, n) + int(100 * shift), 0)
    return pd.DataFrame(
        {
            "item_id": [f"i{i // 2}: {name}" for i, name in enumerate(category)],
            "image_id": [f"i{i // 2}" for i in range(n)],
            "patient_id": [f"p{i // 4}" for i in range(n)],
            "category": category,
            "value.dice_positive": np.where(true > 0, 2 * both / 200, np.nan),
            "value.hd95_mm": np.where(true > 0, 30 - 20 * shift, np.nan),
            "pixels.both": both,
            "pixels.drawn": 100,
            "pixels.true": true,
            "pixels.known": 1000,
        }
    )


def subjects(quality: float, *, n: int = 80) -> pd.DataFrame:
    """Persons whose score tells their time the better the higher the quality."""
    rng = np.random.default_rng(0)
    risk = rng.normal(size=n)
    time = rng.exponential(np.exp(-1.5 * risk)) * 100 + 1
    noise = np.random.default_rng(round(10 * quality)).normal(size=n)
    return pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(n)],
            "patient_id": [f"p{i}" for i in range(n)],
            "endpoint": "Death",
            "score": quality * risk + noise,
            "time": np.minimum(time, 365.0),
            "event": (time < 365).astype(float),
        }
    )


def boxes(shift: float = 0.0, *, n: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Found and true boxes: every second film has one, found `shift` pixels away."""
    truth = pd.DataFrame(
        {
            "image_id": [f"i{i}" for i in range(n)],
            "patient_id": [f"p{i // 2}" for i in range(n)],
            "category": np.where(np.arange(n) % 2, "Mass", ""),
            **{
                name: np.where(np.arange(n) % 2, size, np.nan)
                for name, size in zip("xywh", (9, 9, 20, 20), strict=True)
            },
        }
    )
    found = truth[truth["category"] != ""].assign(x=9 + shift, score=0.9)
    return found, truth


def survival_results(horizon: float = 200.0) -> dict[str, Any]:
    return {"task": "survival", "endpoints": {"Death": {"horizon": horizon}}}
