"""Where on a film reports look: MaCo's learned weight of each patch position, at every checkpoint.

Paper: https://arxiv.org/abs/2309.05904, fig. 4. A number a patch, red above zero, blue below, white at zero, where all
begin; `course.png` shows every checkpoint so far, from left to right on one scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import nn

from hilum.trainer import Evaluator

CELL: Final = 12  # pixels a side of a patch in the picture
_GAP: Final = 6  # pixels between two maps
_RED, _BLUE = np.array([178.0, 24.0, 43.0]), np.array([33.0, 102.0, 172.0])


def weight_maps(folder: Path) -> Evaluator:
    """An evaluator that writes `folder/step-<step>.csv` (the weights), the same as `.png`, and `folder/course.png`.

    It returns `weight_centre` and `weight_edge`, the mean weights of the middle half of the rows and columns, where
    the lungs are, and of the outermost ring.
    """

    def draw(method: nn.Module, step: int) -> Mapping[str, float]:
        weights = weight_map(method)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"step-{step:08d}.csv"
        np.savetxt(file, weights, fmt="%.9g", delimiter=",")
        Image.fromarray(picture([weights])).save(file.with_suffix(".png"))
        Image.fromarray(picture([read_map(other) for other in sorted(folder.glob("step-*.csv"))])).save(
            folder / "course.png"
        )
        return centre_and_edge(weights)

    return draw


def weight_map(method: Any) -> npt.NDArray[np.float64]:
    """The weights of `method.towers.position` on the grid of patches: (rows, columns)."""
    weights = method.towers.position.weight.detach().double().cpu().numpy()
    return np.asarray(weights.reshape(method.backbone.config.grid))


def read_map(file: Path) -> npt.NDArray[np.float64]:
    """A map that the evaluator wrote: (rows, columns)."""
    return np.loadtxt(file, delimiter=",", ndmin=2)


def picture(maps: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.uint8]:
    """Maps (rows, columns) side by side on one scale, symmetric about zero: (height, width, 3) uint8."""
    peak = max(float(np.abs(weights).max()) for weights in maps) or 1.0
    tiles = []
    for weights in maps:
        share = (weights / peak)[..., None]
        colours = 255 - np.abs(share) * (255 - np.where(share > 0, _RED, _BLUE))
        tile = np.rint(colours).astype(np.uint8).repeat(CELL, axis=0).repeat(CELL, axis=1)
        tiles += [tile, np.full((tile.shape[0], _GAP, 3), 255, dtype=np.uint8)]
    return np.concatenate(tiles[:-1], axis=1)


def centre_and_edge(weights: npt.NDArray[np.float64]) -> dict[str, float]:
    """Mean weight of the middle half of rows and columns, and of the outermost ring of a map (rows, columns)."""
    rows, columns = weights.shape
    middle = weights[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    ring = np.ones(weights.shape, dtype=bool)
    ring[1:-1, 1:-1] = False
    return {"weight_centre": float(middle.mean()), "weight_edge": float(weights[ring].mean())}
