"""Films with their true boxes and the found ones, for the page and as one sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from hilum.evaluation.detection.truth import BoxedFilms
from hilum.films import decode
from hilum.metrics.detection.tables import BOX
from hilum.results.detection import Example
from hilum.results.pictures import data_uri, overlay, png, sheet

SIDE: Final = 360  # pixels of a picture
FILMS: Final = 8
FOUND: Final = (64, 190, 255)  # blue: seen on grey, and beside the amber of the truth


def draw_examples(
    films: BoxedFilms, found: pd.DataFrame, thresholds: Mapping[str, float], *, seed: int, count: int = FILMS
) -> tuple[list[Example], bytes]:
    """Pictures of some films, drawn by lot, those with a box first.

    Args:
        films: with their true boxes.
        found: the table of found boxes.
        thresholds: finding -> score from which a box is shown; findings without one are not shown.
        seed: of the lot.
        count: films at most.

    Returns:
        The examples for the page, and all of them as one PNG.
    """
    lot = np.random.default_rng(seed).permutation(len(films))
    filled = np.array([len(films.boxes[row]) > 0 for row in lot])
    chosen = lot[np.argsort(~filled, kind="stable")][:count]
    examples, rows = [], []
    shown = found[found["score"] >= found["category"].map(dict(thresholds)).astype(float).fillna(np.inf)]
    for row in chosen:
        film, image = films.manifest.table.iloc[row], decode(films.manifest.paths()[row])
        here = shown[shown["image_id"] == film["image_id"]]
        truth = overlay(image, None, films.boxes[row][:, :4], SIDE)
        kinds = Counter(films.findings[int(kind)] for kind in films.boxes[row][:, 4])
        told = ", ".join(f"{name} x{times}" if times > 1 else name for name, times in kinds.items())
        says = ", ".join(f"{name} {score:.2f}" for name, score in zip(here["category"], here["score"], strict=True))
        pictures = [
            (f"true: {told or 'nothing'}", truth),
            (f"found: {says or 'nothing'}", with_found(truth, here, image.shape)),
        ]
        title = str(film["image_id"])
        examples.append(Example(title, tuple((caption, data_uri(picture)) for caption, picture in pictures)))
        rows.append([(picture, f"{title}. {caption}") for caption, picture in pictures])
    return examples, png(sheet(rows, SIDE)) if rows else b""


def with_found(picture: Image.Image, found: pd.DataFrame, shape: tuple[int, ...]) -> Image.Image:
    """The picture of a film (H, W) with found boxes drawn on it, each with its finding and score."""
    drawn = picture.copy()
    draw = ImageDraw.Draw(drawn)
    across, down = drawn.width / shape[1], drawn.height / shape[0]
    for (left, top, width, height), name, score in zip(
        found[BOX].to_numpy(), found["category"], found["score"], strict=True
    ):
        corners = (left * across, top * down, (left + width) * across - 1, (top + height) * down - 1)
        draw.rectangle((*corners[:2], max(corners[0], corners[2]), max(corners[1], corners[3])), outline=FOUND, width=2)
        draw.text((corners[0] + 4, corners[1] + 2), f"{name} {score:.2f}", fill=FOUND)
    return drawn
