"""One reading of several: weighted box fusion.

Boxes go in the order of their confidence; each joins the first cluster whose fused box it overlaps enough, or opens a
new one. The fused box is the mean of its members weighted by confidence, its confidence their mean, lowered where fewer
boxes agree than there are readers.

Source: Solovyev, Wang and Gabruseva 2021, Weighted boxes fusion, https://arxiv.org/abs/1910.13302 (section 3)
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.detection.matching import overlap

Floats = NDArray[np.float64]

ALIKE: Final = 0.55  # IoU from which two boxes mean the same place: the paper's value


class Fused(NamedTuple):
    """Boxes that several readers or models agree on, surest first."""

    boxes: Floats  # (F, 4) left, top, width, height
    scores: Floats  # (F,)
    members: NDArray[np.int64]  # (F,) boxes that went into each


def fuse_boxes(boxes: Floats, scores: Floats, *, readers: int, alike: float = ALIKE) -> Fused:
    """Fuse the boxes of one finding on one film; the order they come in does not matter.

    Args:
        boxes: (M, 4) left, top, width, height.
        scores: (M,) confidences in (0, 1]; 1 for readers who give none.
        readers: how many readers or models the boxes come from.
        alike: IoU from which boxes are fused.
    """
    order = np.lexsort((*boxes.T[::-1], -scores))  # equal confidences by position
    clusters: list[list[int]] = []
    fused: list[Floats] = []
    for index in order:
        overlaps = [overlap(box, boxes[index]) for box in fused]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best < 0 or overlaps[best] <= alike:
            clusters.append([int(index)])
            fused.append(boxes[index].astype(np.float64))
        else:
            clusters[best].append(int(index))
            fused[best] = np.average(boxes[clusters[best]], axis=0, weights=scores[clusters[best]])
    members = np.array([len(cluster) for cluster in clusters], dtype=np.int64)
    sure = np.array([scores[cluster].mean() for cluster in clusters], dtype=np.float64)
    sure = sure * np.minimum(members, readers) / max(readers, 1)
    first = np.argsort(-sure, kind="stable")
    return Fused(np.array(fused, dtype=np.float64).reshape(-1, 4)[first], sure[first], members[first])
