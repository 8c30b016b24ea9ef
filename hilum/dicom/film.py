"""A film as the rest of the project sees it, and the limits that hold before anything is decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ImageError

MAX_PIXELS = 64 * 2**20  # rows x columns; the largest detectors in use give 18 million
MAX_BYTES = 256 * 2**20  # decoded, all samples
MAX_FILE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Film:
    """One decoded film.

    Args:
        pixels: (H, W) float32 in [0, 1], 0 = black = air.
        spacing_mm: distance between pixel centres (row, column) in millimetres, None if the file does not say.
        header: facts about the file (see `hilum.dicom.facts`); ids in it are as the hospital wrote them and must
            not be written anywhere but through `hilum.dicom.deidentify`.
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, float] | None = None
    header: dict[str, Any] = field(default_factory=dict)


def check_size(path: Path, rows: int, columns: int, bytes_a_pixel: int) -> None:
    """Refuse a picture by its declared size, before memory is asked for.

    Raises:
        ImageError: empty, or above the limits.
    """
    if rows < 1 or columns < 1:
        raise ImageError(f"the picture is {rows} x {columns} pixels", where=path)
    if rows * columns > MAX_PIXELS or rows * columns * bytes_a_pixel > MAX_BYTES:
        raise ImageError(
            f"the picture is {rows} x {columns} pixels of {bytes_a_pixel} bytes; the limit is {MAX_PIXELS} pixels "
            f"and {MAX_BYTES} bytes",
            where=path,
        )


def reason(error: BaseException) -> str:
    """A library's error as half a line, without quoted values: they may come from a patient's header."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "(value)", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
