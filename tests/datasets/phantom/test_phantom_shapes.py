"""The kernels against chords counted point by point along each ray."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.datasets.phantom import phantom_patient
from hilum.datasets.phantom.project import Camera, Ellipsoids, Tubes
from hilum.datasets.phantom.scene import Kind, PleuralSpace, Scene, Slices
from hilum.datasets.phantom.shapes import add_clouds, add_ellipsoids, add_slices, add_tubes, breathe, scratch, unite

SIZE = 48
PATIENT = phantom_patient(0, 1)


def camera(view: str = "PA", *, turn: np.ndarray | None = None) -> Camera:
    """A camera without shift; magnification stays."""
    base = np.eye(3) if turn is None else turn
    return Camera(view, SIZE, 400.0 / SIZE, base, np.zeros(2))  # type: ignore[arg-type]


def counted_chord(inside, lens: Camera, depth: float, step: float = 0.5) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Chord of a shape at every pixel: the points of each ray for which `inside(points)` holds, times the step.

    Rays are parallel; the picture is magnified as a shape at `depth` is.
    """
    scale = float(lens.pixels_per_mm(np.array(depth)))
    u = (np.arange(SIZE) - (SIZE - 1) / 2) / scale
    d = np.arange(-160.0, 160.0, step) + step / 2
    grid = np.stack(np.meshgrid(u, u, d, indexing="ij"), -1)  # (row, column, depth): down, across, depth
    points = grid[..., [1, 0, 2]] @ np.linalg.inv(lens.turn).T
    return inside(points).sum(-1) * step


@pytest.mark.parametrize("turn", [0.0, 0.6, -1.2])
def test_ellipsoid_chord_under_a_tilted_camera(turn: float) -> None:
    centre, radii = np.array([20.0, -30.0, 25.0]), np.array([60.0, 35.0, 50.0])
    yaw = np.array([[0.96, 0.0, 0.28], [0.0, 1.0, 0.0], [-0.28, 0.0, 0.96]])
    lens = camera(turn=yaw)
    scene = Scene()
    scene.ellipsoid(centre, radii, 1.0, turn=turn)
    drawn = Ellipsoids(scene, lens)
    out = scratch(SIZE, 1)[0]
    add_ellipsoids(drawn.table(drawn.kind == Kind.SOLID, 1.0), out)
    depth = float((lens.turn @ centre)[2])

    def inside(points: np.ndarray) -> np.ndarray:
        # The picture is magnified about the axis, so the slow version must be asked at the shape's own magnification.
        c, s = np.cos(turn), np.sin(turn)
        local = (points - centre) @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        return ((local / radii) ** 2).sum(-1) <= 1.0

    np.testing.assert_allclose(out, counted_chord(inside, lens, depth), atol=1.1)
    assert out.max() > 60


def test_united_interval_is_the_union_of_overlapping_organs() -> None:
    scene = Scene()
    scene.ellipsoid((0.0, 0.0, -20.0), (60.0, 60.0, 40.0), 1.0, Kind.ORGAN)
    scene.ellipsoid((10.0, 5.0, 15.0), (50.0, 70.0, 45.0), 1.0, Kind.HEART)
    low, high = np.full((SIZE, SIZE), 1e6, np.float32), np.full((SIZE, SIZE), -1e6, np.float32)
    unite(Ellipsoids(scene, camera()).organs, low, high)
    middle = SIZE // 2
    assert low[middle, middle] == pytest.approx(-60.0, abs=1.0)
    assert high[middle, middle] == pytest.approx(60.0, abs=2.0)
    assert low[0, 0] > high[0, 0]  # outside both: empty


def test_slices_have_the_chord_of_their_cross_section_from_the_front_and_from_the_side() -> None:
    body = Slices.through([(-320.0, 120.0, 80.0, 0.0, 0.0), (320.0, 120.0, 80.0, 0.0, 0.0)], boxy=True)
    front, side = camera(), camera("LATERAL", turn=np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))

    def inside(points: np.ndarray) -> np.ndarray:
        return (points[..., 0] / 120.0) ** 4 + (points[..., 2] / 80.0) ** 2 <= 1.0

    for lens, power in ((front, 4), (side, -4)):
        out = scratch(SIZE, 1)[0]
        add_slices(lens.rows(body), power, 1.0, out)
        slow = counted_chord(inside, lens, 0.0)
        np.testing.assert_allclose(out[10:-10], slow[10:-10], atol=1.1)


