"""New films through a segmenter or a detector: masks as PNG, boxes as COCO JSON, in pixels of the film as it came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hilum.evaluation.detection.found import find_boxes
from hilum.evaluation.detection.model import load_detector
from hilum.evaluation.detection.truth import BoxedFilms
from hilum.evaluation.features import Runner
from hilum.evaluation.prediction.new_films import NewFilms
from hilum.evaluation.prediction.predictors import Answers, Predictor
from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.evaluation.segmentation.model import load_segmenter
from hilum.films import FilmStore
from hilum.manifest.masks import Masks
from hilum.metrics.detection.tables import BOX
from hilum.results.pictures import png
from hilum.run_folder import write_atomic

MASKS: Final = "masks"  # folder: masks/<film>/<finding>.png, white where the finding is drawn
BOXES: Final = "boxes.json"
AREA: Final = "area."  # area.<finding>: share of the film that is drawn
COUNT: Final = "boxes."  # boxes.<finding>: boxes at or above the stored threshold


def load_masks(run: str | Path) -> Predictor:
    """A run of `hilum adapt segment`."""
    trained = load_segmenter(run)
    record = trained.record

    def answer(films: NewFilms, place: Path, runner: Runner) -> Answers:
        blank = np.full((len(films), len(record.findings)), np.nan, dtype=np.float32)
        unknown = MaskedFilms(
            films.manifest, Masks(record.findings, ((((),) * len(record.findings)),) * len(films), blank)
        )
        areas = np.zeros((len(films), len(record.findings)))
        for row, probabilities in enumerate(trained.probabilities(unknown, runner)):
            folder = place / MASKS / films.names[row]
            folder.mkdir(parents=True)
            for k, finding in enumerate(record.findings):
                picture = films.placed[row].mask(record.cut(finding).mask(probabilities[k]))
                areas[row, k] = np.asarray(picture).mean() / 255
                (folder / f"{finding}.png").write_bytes(png(picture))  # the folder is moved as a whole
        columns = pd.DataFrame({AREA + name: areas[:, k] for k, name in enumerate(record.findings)})
        return Answers(columns, tuple(f"{name}: {why}." for name, why in record.threshold_notes.items()))

    about = {"thresholds": record.chosen_on, "masks": f"{MASKS}/<film>/<finding>.png, at the size of the film"}
    return Predictor("segment", record.findings, record.origin, answer, record.thresholds, about)


def load_boxes(run: str | Path) -> Predictor:
    """A run of `hilum adapt detect`."""
    trained = load_detector(run)
    record = trained.record

    def answer(films: NewFilms, place: Path, runner: Runner) -> Answers:
        model = trained.model.to(runner.torch_device).eval()
        nothing = tuple(np.zeros((0, 5)) for _ in range(len(films)))
        boxed = BoxedFilms(films.manifest, nothing, films.stored, record.findings)
        store = FilmStore(films.manifest)
        table = find_boxes(model, boxed, store, trained.preprocessing, runner, most=record.most_found)
        rows = pd.Index(films.manifest.table["image_id"]).get_indexer(pd.Index(table["image_id"]))
        corners = table[BOX].to_numpy(np.float64, copy=True)
        for row in np.unique(rows):
            corners[rows == row] = films.placed[row].boxes(corners[rows == row])
        table = table.assign(row=rows, **dict(zip(BOX, corners.T, strict=True)))
        write_atomic(place / BOXES, json.dumps(coco(table, films, record.findings), indent=1) + "\n")
        counts = {
            COUNT + name: np.bincount(
                rows[((table["category"] == name) & (table["score"] >= record.thresholds.get(name, 0.5))).to_numpy()],
                minlength=len(films),
            )
            for name in record.findings
        }
        notes = tuple(f"{name}: {why}; boxes are counted from 0.5." for name, why in record.threshold_notes.items())
        return Answers(pd.DataFrame(counts), notes)

    about = {"boxes": f"{BOXES}: all boxes with their scores, in pixels of the film; counted from the threshold on"}
    return Predictor("detect", record.findings, record.origin, answer, record.thresholds, about)


def coco(table: pd.DataFrame, films: NewFilms, findings: tuple[str, ...]) -> dict[str, Any]:
    """Boxes as COCO has them: images, categories, and annotations with a score.

    Args:
        table: `row` of the film, category, x, y, w, h in pixels of the film, score.
        films: the films.
        findings: the categories.
    """
    ids = films.manifest.table["image_id"]
    images = [
        {"id": row, "file_name": str(ids.iloc[row]), "height": placed.height, "width": placed.width}
        for row, placed in enumerate(films.placed)
    ]
    number = {name: k + 1 for k, name in enumerate(findings)}
    parts = (
        table["row"].tolist(),
        table["category"].tolist(),
        table[BOX].to_numpy(np.float64),
        table["score"].tolist(),
    )
    annotations = [
        {
            "id": n + 1,
            "image_id": row,
            "category_id": number[category],
            "bbox": box.round(2).tolist(),
            "area": round(float(box[2] * box[3]), 2),
            "iscrowd": 0,
            "score": score,
        }
        for n, (row, category, box, score) in enumerate(zip(*parts, strict=True))
    ]
    categories = [{"id": k, "name": name} for name, k in number.items()]
    return {"images": images, "categories": categories, "annotations": annotations}
