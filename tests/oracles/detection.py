"""Detection scores written down slowly, from the definitions: whole data sets duplicated, loops over everything."""

from __future__ import annotations

import numpy as np
import pandas as pd

BOX = ["x", "y", "w", "h"]


def iou(a: list[float], b: list[float]) -> float:
    across = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    shared = across * down
    union = a[2] * a[3] + b[2] * b[3] - shared
    return shared / union if union > 0 else 0.0


def duplicated(table: pd.DataFrame, counts: dict[str, int]) -> pd.DataFrame:
    """Every patient's images as often as he was drawn; copies stand beside the original in the order of ids."""
    parts = [
        table[table["patient_id"] == patient].assign(
            image_id=lambda rows, copy=copy: rows["image_id"] + f"~{copy:03d}",
            patient_id=f"{patient}~{copy}",
        )
        for patient, count in counts.items()
        for copy in range(count)
    ]
    return pd.concat(parts, ignore_index=True) if parts else table.iloc[:0]


def labelled(
    found: pd.DataFrame, truth: pd.DataFrame, category: str, threshold: float
) -> tuple[list[tuple[float, bool]], int]:
    """(score, hit) of every found box in the order of scores, and the number of true boxes."""
    pairs: list[tuple[float, bool]] = []
    real = truth[truth["category"] == category]
    for image in sorted(set(truth["image_id"])):
        free = real[real["image_id"] == image][BOX].to_numpy().tolist()
        here = found[(found["image_id"] == image) & (found["category"] == category)]
        best_first = here.sort_values("score", ascending=False, kind="stable").head(100)
        for *found_box, score in best_first[[*BOX, "score"]].to_numpy().tolist():
            overlaps = [iou(found_box, box) for box in free]
            best = max(overlaps, default=0.0)
            hit = best >= min(threshold, 1 - 1e-10)
            if hit:
                free.pop(max(index for index, value in enumerate(overlaps) if value == best))
            pairs.append((score, hit))
    pairs.sort(key=lambda pair: -pair[0])
    return pairs, len(real)


def average_precision(pairs: list[tuple[float, bool]], boxes: int) -> float:
    precision, recall, hits = [], [], 0
    for number, (_, hit) in enumerate(pairs, start=1):
        hits += hit
        precision.append(hits / number)
        recall.append(hits / boxes)
    levels = np.linspace(0, 1, 101)
    best = [max((p for p, r in zip(precision, recall, strict=True) if r >= level), default=0.0) for level in levels]
    return float(np.mean(best))


def sensitivity(pairs: list[tuple[float, bool]], boxes: int, images: int, rate: float) -> float:
    best = 0.0
    for threshold, _ in pairs:
        called = [hit for score, hit in pairs if score >= threshold]
        if (len(called) - sum(called)) / images <= rate + 1e-9 / images:
            best = max(best, sum(called) / boxes)
    return best


def scores(found: pd.DataFrame, truth: pd.DataFrame, category: str) -> dict[str, float]:
    levels = np.linspace(0.5, 0.95, 10)
    images = truth["image_id"].nunique()
    per_level = [labelled(found, truth, category, level) for level in levels]
    precision = [average_precision(*one) for one in per_level]
    recall = [sum(hit for _, hit in pairs) / boxes for pairs, boxes in per_level]
    half = per_level[0]
    return {
        "ap": float(np.mean(precision)),
        "ap50": precision[0],
        "ar": float(np.mean(recall)),
        **{f"sensitivity@{rate:g}": sensitivity(*half, images, rate) for rate in (0.25, 0.5, 1.0)},
    }
