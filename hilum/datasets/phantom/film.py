"""From attenuation to the picture a radiologist sees: scatter, noise, sharpening, exposure, display curve.

The detector sees primary rays `exp(-A)` and a blurred part of them as scatter (Beer-Lambert plus a low-pass).
Its log is sharpened as each site does, its grey scale is set from the grey levels of the middle of the film, as
automatic exposure does, and then moved at random: mean brightness therefore says little about the patient.
Every film has its own draws, keyed by (seed, patient, study, view).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from hilum.datasets.phantom.draws import pixel_key, stream
from hilum.datasets.phantom.patient import Patient, Study, View
from hilum.datasets.phantom.shapes import Floats

GRID = 32  # cells a side of the grid that low-pass versions live on
OCTAVES = (6, 12, 24, 48)  # cells a side of the texture's octaves
GLYPHS = {  # lead letters, 5 columns by 7 rows
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}


@dataclass(frozen=True)
class Exposure:
    """How one film was exposed and displayed."""

    key: int  # of the pixel noise
    scatter: float
    noise: float
    sharpening: float
    middle: float  # where the display curve is centred: 0 lung .. 1 mediastinum
    gain: float  # slope of the display curve
    margins: tuple[float, float, float, float]  # share of the film that collimation hides: top, bottom, left, right
    letter: str  # lead marker: "L", "R" or none
    letter_at: tuple[float, float]  # its top left corner, share of the film

    @staticmethod
    def of(patient: Patient, study: Study, view: View) -> Exposure:
        """Draw the exposure of one film from its site's habits."""
        site = patient.site
        rng = stream("exposure " + view, patient.seed, patient.index, study.index)
        margins = rng.exponential(0.012, 4) * (rng.random(4) < 0.55)
        letter = ("R", "L", "")[site.marker] if rng.random() < 0.9 else ""
        across = 0.05 + 0.07 * rng.random() if letter == "R" else 0.86 + 0.06 * rng.random()
        return Exposure(
            key=pixel_key("noise " + view, patient.seed, patient.index, study.index),
            scatter=site.scatter * float(rng.uniform(0.8, 1.25)) * (1.35 if view == "AP" else 1.0),
            noise=site.noise * float(np.exp(rng.normal(0.0, 0.25))),
            sharpening=site.sharpening * float(rng.uniform(0.8, 1.2)),
            middle=0.30 - 0.06 * site.grey + float(rng.normal(0.0, 0.13)),
            gain=2.1 * site.contrast * float(np.exp(rng.normal(0.0, 0.14))),
            margins=(float(margins[0]), float(margins[1]), float(margins[2]), float(margins[3])),
            letter=letter,
            letter_at=(0.05 + 0.06 * float(rng.random()), across),
        )


def texture_of(patient: Patient, study: Study, view: View, size: int) -> Floats:
    """A (size, size) float32 field of four octaves, about unit variance; the same at every size."""
    key = pixel_key("texture " + view, patient.seed, patient.index, study.index)
    out = np.zeros((size, size), np.float32)
    for octave in OCTAVES:
        _add_octave(np.uint64(key), octave, np.float32(1.05 / np.sqrt(len(OCTAVES)) * 1.5), out)
    return out


