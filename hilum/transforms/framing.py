"""Where a film comes to lie on the square that an encoder sees: whole numbers, one source for pixels, boxes and masks.

The rules are those of the libraries that encoders were trained with. A film's shorter side becomes s and its longer one
int(s * long / short) (torchvision, transformers); a letterbox rounds the shorter side to the nearest whole number
(open_clip, timm) or down (OpenCV pipelines); a centre crop with an odd margin begins at its floor (transformers, NumPy)
or at the even neighbour (torchvision's int(round(margin / 2))).
"""

from __future__ import annotations

from typing import NamedTuple

from hilum.schema import Preprocessing


class Fit(NamedTuple):
    """The first resize of a film, and the window that is kept of it."""

    cut: tuple[int, int, int, int]  # top, left, rows, columns of the film that are resized
    rows: int  # they become so many
    columns: int
    top: int  # where their first pixel lies in the window; negative: cut off
    left: int
    window: int  # pixels a side: the encoder's size, or resize_to where a second resize follows


def fit(shape: tuple[int, int], preprocessing: Preprocessing) -> Fit:
    """How a film (H, W) is brought to the square.

    Args:
        shape: (H, W) of the film.
        preprocessing: the encoder's record.
    """
    height, width = shape
    side = preprocessing.resize_to or preprocessing.size
    window = preprocessing.size if preprocessing.reduce == "crop" else side
    rows, columns = reached(shape, side, preprocessing)
    cut = (0, 0, height, width)
    if preprocessing.resize == "square":
        short = min(shape)
        cut = (height // 2 - short // 2, width // 2 - short // 2, short, short)
    if preprocessing.resize == "pad" and preprocessing.fill == "black":  # the letterbox first, then the crop
        trim = _half(side - window, preprocessing)
        top, left = (side - rows) // 2 - trim, (side - columns) // 2 - trim
    else:
        top, left = (_offset(length, window, preprocessing) for length in (rows, columns))
    return Fit(cut, rows, columns, top, left, window)


def reached(shape: tuple[int, int], side: int, preprocessing: Preprocessing) -> tuple[int, int]:
    """Rows and columns of a film (H, W) once `resize` has brought it to `side`."""
    short, long = min(shape), max(shape)
    if preprocessing.resize in ("squeeze", "square"):
        return side, side
    if preprocessing.resize == "shortest":
        far = int(side * long / short)
        return (far, side) if shape[0] > shape[1] else (side, far)
    if preprocessing.sides == "nearest":
        ratio = long / side
        rows, columns = (max(1, round(length / ratio)) for length in shape)
        return rows, columns
    ratio = side / long
    rows, columns = (max(1, int(length * ratio)) for length in shape)  # 320 / 581 * 581 is below 320
    if preprocessing.sides == "floor-both":
        return rows, columns
    return (side, columns) if shape[0] == long else (rows, side)  # of a square, the rows are spared


def _offset(length: int, window: int, preprocessing: Preprocessing) -> int:
    """Where a resized side begins in the window: centred, cut off or between rims."""
    return (window - length) // 2 if length < window else -_half(length - window, preprocessing)


def _half(margin: int, preprocessing: Preprocessing) -> int:
    """Half of a crop's margin as a whole number; Python's round goes to the even neighbour."""
    return margin // 2 if preprocessing.margin == "floor" else round(margin / 2)
