"""A classifier whose query for `Mass` looks at bright patches and the one for `Air` at dark ones, and chests for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from hilum.evaluation.classifier import Record, TrainedClassifier, build_classifier
from hilum.models.vit import ViTConfig
from hilum.schema import Preprocessing

SIDE, PATCH = 96, 8
PLAIN = ViTConfig(
    image_size=SIDE, patch_size=PATCH, channels=1, width=8, depth=1, heads=2, registers=1, final_norm=False
)
GREY = Preprocessing(size=SIDE, channels=1, mean=(0.0,), std=(1.0,))
SHARPNESS = 60.0  # of the attention
HEAD = {"blocks": 1, "dim": 8, "heads": 1, "feedforward": 8, "class_token": "none", "standardise": False}


def bright_classifier(**options: object) -> TrainedClassifier:
    """Its encoder's patch tokens are the mean grey of the patch; its class token looks everywhere alike."""
    record = Record(("Mass", "Air"), head="glori", head_config=HEAD, **options)  # type: ignore[arg-type]
    model = build_classifier(PLAIN, record)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.backbone.patch_embed.proj.weight[0] = 1 / PATCH**2  # type: ignore[union-attr]
        head = model.head
        head.embed.weight[0, 0] = 1.0  # type: ignore[union-attr, index, operator]
        head.queries[:, 0] = torch.tensor([SHARPNESS, -SHARPNESS])  # type: ignore[index, operator]
        head.attend.query.weight[0, 0] = head.attend.key.weight[0, 0] = 1.0  # type: ignore[union-attr, index, operator]
    return TrainedClassifier(model.eval(), GREY, record)


def chest(across: float = 0.0, down: float = 0.0, *, mass: bool = False) -> tuple[NDArray[np.uint8], list[int]]:
    """Two dark lungs in a grey body, moved by shares of the side, with a bright square in the left of the picture."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    x, y = columns - across, rows - down
    film = 120.0 - 110 * (np.abs(x) > 0.44) - 30 * y
    for centre, width in ((-0.2, 0.14), (0.21, 0.12)):
        film[((x - centre) / width) ** 2 + ((y + 0.02) / 0.3) ** 2 < 1] = 35
    film[np.abs(x) < 0.04] += 20
    film = gaussian_filter(film, 1.0)
    left, top = round((0.5 - 0.26 + across) * SIDE), round((0.5 - 0.1 + down) * SIDE)
    box = [left, top, 12, 12]
    if mass:
        film[top : top + 12, left : left + 12] = 250
    return film.clip(0, 255).astype(np.uint8), box


def write_chests(root: Path, *, films: int = 10) -> Path:
    """`films` films of as many patients in the test split, the first half with a mass; boxes.csv has their boxes."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    rows, boxes = [], []
    for number in range(films):
        mass = number < films // 2
        pixels, box = chest(*rng.uniform(-0.06, 0.06, 2), mass=mass)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        about = {"image": f"images/{number}.png", "image_id": f"film{number}", "patient_id": f"patient{number}"}
        rows.append({**about, "view_position": "PA", "split": "test", "label.Mass": int(mass), "label.Air": 0})
        if mass:
            boxes.append({"image_id": f"film{number}", "category": "mass", **dict(zip("xywh", box, strict=True))})
    pd.DataFrame(rows).to_csv(root / "manifest.csv", index=False)
    pd.DataFrame(boxes).to_csv(root / "boxes.csv", index=False)
    return root
