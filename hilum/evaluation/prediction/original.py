"""From the picture that a model saw back to the film as it came: masks, boxes and heat maps are given on the film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.dicom.store import scaled_size
from hilum.evaluation.prepared import Prepared


@dataclass(frozen=True)
class Placed:
    """Where a film of `height` x `width` pixels lies in its stored picture."""

    height: int  # of the film as it came
    width: int
    top: int  # of the film inside the stored picture, whose rest is padding
    left: int
    rows: int
    columns: int

    @classmethod
    def of(cls, height: int, width: int, prepared: Prepared) -> Placed:
        """As `hilum prepare` would have laid it."""
        if prepared.size is None:
            return cls(height, width, 0, 0, height, width)
        rows, columns = scaled_size(height, width, prepared.size, prepared.fit)
        if prepared.fit != "pad":
            return cls(height, width, 0, 0, rows, columns)
        return cls(height, width, (prepared.size - rows) // 2, (prepared.size - columns) // 2, rows, columns)

    def crop(self, picture: NDArray[Any], stored: tuple[int, int]) -> NDArray[Any]:
        """The part of a picture (h, w) of the whole stored square that shows the film.

        Args:
            picture: of any size, as long as it shows all of the stored picture.
            stored: (H, W) of the stored picture.
        """
        down, across = picture.shape[0] / stored[0], picture.shape[1] / stored[1]
        top, left = round(self.top * down), round(self.left * across)
        rows, columns = max(1, round(self.rows * down)), max(1, round(self.columns * across))
        return picture[top : top + rows, left : left + columns]

    def mask(self, drawn: NDArray[np.bool_]) -> Image.Image:
        """A mask on the stored picture (H, W) as a black and white picture of the film's own size."""
        part = Image.fromarray(self.crop(drawn, (drawn.shape[0], drawn.shape[1])).astype(np.uint8) * 255)
        return part.resize((self.width, self.height), Image.Resampling.NEAREST)

    def boxes(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (M, 4) left, top, width, height of the stored picture, in pixels of the film and cut at its edges."""
        across, down = self.width / self.columns, self.height / self.rows
        start = (boxes[:, :2] - [self.left, self.top]) * [across, down]
        end = start + boxes[:, 2:] * [across, down]
        start, end = (np.clip(corner, 0.0, [self.width, self.height]) for corner in (start, end))
        return np.concatenate([start, end - start], axis=1)
