"""The field's own evaluation: COCO's AP, AP50 and AR of each finding, by faster-coco-eval.

The package is COCO's evaluation in C++; tests hold it against pycocotools, and `weighted` against both.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.detection.matching import IOUS, MOST
from hilum.metrics.detection.tables import Boxes, Scenes
from hilum.metrics.detection.weighted import RECALLS

Floats = NDArray[np.float64]


def coco_scores(scenes: Scenes) -> dict[str, Floats]:
    """AP (0.5:0.95), AP50 and AR (at most 100 boxes an image) of each category.

    Args:
        scenes: the tables.

    Returns:
        "ap", "ap50", "ar" -> (K,), NaN for a category without a true box.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    known = np.bincount(scenes.truth.category, minlength=len(scenes.categories)) > 0
    scores = {name: np.full(len(scenes.categories), np.nan) for name in ("ap", "ap50", "ar")}
    if not known.any():
        return scores
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress
        run = COCOeval_faster(COCO(coco_dict(scenes, scenes.truth)), COCO(coco_dict(scenes, scenes.found)), "bbox")
        run.params.iouThrs, run.params.recThrs, run.params.maxDets = IOUS, RECALLS, [MOST]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision, recall = (np.asarray(run.eval[name]) for name in ("precision", "recall"))
    for k in np.flatnonzero(known):
        scores["ap"][k] = precision[:, :, k, 0, 0].mean()
        scores["ap50"][k] = precision[0, :, k, 0, 0].mean()
        scores["ar"][k] = recall[:, k, 0, 0].mean()
    return scores


def coco_dict(scenes: Scenes, boxes: Boxes) -> dict[str, Any]:
    """Boxes of one kind as COCO content; ids are rows from 1."""
    annotations = [
        {"id": number, "image_id": int(image) + 1, "category_id": int(category) + 1, "bbox": box.tolist(),
         "area": float(box[2] * box[3]), "iscrowd": 0, "score": float(score)}
        for number, (image, category, box, score) in enumerate(
            zip(boxes.image, boxes.category, boxes.box, boxes.score, strict=True), start=1
        )
    ]  # fmt: skip
    return {
        "info": {},
        "images": [{"id": number + 1} for number in range(len(scenes.images))],
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(scenes.categories)],
        "annotations": annotations,
    }
