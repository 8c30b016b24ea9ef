"""Which found box hits which true one, as COCO has it.

On each image the found boxes of a category go in order of score, at most `MOST` of them; each takes the free true box
that it overlaps most, if their IoU reaches the threshold. A true box is taken once: a second box on it is a miss.

Source: the evaluation of COCO (https://cocodataset.org/#detection-eval); the order of equal scores is that of the
images' ids and, on one image, of the rows.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hilum.metrics.detection.tables import Boxes, Scenes

Floats = NDArray[np.float64]

IOUS: Final = np.linspace(0.5, 0.95, 10)  # thresholds; the first one is that of AP50 and of free-response ROC
MOST: Final = 100  # boxes of a category on an image that are judged


class Ranked(NamedTuple):
    """The found boxes of one category over all images, best score first."""

    image: NDArray[np.int64]  # (D,) row of the image
    score: Floats  # (D,)
    hits: NDArray[np.bool_]  # (D, T) whether it hits a true box at each threshold
    positives: NDArray[np.int64]  # (N,) true boxes of each image


def rank(scenes: Scenes, category: int, thresholds: Floats = IOUS) -> Ranked:
    """Match and sort the boxes of one category.

    Args:
        scenes: the tables.
        category: row of `scenes.categories`.
        thresholds: (T,) of the IoU, at each of which boxes are matched anew.
    """
    truth, found = scenes.truth.of(category), _best(scenes.found.of(category))
    images = len(scenes.images)
    starts = [np.searchsorted(part.image, np.arange(images + 1)) for part in (found, truth)]
    hits = match(found.box, truth.box, starts[0], starts[1], np.minimum(thresholds, 1 - 1e-10))
    order = np.argsort(-found.score, kind="stable")
    positives = np.bincount(truth.image, minlength=images)
    return Ranked(found.image[order], found.score[order], hits[order], positives)


def _best(found: Boxes) -> Boxes:
    """At most `MOST` boxes an image, best first; images stay in order."""
    order = np.lexsort((np.arange(found.score.size), -found.score, found.image))
    image = found.image[order]
    within = np.arange(image.size) - np.searchsorted(image, image)
    order = order[within < MOST]
    return Boxes(found.image[order], found.category[order], found.box[order], found.score[order])


@njit(cache=True)
def overlap(first: Floats, second: Floats) -> float:
    """IoU of two boxes (4,) left, top, width, height; 0 where neither has an area."""
    across = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    down = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return float(shared / (first[2] * first[3] + second[2] * second[3] - shared))


@njit(cache=True)
def match(
    found: Floats,
    truth: Floats,
    found_start: NDArray[np.int64],
    truth_start: NDArray[np.int64],
    thresholds: Floats,
) -> NDArray[np.bool_]:
    """Hits (D, T) of found boxes (D, 4), which lie image by image and best first, on true boxes (G, 4).

    Args:
        found: left, top, width, height.
        truth: likewise.
        found_start: (N + 1,) where each image's found boxes begin.
        truth_start: (N + 1,) where its true boxes begin.
        thresholds: (T,) smallest IoU of a hit.
    """
    hits = np.zeros((found.shape[0], thresholds.size), np.bool_)
    for image in range(found_start.size - 1):
        begin, end = truth_start[image], truth_start[image + 1]
        if begin == end:
            continue
        first, last = found_start[image], found_start[image + 1]
        ious = np.empty((last - first, end - begin))
        for d in range(first, last):
            for g in range(begin, end):
                ious[d - first, g - begin] = overlap(found[d], truth[g])
        for t in range(thresholds.size):
            taken = np.zeros(end - begin, np.bool_)
            for d in range(first, last):
                best, chosen = thresholds[t], -1
                for g in range(end - begin):
                    if not taken[g] and ious[d - first, g] >= best:  # of equal overlaps the last one, as COCO has it
                        best, chosen = ious[d - first, g], g
                if chosen >= 0:
                    taken[chosen] = True
                    hits[d, t] = True
    return hits