def test_tube_across_the_ray_has_the_chord_of_a_cylinder_and_is_not_counted_twice_at_its_joints() -> None:
    scene = Scene()
    knots = np.stack([np.linspace(-100.0, 100.0, 9), np.full(9, 10.0), np.zeros(9)], 1)
    scene.tubes(knots, 24.0, 1.0)
    lens = camera()
    tubes = Tubes.of(scene, lens, [True])
    near, deep, out = scratch(SIZE, 3)
    add_tubes(tubes.points, tubes.starts, tubes.weights, tubes.hollows, near, deep, out)

    def inside(points: np.ndarray) -> np.ndarray:
        return (points[..., 1] - 10.0) ** 2 + points[..., 2] ** 2 <= 24.0**2

    middle = slice(18, 30)  # columns well inside the ends
    np.testing.assert_allclose(out[:, middle], counted_chord(inside, lens, 0.0)[:, middle], atol=1.1)
    assert not near.any()  # the scratch is clean for the next tube


def test_hollow_tube_is_the_outer_less_the_inner_one() -> None:
    pictures = []
    for radius, thickness, hollow in ((20.0, 20.0, 0.0), (20.0, 20.0, 0.6), (12.0, 12.0, 0.0)):
        scene = Scene()
        scene.tubes([(-90.0, -20.0, 0.0), (90.0, 30.0, 0.0)], radius, 1.0, thickness=thickness, hollow=hollow)
        tubes = Tubes.of(scene, camera(), [True])
        near, deep, out = scratch(SIZE, 3)
        add_tubes(tubes.points, tubes.starts, tubes.weights, tubes.hollows, near, deep, out)
        pictures.append(out)
    solid, shell, core = (p[:, 12:36] for p in pictures)
    np.testing.assert_allclose(shell, solid - core, atol=0.02)


def test_thin_tubes_keep_their_mass_at_every_size() -> None:
    scene = Scene()
    scene.tubes([(-80.0, -60.0, 0.0), (80.0, 70.0, 0.0)], 0.8, 1.0)
    mass = []
    for size in (64, 256, 1024):
        lens = Camera("PA", size, 400.0 / size, np.eye(3), np.zeros(2))
        tubes = Tubes.of(scene, lens, [True])
        near, deep, out = scratch(size, 3)
        add_tubes(tubes.points, tubes.starts, tubes.weights, tubes.hollows, near, deep, out)
        mass.append(float(out.sum()) * (400.0 / size) ** 2)
    np.testing.assert_allclose(mass, mass[-1], rtol=0.08)


def test_cloud_never_fills_more_than_the_lung_and_vessels_take_their_share() -> None:
    air = np.full((2, 4, 4), 60.0, np.float32)
    none = np.zeros((2, 4, 4), np.float32)
    flat, density = np.zeros((4, 4), np.float32), np.ones(2, np.float32)
    soft, lung = np.float32(0.02), np.float32(0.006)

    def removed(solid: float, cloud: float) -> float:
        out = np.full((4, 4), 5.0, np.float32)
        breathe(air, none, flat + np.float32(solid), flat + np.float32(cloud), flat, density, soft, lung, out)
        return float(5.0 - out[0, 0])

    assert removed(0, 0) == pytest.approx(120 * 0.014, rel=1e-5)
    assert removed(20, 0) == pytest.approx(100 * 0.014, rel=1e-5)
    assert removed(500, 0) == 0.0
    assert 0.0 <= removed(0, 1e5) < 1e-3
    assert removed(0, 30) == pytest.approx(120 * 0.014 * np.exp(-30 / 128), rel=1e-4)


def test_clouds_fade_to_nothing_at_their_border() -> None:
    scene = Scene()
    scene.ellipsoid((0.0, 0.0, 0.0), (80.0, 80.0, 80.0), 1.0, Kind.CLOUD)
    drawn = Ellipsoids(scene, camera())
    soft, hard = scratch(SIZE, 2)
    add_clouds(drawn.table(drawn.kind == Kind.CLOUD, 1.0), soft)
    add_ellipsoids(drawn.table(drawn.kind == Kind.CLOUD, 1.0), hard)
    q = 1.0 - (hard / 160.0) ** 2
    np.testing.assert_allclose(soft, hard * (1.0 - q), atol=0.05)


def test_pleural_space_is_plain_by_default() -> None:
    lung = Slices.through([(-100.0, 50.0, 60.0, 70.0, 0.0), (100.0, 60.0, 70.0, 70.0, 0.0)])
    space = PleuralSpace(lung)
    assert (space.fluid_mm, space.collapse, space.inner) == (0.0, 0.0, None)
    assert lung.half_x[0] == 0.0  # empty outside its knots
