"""Films: deterministic, of one body in every view, dark lungs, and not told apart by their mean brightness."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hilum.datasets.phantom import cardiothoracic_ratio, phantom_patient, render, truth_of
from hilum.datasets.phantom.build import _scene
from hilum.datasets.phantom.findings import PRIORS
from hilum.datasets.phantom.project import DETECTOR_MM, TUBE_MM, Camera


def test_a_film_is_the_same_bytes_on_every_drawing() -> None:
    def digest() -> str:
        _scene.cache_clear()
        patient = phantom_patient(2, 11)
        return hashlib.sha256(render(patient, patient.studies[0], "PA", 96).tobytes()).hexdigest()

    assert digest() == digest()


def test_patients_studies_and_views_differ() -> None:
    patient = next(p for p in (phantom_patient(2, i) for i in range(50)) if len(p.studies) > 1)
    first, second = patient.studies[:2]
    films = [render(patient, first, "PA", 64), render(patient, second, "PA", 64), render(patient, first, "AP", 64)]
    other = phantom_patient(2, 51)
    films += [render(patient, first, "LATERAL", 64), render(other, other.studies[0], "PA", 64)]
    for i, film in enumerate(films):
        assert film.dtype == np.float32
        assert film.shape == (64, 64)
        assert 0.0 <= film.min() < 0.2 < 0.8 < film.max() <= 1.0
        assert all(np.abs(film - later).mean() > 0.01 for later in films[i + 1 :])


def test_two_sizes_show_the_same_film() -> None:
    patient = phantom_patient(2, 3)
    large, small = (render(patient, patient.studies[0], "PA", size) for size in (256, 128))
    halved = large.reshape(128, 2, 128, 2).mean((1, 3))
    assert np.corrcoef(halved.ravel(), small.ravel())[0, 1] > 0.98


def test_lungs_are_darker_than_heart_and_brighter_than_air() -> None:
    for index in range(8):
        patient = phantom_patient(6, index)
        study = patient.studies[0]
        film, truth = render(patient, study, "PA", 128), truth_of(patient, study, "PA", 128)
        lungs, heart = truth.masks["Lungs"] & ~truth.masks["Heart"], truth.masks["Heart"]
        assert 0.12 < lungs.mean() < 0.5
        assert film[lungs].mean() + 0.12 < film[heart].mean()


def test_size_too_small_is_refused() -> None:
    patient = phantom_patient(0, 0)
    with pytest.raises(ValueError, match="at least 32"):
        render(patient, patient.studies[0], "PA", 16)


def test_ratio_on_pa_films_decides_the_label_and_ap_films_exaggerate_it() -> None:
    for index in range(40):
        patient = phantom_patient(7, index)
        study = patient.studies[0]
        upright, bedside = (cardiothoracic_ratio(patient, study, view) for view in ("PA", "AP"))
        assert upright == pytest.approx(patient.build.heart, abs=0.025)
        assert (upright > 0.505) == (study.finding("Cardiomegaly") is not None) or abs(upright - 0.505) < 0.025
        assert bedside > upright


def test_ratio_agrees_with_the_masks() -> None:
    for index in range(6):
        patient = phantom_patient(8, index)
        study = patient.studies[0]
        masks = truth_of(patient, study, "PA", 512).masks
        if study.finding("PleuralThickening") or study.finding("Effusion"):
            continue
        heart, lungs = (np.flatnonzero(masks[name].any(0)) for name in ("Heart", "Lungs"))
        measured = (heart[-1] - heart[0]) / (lungs[-1] - lungs[0])
        assert measured == pytest.approx(cardiothoracic_ratio(patient, study, "PA"), abs=0.03)


def test_views_agree_on_the_height_and_place_of_a_lump() -> None:
    """A nodule's height in mm is one in PA and lateral; its columns are its x and its -z."""
    checked = 0
    for index in range(400):
        patient = phantom_patient(9, index)
        finding = patient.studies[0].finding("Mass")
        if finding is None:
            continue
        study, heights = patient.studies[0], []
        for view in ("PA", "LATERAL"):
            lens = Camera.of(patient, study, view, 256)  # type: ignore[arg-type]
            box = next(b for b in truth_of(patient, study, view, 256).boxes if b.finding == "Mass")  # type: ignore[arg-type]
            row = box.y + box.height / 2 - 127.5 - lens.shift[1] / lens.pixel_mm
            away = DETECTOR_MM[view]
            heights.append(row * lens.pixel_mm * (TUBE_MM[view] - away) / TUBE_MM[view])
        assert heights[0] == pytest.approx(heights[1], abs=16.0)
        checked += 1
        if checked == 6:
            return
    pytest.fail("no mass among 400 patients")


def test_the_patients_right_is_on_the_left_of_a_frontal_film() -> None:
    sides = {"right": 0, "left": 0}
    for index in range(300):
        patient = phantom_patient(10, index)
        finding = patient.studies[0].finding("Effusion")
        if finding is None or finding.side not in sides:
            continue
        box = next(b for b in truth_of(patient, patient.studies[0], "PA", 128).boxes if b.finding == "Effusion")
        assert (box.x + box.width / 2 < 64) == (finding.side == "right")
        assert box.side == finding.side
        sides[finding.side] += 1
        if min(sides.values()) >= 4:
            break
    assert min(sides.values()) >= 4


def test_mean_brightness_tells_no_finding() -> None:
    bright, truth = [], []
    for index in range(600):
        patient = phantom_patient(5, index)
        study = patient.studies[0]
        bright.append(float(render(patient, study, study.views[0], 32).mean()))
        truth.append([study.finding(name) is not None for name in PRIORS])
    present = np.array(truth)
    for column, name in enumerate(PRIORS):
        if present[:, column].sum() >= 25:  # fewer say nothing about an area under the curve
            area = roc_auc_score(present[:, column], bright)
            assert max(area, 1 - area) < 0.70, (name, area)
    assert np.std(bright) > 0.05  # exposure does vary
