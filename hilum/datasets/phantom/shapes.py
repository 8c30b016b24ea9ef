"""Kernels that project 3-D shapes onto the detector: chords of ellipsoids, tubes, stacked slices.

Every shape is projected in parallel, magnified for its own depth. Then

* an ellipsoid with matrix `S` (`xᵀ S⁻¹ x = 1`) has the shadow `uᵀ S_uu⁻¹ u = 1`, the chord `2 √(1 - q)
√(S_dd|u)` and a
  chord centre linear in `u`, exactly as a Gaussian has its marginal and its conditional;
* a tube seen side-on at distance `d` from its axis has the chord `2 t √(1 - d²/w²)`;
* a stack of (super)elliptic slices has one half-width and one half-depth a row.

Pictures are `(H, W)` float32 in mm of chord unless said otherwise; rows and columns are in pixels. Kernels are
compiled once and cached, run on one core, and sum in a fixed order, so that a film is the same bytes on every
run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@njit(cache=True)
def add_slices(rows: Floats, power: int, weight: float, out: Floats) -> None:
    """Add `weight * chord` of a stack of slices.

    Args:
        rows: (H, 4) half-width in pixels, half-depth in mm, centre column, centre depth in mm; half-width <= 0
            is empty.
        power: 2 for ellipses, 4 for boxier slices seen face-on (`z² + x⁴ = 1`), -4 for the same slices seen
            edge-on.
        weight: of a mm of chord.
        out: (H, W), added to.
    """
    height, width = out.shape
    for r in range(height):
        half, centre = rows[r, 0], rows[r, 2]
        gain = np.float32(2.0 * weight) * rows[r, 1]
        if half <= 0.0:
            continue
        scale = np.float32(1.0) / half
        for c in range(max(0, int(np.ceil(centre - half))), min(width, int(np.floor(centre + half)) + 1)):
            e = (np.float32(c) - centre) * scale
            q = e * e
            if power == 4:
                q = q * q
            s = np.sqrt(max(np.float32(0.0), np.float32(1.0) - q))
            if power == -4:
                s = np.sqrt(s)
            out[r, c] += gain * s


@njit(cache=True)
def add_ellipsoids(shapes: Floats, out: Floats) -> None:
    """Add `weight * chord` of ellipsoids to a picture.

    Args:
        shapes: (N, 9) centre column, centre row, three entries of the inverse shadow matrix (cc, cr, rr),
            half-chord at the centre in mm, two unused (the slope of the chord's centre), weight.
        out: (H, W), added to.
    """
    height, width = out.shape
    for n in range(shapes.shape[0]):
        u, v, a, b, c, half, weight = (
            shapes[n, 0], shapes[n, 1], shapes[n, 2], shapes[n, 3], shapes[n, 4], shapes[n, 5], shapes[n, 8]
        )  # fmt: skip
        gain = np.float32(2.0) * half * weight
        reach = np.sqrt(a / (a * c - b * b))
        for r in range(max(0, int(np.ceil(v - reach))), min(height, int(np.floor(v + reach)) + 1)):
            y = np.float32(r) - v
            middle = u - b * y / a
            spread = np.sqrt(max(np.float32(0.0), (np.float32(1.0) - (c - b * b / a) * y * y) / a))
            for col in range(max(0, int(np.ceil(middle - spread))), min(width, int(np.floor(middle + spread)) + 1)):
                x = np.float32(col) - u
                q = a * x * x + np.float32(2.0) * b * x * y + c * y * y
                out[r, col] += gain * np.sqrt(max(np.float32(0.0), np.float32(1.0) - q))


@njit(cache=True)
def add_clouds(shapes: Floats, out: Floats) -> None:
    """Add soft-edged ellipsoids, `weight * chord * (1 - q)`: no border, as disease in the air spaces has none.

    Args:
        shapes: (N, 9) as in `add_ellipsoids`.
        out: (H, W), added to.
    """
    height, width = out.shape
    for n in range(shapes.shape[0]):
        u, v, a, b, c, half, weight = (
            shapes[n, 0], shapes[n, 1], shapes[n, 2], shapes[n, 3], shapes[n, 4], shapes[n, 5], shapes[n, 8]
        )  # fmt: skip
        gain = np.float32(2.0) * half * weight
        reach = np.sqrt(a / (a * c - b * b))
        for r in range(max(0, int(np.ceil(v - reach))), min(height, int(np.floor(v + reach)) + 1)):
            y = np.float32(r) - v
            middle = u - b * y / a
            spread = np.sqrt(max(np.float32(0.0), (np.float32(1.0) - (c - b * b / a) * y * y) / a))
            for col in range(max(0, int(np.ceil(middle - spread))), min(width, int(np.floor(middle + spread)) + 1)):
                x = np.float32(col) - u
                s = max(np.float32(0.0), np.float32(1.0) - (a * x * x + np.float32(2.0) * b * x * y + c * y * y))
                out[r, col] += gain * s * np.sqrt(s)


@njit(cache=True)
def unite(shapes: Floats, low: Floats, high: Floats) -> None:
    """Widen, at each pixel, one interval of depth until it holds the chords of all ellipsoids there.

    Organs that touch are one obstacle to the lung, so their chords are united and never counted twice.

    Args:
        shapes: (N, 9) as in `add_ellipsoids`, with columns 6 and 7 the slope of the chord's centre depth in mm
            a pixel along columns and rows, and column 8 its depth at the centre in mm.
        low: (H, W) nearest depth, mm; start it at +large.
        high: (H, W) farthest depth, mm; start it at -large.
    """
    height, width = low.shape
    for n in range(shapes.shape[0]):
        u, v, a, b, c = shapes[n, 0], shapes[n, 1], shapes[n, 2], shapes[n, 3], shapes[n, 4]
        half, along, down, depth = shapes[n, 5], shapes[n, 6], shapes[n, 7], shapes[n, 8]
        reach = np.sqrt(a / (a * c - b * b))
        for r in range(max(0, int(np.ceil(v - reach))), min(height, int(np.floor(v + reach)) + 1)):
            y = np.float32(r) - v
            middle = u - b * y / a
            spread = np.sqrt(max(np.float32(0.0), (np.float32(1.0) - (c - b * b / a) * y * y) / a))
            for col in range(max(0, int(np.ceil(middle - spread))), min(width, int(np.floor(middle + spread)) + 1)):
                x = np.float32(col) - u
                q = a * x * x + np.float32(2.0) * b * x * y + c * y * y
                s = half * np.sqrt(max(np.float32(0.0), np.float32(1.0) - q))
                centre = depth + along * x + down * y
                low[r, col] = min(low[r, col], centre - s)
                high[r, col] = max(high[r, col], centre + s)


@njit(cache=True)
def inflate(rows: Floats, low: Floats, high: Floats, out: Floats) -> None:
    """Write the chord of a lung, a stack of elliptic slices, less the interval that organs take from it.

    Args:
        rows: (H, 4) as in `add_slices`.
        low: (H, W) nearest depth of the organs, mm.
        high: (H, W) farthest depth of the organs, mm.
        out: (H, W), written inside the shape.
    """
    height, width = out.shape
    for r in range(height):
        half, deep, centre, depth = rows[r, 0], rows[r, 1], rows[r, 2], rows[r, 3]
        if half <= 0.0:
            continue
        scale = np.float32(1.0) / half
        for c in range(max(0, int(np.ceil(centre - half))), min(width, int(np.floor(centre + half)) + 1)):
            e = (np.float32(c) - centre) * scale
            s = deep * np.sqrt(max(np.float32(0.0), np.float32(1.0) - e * e))
            taken = min(high[r, c], depth + s) - max(low[r, c], depth - s)
            out[r, c] = np.float32(2.0) * s - max(np.float32(0.0), taken)


@njit(cache=True)
def add_tubes(
    points: Floats, starts: NDArray[np.int32], weights: Floats, hollow: Floats, near: Floats, deep: Floats, out: Floats
) -> None:
    """Add `weight * chord` of tubes; where a tube meets itself the nearer part of its axis counts once.

    Args:
        points: (P, 4) column, row, half-width in pixels, half-depth along the ray in mm, of the vertices of all
            axes.
        starts: (T + 1,) first vertex of each tube.
        weights: (T,).
        hollow: (T,) radius of the inside relative to the outside whose chord is taken off again; 0 is solid.
        near: (H, W) zeros, scratch, zero again on return.
        deep: (H, W) scratch.
        out: (H, W), added to.
    """
    height, width = out.shape
    left, right = np.full(height, width), np.full(height, -1)  # columns of each row that the present tube touched
    for n in range(len(starts) - 1):
        top, bottom = height, -1
        for i in range(starts[n], starts[n + 1] - 1):
            x0, y0, w0, d0 = points[i, 0], points[i, 1], points[i, 2], points[i, 3]
            dx, dy = points[i + 1, 0] - x0, points[i + 1, 1] - y0
            dw, dd = points[i + 1, 2] - w0, points[i + 1, 3] - d0
            wide = max(w0, w0 + dw)
            r0, r1 = max(0, int(np.ceil(min(y0, y0 + dy) - wide))), min(height - 1, int(max(y0, y0 + dy) + wide))
            c0, c1 = max(0, int(np.ceil(min(x0, x0 + dx) - wide))), min(width - 1, int(max(x0, x0 + dx) + wide))
            if r1 < r0 or c1 < c0:
                continue
            top, bottom = min(top, r0), max(bottom, r1)
            inverse = np.float32(1.0) / max(np.float32(1e-6), dx * dx + dy * dy)
            b0 = np.float32(1.0) / (w0 * w0)
            b1 = np.float32(1.0) / ((w0 + dw) * (w0 + dw)) - b0
            # Columns of a row that the strip around the segment can reach: its middle and its half-width there.
            steep = abs(dy) > np.float32(0.3) * abs(dx)
            slope = dx / dy if steep else np.float32(0.0)
            across = wide * np.sqrt(np.float32(1.0) + slope * slope)
            for r in range(r0, r1 + 1):
                py = np.float32(r) - y0
                first, last = c0, c1
                if steep:
                    first = max(c0, int(np.ceil(x0 + py * slope - across)))
                    last = min(c1, int(x0 + py * slope + across))
                left[r], right[r] = min(left[r], first), max(right[r], last)
                for c in range(first, last + 1):
                    px = np.float32(c) - x0
                    t = min(np.float32(1.0), max(np.float32(0.0), (px * dx + py * dy) * inverse))
                    ex, ey = px - t * dx, py - t * dy
                    s = np.float32(1.0) - (ex * ex + ey * ey) * (b0 + t * b1)
                    if s > near[r, c]:
                        near[r, c] = s
                        deep[r, c] = d0 + t * dd
        k = hollow[n]
        for r in range(top, bottom + 1):
            for c in range(left[r], right[r] + 1):
                s = near[r, c]
                if s > 0.0:
                    chord = np.sqrt(s)
                    if k > 0.0:
                        chord -= k * np.sqrt(max(np.float32(0.0), np.float32(1.0) - (np.float32(1.0) - s) / (k * k)))
                    out[r, c] += np.float32(2.0) * weights[n] * deep[r, c] * chord
                    near[r, c] = 0.0
            left[r], right[r] = width, -1


@njit(cache=True)
def wet(rows: Floats, level: Floats, air: Floats, fluid: Floats) -> None:
    """Fill the bottom of a pleural space with fluid, its surface curved up at the walls (the meniscus).

    Args:
        rows: (H, 4) the lung's slices, as in `stack_slices`.
        level: (4,) row of the surface at the middle, rise at the wall in pixels, softness in pixels, share of
            the air that a layer of fluid behind a lying patient takes at the base (0 upright).
        air: (H, W) air left in mm; changed.
        fluid: (H, W) fluid in mm; added to.
    """
    height, width = air.shape
    surface, rise, soft, veil = level[0], level[1], level[2], level[3]
    for r in range(height):
        half, centre = rows[r, 0], rows[r, 2]
        if half <= 0.0:
            continue
        layer = veil * min(
            np.float32(1.0), max(np.float32(0.0), np.float32(1.0) - (surface - np.float32(r)) / (4.0 * rise + 1.0))
        )
        for c in range(max(0, int(np.ceil(centre - half))), min(width, int(np.floor(centre + half)) + 1)):
            if air[r, c] <= 0.0:
                continue
            e = (np.float32(c) - centre) / half
            depth = (np.float32(r) - surface + rise * e * e) / soft
            share = min(np.float32(1.0), max(layer, np.float32(0.5) + depth))
            if share > 0.0:
                fluid[r, c] += share * air[r, c]
                air[r, c] *= np.float32(1.0) - share


def scratch(size: int, count: int) -> Any:
    """`count` pictures of zeros, (count, size, size) float32."""
    return np.zeros((count, size, size), np.float32)


@njit(cache=True)
def breathe(
    air: Floats,
    gas: Floats,
    solid: Floats,
    cloud: Floats,
    texture: Floats,
    density: Floats,
    soft: np.float32,
    lung: np.float32,
    out: Floats,
) -> None:
    """Take from a body of soft tissue what lungs do not attenuate.

    `solid` mm of the lung are tissue all the same (at most all of it), and of the rest the share `1 -
    exp(-cloud / rest)` is filled; `texture` makes both the lung and the filling uneven.

    Args:
        air: (2, H, W) lung of each side, mm.
        gas: (2, H, W) free air of each side, mm.
        solid: (H, W) vessels and lumps, mm.
        cloud: (H, W) fluid in air spaces, mm.
        texture: (H, W) zero mean, unit variance.
        density: (2,) of the aerated lung relative to normal.
        soft: attenuation of soft tissue, 1/mm.
        lung: attenuation of normal lung, 1/mm.
        out: (H, W) line integral of attenuation; subtracted from.
    """
    _, height, width = air.shape
    for r in range(height):
        for c in range(width):
            right, left = air[0, r, c], air[1, r, c]
            depth = right + left
            out[r, c] -= soft * (gas[0, r, c] + gas[1, r, c])
            if depth <= 0.0:
                continue
            aerated = lung * (density[0] * right + density[1] * left) / depth
            aerated *= np.float32(1.0) + np.float32(0.06) * texture[r, c]
            empty = max(np.float32(0.0), depth - solid[r, c])
            fluid = cloud[r, c]
            if fluid > 0.0 and empty > 0.0:
                uneven = max(np.float32(0.15), np.float32(1.0) + np.float32(0.22) * texture[r, c])
                empty *= np.exp(-fluid * uneven / (empty + np.float32(8.0)))
            out[r, c] -= (soft - aerated) * empty
