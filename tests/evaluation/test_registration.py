"""Registration: planted motions come back, bad ones are refused, and averages are on the anchor."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from hilum.datasets.phantom import phantom_patient, render
from hilum.errors import MissingDependencyError
from hilum.evaluation.registration import Registration, _fault, average, onto_anchor, register

pytest.importorskip("SimpleITK")
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def film() -> NDArray[np.uint8]:
    """A frontal phantom film."""
    patient = phantom_patient(3, 4)
    return np.rint(255 * render(patient, patient.studies[0], "PA", 192)).astype(np.uint8)


def affine(degrees: float, scale: float, across: float, down: float, shear: float = 0.0) -> tuple[Floats, Floats]:
    """Matrix and shift in shares of the longer side."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]]), np.array([across, down])


def warped(film: NDArray[np.uint8], matrix: Floats, shift: Floats) -> NDArray[np.uint8]:
    """The film on which the point p shows what the film shows at `matrix @ p + shift`, pixel by pixel."""
    height, width = film.shape
    longer = max(film.shape)
    rows, columns = np.mgrid[:height, :width]
    points = np.stack([(columns - (width - 1) / 2) / longer, (rows - (height - 1) / 2) / longer], axis=-1)
    there = points @ matrix.T + shift
    places = [there[..., 1] * longer + (height - 1) / 2, there[..., 0] * longer + (width - 1) / 2]
    return map_coordinates(film.astype(float), places, order=1).round().clip(0, 255).astype(np.uint8)


def error(found: Registration, matrix: Floats, shift: Floats) -> float:
    """Largest distance from the truth over the film, in shares of its width."""
    line = np.linspace(-0.5, 0.5, 9)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return float(np.linalg.norm(found.moved(points) - (points @ matrix.T + shift), axis=1).max())


@pytest.mark.parametrize(
    "motion",
    [
        affine(0, 1, 0.09, -0.06),
        affine(10, 1, 0, 0),
        affine(0, 0.86, 0, 0),
        affine(0, 1.14, 0, 0),
        affine(-9, 1.1, -0.07, 0.08, 0.05),
    ],
    ids=["shift", "turn", "smaller", "larger", "all"],
)
def test_a_planted_motion_comes_back_to_two_percent_of_the_width(
    film: NDArray[np.uint8], motion: tuple[Floats, Floats]
) -> None:
    found = register(film, warped(film, *motion))
    assert found.usable, found.reason
    assert error(found, *motion) <= 0.02
    assert found.after > found.before


def test_another_machine_and_another_size_make_no_difference(film: NDArray[np.uint8]) -> None:
    """Mutual information does not ask for the same grey values; coordinates do not depend on the resolution."""
    motion = affine(6, 0.92, 0.05, -0.04)
    anchor = warped(film, *motion)
    curve = (255 * (1 - (anchor / 255.0) ** 1.7)).astype(np.uint8)[::2, ::2]  # inverted, bent, half the size
    assert error(register(film, curve), *motion) <= 0.02


def test_the_same_films_give_the_same_numbers(film: NDArray[np.uint8]) -> None:
    anchor = warped(film, *affine(5, 1.05, 0.04, 0.02))
    first, second = register(film, anchor), register(film, anchor)
    np.testing.assert_array_equal(first.matrix, second.matrix)
    np.testing.assert_array_equal(first.shift, second.shift)
    assert (first.before, first.after) == (second.before, second.after)


def test_the_anchor_stays_where_it_is(film: NDArray[np.uint8]) -> None:
    found = register(film, film.copy())
    assert found.usable
    np.testing.assert_array_equal(found.matrix, np.eye(2))
    assert not found.shift.any()


def test_correlation_finds_it_too(film: NDArray[np.uint8]) -> None:
    motion = affine(-4, 1.06, 0.03, 0.05)
    assert error(register(film, warped(film, *motion), "correlation"), *motion) <= 0.02


def test_bad_registrations_are_named(film: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    blank = np.full_like(film, 90)
    assert register(blank, film).reason == "a film without any contrast"
    noise = rng.integers(0, 256, film.shape).astype(np.uint8)
    assert register(noise, film).reason in ("no more alike than unmoved", "nothing alike")
    for motion, reason in ((affine(0, 1.85, 0, 0), "stretched"), (affine(23, 1, 0, 0), "turned")):
        found = register(film, warped(film, *motion))
        assert reason in found.reason
        assert not found.usable
        assert error(found, *motion) <= 0.02  # found right, and still no motion of an upright film


@pytest.mark.parametrize(
    ("motion", "after", "reason"),
    [
        (affine(0, 1, 0.2, 0.1), 0.5, ""),
        (affine(0, 1, 0.4, 0), 0.5, "moved by more than 30% of the film"),
        (affine(0, 1, 0, 0), 0.29, "no more alike than unmoved"),
        (affine(0, 1, 0, 0), float("nan"), "no more alike than unmoved"),
        ((np.diag([-1.0, 1.0]), np.zeros(2)), 0.5, "stretched beyond 0.6 to 1.7"),  # mirrored
        ((np.diag([0.5, 1.0]), np.zeros(2)), 0.5, "stretched beyond 0.6 to 1.7"),
    ],
)
def test_the_limits_of_a_motion(motion: tuple[Floats, Floats], after: float, reason: str) -> None:
    assert _fault(*motion, before=0.3, after=after) == reason
    assert _fault(*affine(0, 1, 0, 0), before=0.01, after=0.19) == "nothing alike"


def test_the_average_of_registered_maps_stands_where_the_anchor_has_it(film: NDArray[np.uint8]) -> None:
    """A spot on the anchor, found on moved films, comes back to its place; unregistered it would be smeared."""
    spot = np.zeros(film.shape)
    spot[film.shape[0] // 3, film.shape[1] // 3] = 1
    spot = gaussian_filter(spot, 6)
    place = np.array(np.unravel_index(spot.argmax(), spot.shape))
    maps = []
    for motion in (affine(8, 1.1, 0.06, 0), affine(-8, 0.9, 0, 0.07), affine(0, 1, -0.08, -0.05)):
        inverse = np.linalg.inv(motion[0])
        moved = warped(film, inverse, -inverse @ motion[1])  # the film on which the anchor's p lies at `motion`
        heat = onto_anchor(spot, Registration(inverse, -inverse @ motion[1], 0, 1), film.shape)
        maps.append((np.nan_to_num(heat), register(moved, film)))
    lost = Registration(np.eye(2), np.zeros(2), 0, 0, "no more alike than unmoved")
    found, used = average([*maps, (np.full(film.shape, 9.0), lost)], film.shape)
    assert used == 3
    peak = np.array(np.unravel_index(np.nanargmax(found), found.shape))
    assert np.abs(peak - place).max() <= 0.02 * film.shape[1]
    assert np.nanmax(found) > 0.8 * spot.max()


def test_outside_the_film_there_is_no_value() -> None:
    right = Registration(np.eye(2), np.array([0.25, 0]), 0, 1)
    laid = onto_anchor(np.ones((4, 8)), right, (40, 80))
    assert np.isnan(laid[:, 62:]).all()
    np.testing.assert_allclose(laid[5:-5, 5:58], 1)
    mean, used = average([(np.ones((4, 8)), right)], (40, 80))
    assert used == 1
    assert np.isnan(mean[:, 62:]).all()
    assert average([], (4, 4))[1] == 0


def test_without_the_package_the_install_line_is_said(film: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hilum\[registration\]'"):
        register(film, film)