def develop(attenuation: Floats, exposure: Exposure) -> Floats:
    """The displayed film.

    Args:
        attenuation: (H, W) line integrals, no unit.
        exposure: of the film.

    Returns:
        (H, W) float32 in [0, 1], bright where much was absorbed.
    """
    size = attenuation.shape[0]
    signal = np.empty_like(attenuation)
    _log_exposure(attenuation, np.float32(exposure.scatter), signal)
    inner = signal[size // 6 : size - size // 6 : 3, size // 6 : size - size // 6 : 3]
    low, high = np.quantile(inner, [0.08, 0.92])
    span = max(float(high - low), 0.3)
    _sharpen(signal, np.float32(exposure.sharpening), np.float32(exposure.noise), np.uint64(exposure.key))
    centre, gain = float(low) + exposure.middle * span, exposure.gain / span
    out = _display(signal, np.float32(centre), np.float32(gain))
    _mark(out, exposure)
    return out


def _mark(film: Floats, exposure: Exposure) -> None:
    """Collimation and the lead letter, in place."""
    size = film.shape[0]
    top, bottom, left, right = (round(share * size) for share in exposure.margins)
    for edge in (film[:top], film[size - bottom :], film[:, :left], film[:, size - right :]):
        edge *= 0.08
    if exposure.letter:
        glyph = np.array([[int(bit) for bit in row] for row in GLYPHS[exposure.letter]], bool)
        cell = size / 200.0
        rows, columns = (np.arange(m := max(n, round(n * cell))) * n // m for n in glyph.shape)
        mask = glyph[rows[:, None], columns[None, :]]
        r, c = (int(share * size) for share in exposure.letter_at)
        corner = film[r : r + mask.shape[0], c : c + mask.shape[1]]
        corner[mask[: corner.shape[0], : corner.shape[1]]] = 0.97


@njit(cache=True)
def _mix(key: np.uint64, counter: np.uint64) -> np.uint64:
    """A well-mixed 64-bit word of (key, counter): the finaliser of SplitMix64."""
    z = key + counter * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def _bell(word: np.uint64) -> np.float32:
    """A nearly normal number: the sum of eight uniform bytes of one word, centred and scaled (Irwin-Hall)."""
    total = np.int64(0)
    for shift in range(0, 64, 8):
        total += np.int64((word >> np.uint64(shift)) & np.uint64(255))
    return np.float32((np.float32(total) - np.float32(1020.0)) * np.float32(0.004784))


@njit(cache=True)
def _add_octave(key: np.uint64, cells: int, gain: np.float32, out: Floats) -> None:
    """Add bilinear noise with `cells` a side to a picture."""
    size = out.shape[0]
    grid = np.empty((cells + 2, cells + 2), np.float32)
    for i in range(cells + 2):
        for j in range(cells + 2):
            grid[i, j] = gain * _bell(_mix(key, np.uint64((cells * 1000 + i) * 1000 + j)))
    scale = np.float32(cells) / np.float32(size)
    for r in range(size):
        y = (np.float32(r) + np.float32(0.5)) * scale
        i = int(y)
        line = grid[i] + (y - np.float32(i)) * (grid[i + 1] - grid[i])
        for c in range(size):
            x = (np.float32(c) + np.float32(0.5)) * scale
            j = int(x)
            out[r, c] += line[j] + (x - np.float32(j)) * (line[j + 1] - line[j])


@njit(cache=True)
def _coarse(picture: Floats, passes: int) -> Floats:
    """Cell means on a GRID x GRID grid, smoothed `passes` times by (1, 2, 1)/4 in both directions."""
    size = picture.shape[0]
    total, count = np.zeros((GRID, GRID), np.float32), np.zeros((GRID, GRID), np.float32)
    for r in range(size):
        i = r * GRID // size
        for c in range(size):
            j = c * GRID // size
            total[i, j] += picture[r, c]
            count[i, j] += np.float32(1.0)
    grid = (total / np.maximum(count, np.float32(1.0))).astype(np.float32)
    for _ in range(passes):
        for axis in range(2):
            old = grid.copy()
            for i in range(GRID):
                for j in range(GRID):
                    if axis == 0:
                        before, after = old[max(i - 1, 0), j], old[min(i + 1, GRID - 1), j]
                    else:
                        before, after = old[i, max(j - 1, 0)], old[i, min(j + 1, GRID - 1)]
                    grid[i, j] = np.float32(0.25) * (before + np.float32(2.0) * old[i, j] + after)
    return grid


@njit(cache=True)
def _stretch(grid: Floats, row: int, size: int, out: Floats) -> None:
    """Write row `row` of a GRID x GRID picture enlarged to `size`, bilinear, constant at the edges."""
    scale = np.float32(GRID) / np.float32(size)
    last = np.float32(GRID - 1.001)
    y = min(max((np.float32(row) + np.float32(0.5)) * scale - np.float32(0.5), np.float32(0.0)), last)
    i = int(y)
    line = grid[i] + (y - np.float32(i)) * (grid[i + 1] - grid[i])
    for c in range(size):
        x = min(max((np.float32(c) + np.float32(0.5)) * scale - np.float32(0.5), np.float32(0.0)), last)
        j = int(x)
        out[c] = line[j] + (x - np.float32(j)) * (line[j + 1] - line[j])


@njit(cache=True)
def _log_exposure(attenuation: Floats, share: np.float32, out: Floats) -> None:
    """Write `-log(primary + share * scattered)`, the signal of a digital detector.

    Scatter is the primary picture, held down where the beam missed the patient, after a wide low-pass.
    """
    size = out.shape[0]
    for r in range(size):
        for c in range(size):
            out[r, c] = np.exp(-attenuation[r, c])
    scattered = _coarse(np.minimum(out, np.float32(0.10)), 5)
    line = np.empty(size, np.float32)
    for r in range(size):
        _stretch(scattered, r, size, line)
        for c in range(size):
            out[r, c] = -np.log(out[r, c] + share * line[c] + np.float32(1e-4))


@njit(cache=True)
def _sharpen(signal: Floats, gain: np.float32, noise: np.float32, key: np.uint64) -> None:
    """Add quantum noise, larger where less light arrived, and raise what differs from a low-pass; in place."""
    size = signal.shape[0]
    soft = _coarse(signal, 2)
    base = np.empty(size, np.float32)
    for r in range(size):
        _stretch(soft, r, size, base)
        for c in range(size):
            v = signal[r, c]
            level = min(max(v - np.float32(1.2), np.float32(0.0)), np.float32(3.0))
            grain = noise * (np.float32(0.5) + np.float32(0.5) * level) * _bell(_mix(key, np.uint64(r * size + c)))
            detail = max(min(v - base[c], np.float32(0.8)), np.float32(-0.8))
            signal[r, c] = v + gain * detail + grain


@njit(cache=True)
def _display(signal: Floats, centre: np.float32, gain: np.float32) -> Floats:
    """Blur a little (the detector's own spread), then apply the display curve `(1 + t / sqrt(1 + t²)) / 2`."""
    size = signal.shape[0]
    out = np.empty_like(signal)
    for r in range(size):
        up, down = max(r - 1, 0), min(r + 1, size - 1)
        for c in range(size):
            left, right = max(c - 1, 0), min(c + 1, size - 1)
            v = np.float32(0.56) * signal[r, c] + np.float32(0.11) * (
                signal[up, c] + signal[down, c] + signal[r, left] + signal[r, right]
            )
            t = gain * (v - centre)
            out[r, c] = np.float32(0.5) + np.float32(0.5) * t / np.sqrt(np.float32(1.0) + t * t)
    return out
