"""The grayscale pipeline of DICOM, step by step: stored value -> modality LUT -> VOI LUT -> polarity.

Each step is a pure function of arrays and numbers with its clause in PS3.3 (2024). The order is that of PS3.4 N.2:
inverting MONOCHROME1 first would put the window on the wrong side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def unused_bits_removed(values: NDArray[Any], stored: int, high_bit: int, signed: bool) -> NDArray[Any]:
    """The sample inside its cell (PS3.5 8.1.1): bits `high_bit - stored + 1 .. high_bit`, two's complement if signed.

    Args:
        values: (H, W) unsigned cells of 8, 16 or 32 bits.
        stored: BitsStored.
        high_bit: HighBit, counted from 0.
        signed: PixelRepresentation is 1.

    Returns:
        (H, W) samples, of the cell's dtype or its signed twin.
    """
    allocated = values.dtype.itemsize * 8
    cells = np.left_shift(values, allocated - 1 - high_bit)  # drop what is above the sample
    if signed:
        cells = cells.view(np.dtype(f"i{values.dtype.itemsize}"))  # the shift back then carries the sign
    return np.asarray(np.right_shift(cells, allocated - stored))


def rescaled(values: NDArray[Any], slope: float, intercept: float) -> Floats:
    """Modality LUT given as Rescale Slope and Intercept (PS3.3 C.11.1.1.2)."""
    return np.asarray(values.astype(np.float64) * slope + intercept, dtype=np.float32)


def looked_up(values: NDArray[Any], table: NDArray[Any], first: int) -> Floats:
    """A LUT (PS3.3 C.11.1.1 and C.11.2.1.1): values below `first` take the first entry, those beyond the end the last.

    Args:
        values: inputs of any shape.
        table: (N,) entries.
        first: the input that maps to entry 0.
    """
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
    return np.asarray(table[index], dtype=np.float32)


def windowed(values: NDArray[Any], center: float, width: float, function: str) -> Floats:
    """A window to [0, 1] (PS3.3 C.11.2.1.2 LINEAR, C.11.2.1.3.2 LINEAR_EXACT, C.11.2.1.3.1 SIGMOID)."""
    x = values.astype(np.float64)
    if function == "SIGMOID":
        return (1.0 / (1.0 + np.exp(np.clip(-4.0 * (x - center) / width, -700.0, 700.0)))).astype(np.float32)
    if function == "LINEAR_EXACT":
        return np.clip((x - center) / width + 0.5, 0.0, 1.0).astype(np.float32)
    if width == 1:  # a step: the ramp between the two thresholds has no width
        return (x > center - 0.5).astype(np.float32)
    return np.clip((x - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0).astype(np.float32)


def window_is_valid(width: float, function: str) -> bool:
    """Width is at least 1 for LINEAR and above 0 for the others (PS3.3 C.11.2.1.2.1, C.11.2.1.3)."""
    return width >= 1 if function == "LINEAR" else width > 0


def ranged(values: NDArray[Any], counts: NDArray[np.intp], bits: int) -> Floats:
    """Our rule where a file has no VOI LUT: PS3.3 leaves it to the viewer.

    Up to 8 bits the whole range is the film's. Deeper films use a part of it, so 0 and 1 are the 0.1 and 99.9
    percentiles (a marker or a dead pixel then costs no contrast), or the extremes if those coincide.

    Args:
        values: (L,) levels after the modality LUT.
        counts: (L,) pixels at each level, padding not counted.
        bits: BitsStored when the levels are still the unsigned stored ones, else 0.

    Returns:
        (L,) in [0, 1].
    """
    if 0 < bits <= 8:
        return np.asarray(values.astype(np.float32) / np.float32(2**bits - 1))
    seen = values[counts > 0]
    if seen.size == 0:
        return np.zeros(len(values), dtype=np.float32)
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    low, high = (float(values[order][np.searchsorted(below, share * below[-1])]) for share in (0.001, 0.999))
    if high <= low:
        low, high = float(seen.min()), float(seen.max())
    if high <= low:
        return np.zeros(len(values), dtype=np.float32)
    return np.clip((values.astype(np.float64) - low) / (high - low), 0.0, 1.0).astype(np.float32)


def levels_of(stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The distinct stored values and where each pixel finds its own: the pipeline then runs on levels, not on pixels.

    Returns:
        (L,) levels, and (H, W) index into them.
    """
    if stored.dtype.itemsize > 2:
        levels, index = np.unique(stored, return_inverse=True)
        return levels, index.reshape(stored.shape)
    low, high = int(stored.min()), int(stored.max())
    return np.arange(low, high + 1), (stored.astype(np.int32) - low).astype(np.uint16)


def padding(levels: NDArray[Any], value: int, limit: int | None) -> NDArray[np.bool_]:
    """True where a stored value is padding (PS3.3 C.7.5.1.1.2).

    It is when equal to Pixel Padding Value, or between it and Pixel Padding Range Limit.
    """
    if limit is None:
        return np.asarray(levels == value)
    return np.asarray((levels >= min(value, limit)) & (levels <= max(value, limit)))
