"""Speed of the phantom: films a second on one core, beside the same shapes drawn one by one in NumPy.

Run: `python benchmarks/phantom.py [--size 256] [--films 60]`. "Rendering alone" draws a film from a scene that
exists: projection, texture, scatter, noise, display. The NumPy version draws the same ellipsoids, slices and
tubes of the same scenes with one vectorised expression a shape, inside its bounding box, and skips texture,
scatter, noise and display; it is checked to agree on the solid shapes. Rates count processor time of this one
process, best of three passes, so a busy machine disturbs them little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from hilum.datasets.phantom import phantom_patient, render
from hilum.datasets.phantom.build import scene_of
from hilum.datasets.phantom.film import Exposure, develop, texture_of
from hilum.datasets.phantom.project import Camera, Ellipsoids, Tubes, project
from hilum.datasets.phantom.scene import ARM, MU_SOFT, Kind, Scene
from hilum.datasets.phantom.shapes import add_ellipsoids, add_tubes, scratch


def numpy_ellipsoids(table: np.ndarray, out: np.ndarray) -> None:
    """`shapes.add_ellipsoids`, one expression a shape."""
    size = out.shape[0]
    for u, v, a, b, c, half, _, _, weight in table.astype(np.float64):
        det = a * c - b * b
        wide, tall = np.sqrt(c / det), np.sqrt(a / det)
        r0, r1 = max(0, int(np.ceil(v - tall))), min(size, int(np.floor(v + tall)) + 1)
        c0, c1 = max(0, int(np.ceil(u - wide))), min(size, int(np.floor(u + wide)) + 1)
        if r0 < r1 and c0 < c1:
            y, x = np.arange(r0, r1)[:, None] - v, np.arange(c0, c1)[None] - u
            q = a * x * x + 2 * b * x * y + c * y * y
            out[r0:r1, c0:c1] += 2 * half * weight * np.sqrt(np.maximum(0.0, 1.0 - q))


def numpy_slices(rows: np.ndarray, out: np.ndarray) -> None:
    """One expression for a stack of slices."""
    half = np.maximum(rows[:, :1], 1e-6)
    e = (np.arange(out.shape[1])[None] - rows[:, 2:3]) / half
    out += np.where(rows[:, :1] > 0, 2 * rows[:, 1:2] * np.sqrt(np.maximum(0.0, 1.0 - e * e)), 0.0)


def numpy_tubes(tubes: Tubes, out: np.ndarray) -> None:
    """`shapes.add_tubes`, one expression a segment."""
    size = out.shape[0]
    points = tubes.points.astype(np.float64)
    for n in range(len(tubes.starts) - 1):
        tube = points[tubes.starts[n] : tubes.starts[n + 1]]
        wide = tube[:, 2].max()
        c0, r0 = (max(0, int(np.ceil(tube[:, i].min() - wide))) for i in (0, 1))
        c1, r1 = (min(size, int(np.floor(tube[:, i].max() + wide)) + 1) for i in (0, 1))
        if r0 >= r1 or c0 >= c1:
            continue
        near, deep = np.zeros((2, r1 - r0, c1 - c0))
        for (x0, y0, w0, d0), (x1, y1, w1, d1) in pairwise(tube):
            reach, dx, dy = max(w0, w1), x1 - x0, y1 - y0
            y = np.arange(max(r0, int(np.ceil(min(y0, y1) - reach))), min(r1, int(max(y0, y1) + reach) + 1))
            x = np.arange(max(c0, int(np.ceil(min(x0, x1) - reach))), min(c1, int(max(x0, x1) + reach) + 1))
            y, x = y[:, None], x[None]
            if y.size and x.size:
                t = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-6), 0.0, 1.0)
                gone = (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2
                s = 1.0 - gone * (1 / w0**2 + t * (1 / w1**2 - 1 / w0**2))
                part = np.s_[y[0, 0] - r0 : y[-1, 0] - r0 + 1, x[0, 0] - c0 : x[0, -1] - c0 + 1]
                closer = s > near[part]
                near[part] = np.where(closer, s, near[part])
                deep[part] = np.where(closer, d0 + t * (d1 - d0), deep[part])
        k = tubes.hollows[n]
        chord = np.sqrt(near)
        if k > 0:
            chord = chord - k * np.sqrt(np.maximum(0.0, 1.0 - (1.0 - near) / k**2)) * (near > 0)
        out[r0:r1, c0:c1] += 2 * tubes.weights[n] * deep * chord


def numpy_shapes(scene: Scene, camera: Camera) -> np.ndarray:
    """All shapes of a scene with one NumPy expression each; lungs without what displaces them."""
    out, air = np.zeros((2, camera.size, camera.size))
    drawn = Ellipsoids(scene, camera)
    assert scene.body is not None
    numpy_slices(camera.rows(scene.body), air)
    for space in scene.spaces.values():
        numpy_slices(camera.rows(space.slices), air)
    numpy_ellipsoids(drawn.table(np.ones(len(drawn.kind), bool), drawn.weight), out)
    numpy_tubes(Tubes.of(scene, camera, [True] * len(scene.bundles)), out)
    return out + MU_SOFT * air


def agreement(scene: Scene, camera: Camera) -> float:
    """Largest difference between NumPy and the kernels on the solid shapes, in units of attenuation."""
    mine, theirs = scratch(camera.size, 2)
    drawn = Ellipsoids(scene, camera)
    table = drawn.table(drawn.kind == Kind.SOLID, drawn.weight)
    keep = [data[2] == Kind.SOLID and data[3] != ARM for data in scene.bundle_data]
    tubes = Tubes.of(scene, camera, keep)
    near, deep = scratch(camera.size, 2)
    add_ellipsoids(table, mine)
    add_tubes(tubes.points, tubes.starts, tubes.weights, tubes.hollows, near, deep, mine)
    numpy_ellipsoids(table, theirs)
    numpy_tubes(tubes, theirs)
    return float(np.abs(mine - theirs).max())


def rate(films: int, work: Callable[[], None]) -> float:
    """Films a second of processor time, best of three."""
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return films / best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--films", type=int, default=60)
    options = parser.parse_args()
    size, films = options.size, options.films
    cases = [(p, p.studies[0], p.studies[0].views[0]) for p in (phantom_patient(0, i) for i in range(films))]
    scenes = [scene_of(*case) for case in cases]
    cameras = [Camera.of(*case, size) for case in cases]
    render(*cases[0], size)  # compile, or load what was compiled

    def alone() -> None:
        for case, scene in zip(cases, scenes, strict=True):
            texture = texture_of(*case, size)
            develop(project(scene, Camera.of(*case, size), texture).attenuation, Exposure.of(*case))

    def whole() -> None:
        for index in range(films):
            patient = phantom_patient(0, index)
            render(patient, patient.studies[0], patient.studies[0].views[0], size)

    def plain() -> None:
        for scene, camera in zip(scenes, cameras, strict=True):
            numpy_shapes(scene, camera)

    worst = max(agreement(scene, camera) for scene, camera in zip(scenes[:5], cameras[:5], strict=True))
    print(f"{films} frontal films of {size} x {size}, one core")
    print(f"  rendering alone (numba)                  {rate(films, alone):7.0f} films/s")
    print(f"  patient, anatomy and rendering (numba)   {rate(films, whole):7.0f} films/s")
    print(f"  the shapes alone, one by one (NumPy)     {rate(films, plain):7.0f} films/s")
    print(f"  largest difference on the solid shapes   {worst:.1e}")


if __name__ == "__main__":
    main()
