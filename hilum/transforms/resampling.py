"""Resizing with the kernels of the libraries that encoders were trained with, bit for bit where those are 8-bit.

| name | whose | as it shrinks |
|---|---|---|
| bicubic, bilinear, lanczos, nearest | Pillow (torchvision on pictures, transformers, timm, open_clip) | reach grows |
| area | OpenCV's INTER_AREA | mean over the area; enlarging, straight lines between its cells |
| skimage | scikit-image's `resize` | Gaussian blur of (factor - 1) / 2 pixels, then straight lines |
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import scipy.sparse as sp
from PIL import Image

FILTERS: Final = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def resized(grey: np.ndarray, height: int, width: int, kernel: str, *, outside: float = 0.0) -> np.ndarray:
    """Resize a film.

    Args:
        grey: (H, W) uint8 or float32.
        height: of the result.
        width: of the result.
        kernel: a name of the table above.
        outside: what scikit-image's kernel sees beyond the edges.

    Returns:
        (height, width) of the same type; uint8 is rounded and cut to its range.
    """
    if kernel in FILTERS:
        return np.array(Image.fromarray(grey).resize((width, height), FILTERS[kernel]))
    return by_area(grey, height, width) if kernel == "area" else by_gauss(grey, height, width, outside)


def by_area(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    """OpenCV's INTER_AREA: (H, W) uint8 or float32 -> (height, width) of the same type."""
    rows, columns = grey.shape
    if height > rows or width > columns:
        return _enlarged(grey, height, width)
    across: np.ndarray = _shares(columns, width) @ grey.T.astype(np.float32)
    found: np.ndarray = _shares(rows, height) @ np.ascontiguousarray(across.T)
    if grey.dtype == np.uint8:
        halved = rows == 2 * height and columns == 2 * width
        found = np.floor(found + 0.5) if halved else np.rint(found)  # of four pixels OpenCV takes the sum, plus 2, by 4
    return found.astype(grey.dtype)


def by_gauss(grey: np.ndarray, height: int, width: int, outside: float) -> np.ndarray:
    """scikit-image's `resize` with its defaults: (H, W) float32 -> (height, width) float32."""
    from skimage.transform import resize  # slow to import; one family of encoders needs it

    how = {"order": 1, "mode": "constant", "cval": outside, "preserve_range": True}
    found: np.ndarray = resize(grey, (height, width), **how)  # type: ignore[no-untyped-call]
    return found.astype(np.float32)


@lru_cache(maxsize=64)  # films of one size are the rule
def _shares(length: int, target: int) -> sp.csr_array:
    """(target, length): how much of each pixel lies in each of the cells that `length` is cut into; rows sum to 1."""
    scale = length / target
    cells, pixels, shares = list[int](), list[int](), list[float]()
    for cell in range(target):
        start, end = cell * scale, (cell + 1) * scale
        reach = min(scale, length - start)
        first, last = int(np.ceil(start)), min(int(np.floor(end)), length - 1)
        first = min(first, last)
        parts = [(pixel, 1.0) for pixel in range(first, last)]
        if first - start > 1e-3:  # as OpenCV: a sliver of a thousandth is left out
            parts.insert(0, (first - 1, first - start))
        if end - last > 1e-3:
            parts.append((last, min(min(end - last, 1.0), reach)))
        for pixel, share in parts:
            cells.append(cell)
            pixels.append(pixel)
            shares.append(share / reach)
    return sp.csr_array((np.array(shares, np.float32), (cells, pixels)), shape=(target, length))


def _enlarged(grey: np.ndarray, height: int, width: int) -> np.ndarray:
    """INTER_AREA where a side grows: straight lines across the edges of enlarged pixels, elsewhere flat.

    On 8 bits OpenCV weighs in 2048ths and cuts off, and so does this.
    """
    (left, right, across), (above, below, down) = _lines(grey.shape[1], width), _lines(grey.shape[0], height)
    if grey.dtype != np.uint8:
        lines = grey[:, left] * (1 - across) + grey[:, right] * across
        found: np.ndarray = lines[above] * (1 - down)[:, None] + lines[below] * down[:, None]
        return found.astype(np.float32)
    first, second = _in_2048ths(across)
    wide = grey.astype(np.int64)
    lines = (wide[:, left] * first + wide[:, right] * second) >> 4
    first, second = (weights[:, None] for weights in _in_2048ths(down))
    levels: np.ndarray = (((first * lines[above]) >> 16) + ((second * lines[below]) >> 16) + 2) >> 2
    return levels.astype(np.uint8)


def _in_2048ths(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the first and the second pixel as whole numbers."""
    return np.rint((1 - share) * 2048).astype(np.int64), np.rint(share * 2048).astype(np.int64)


def _lines(length: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each target pixel: the two pixels it lies between, and the share of the second, float32."""
    inverse = target / length
    first = np.floor(np.arange(target) * (1 / inverse)).astype(int)
    over = (np.arange(1, target + 1) - (first + 1) * inverse).astype(np.float32)
    share = np.where(over <= 0, np.float32(0), over - np.floor(over))
    share = np.where(first >= length - 1, np.float32(0), share).astype(np.float32)
    first = np.minimum(first, length - 1)
    return first, np.minimum(first + 1, length - 1), share
