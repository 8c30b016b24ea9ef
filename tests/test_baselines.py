"""The baselines: what each one sees, honest corner cases, and the known number on the shared tuberculosis films."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.feature import hog

from hilum.baselines import (
    BASELINES,
    Baseline,
    Labelled,
    _regression,
    _rotated,
    _span,
    fit_baseline,
    hog_features,
    metadata_features,
    sites_of,
)
from hilum.errors import ConfigError
from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.ranking import auroc


def striped(n: int, seed: int) -> Labelled:
    """Films whose first finding is the direction of stripes, the second their brightness; both slightly noisy."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (n, 2)).astype(float)
    x, y = np.meshgrid(np.arange(50), np.arange(40))
    films = [
        np.clip(
            90 + 40 * bright + 40 * np.sin(np.pi / 5 * (x if down else y)) + rng.normal(0, 15, x.shape), 0, 255
        ).astype(np.uint8)
        for down, bright in labels
    ]
    return Labelled(films, pd.DataFrame(index=range(n)), labels)


def test_each_baseline_finds_what_it_can_see() -> None:
    train, val, test = striped(60, 0), striped(30, 1), striped(40, 2)
    found = {name: fit_baseline(name, train, val).score(test.films, test.table) for name in BASELINES}
    assert all(scores.shape == (40, 2) and ((scores >= 0) & (scores <= 1)).all() for scores in found.values())
    assert auroc(test.labels[:, 0], found["hog"][:, 0]) == 1.0
    assert auroc(test.labels[:, 1], found["metadata"][:, 1]) == 1.0
    assert auroc(test.labels[:, 0], found["metadata"][:, 0]) < 0.75


def test_metadata_is_mean_grey_shape_size_view_and_site() -> None:
    films = [np.full((20, 30), 51, np.uint8), np.full((30, 30), 255, np.uint8), np.zeros((10, 20), np.uint8)]
    table = pd.DataFrame(
        {
            "view_position": ["PA", None, "LATERAL"],
            "orig_width": [2000, np.nan, 100],
            "orig_height": [1000, 5, 400],
            "site": ["B", "", "A"],
        }
    )
    assert sites_of(table) == ("A", "B")
    expected = [
        [0.2, 2, 2, 1, 1, 0, 0, 0, 0, 1],
        [1, 1, 0.03, 0.03, 0, 0, 0, 0, 0, 0],
        [0, 0.25, 0.1, 0.4, 0, 0, 1, 0, 1, 0],
    ]
    np.testing.assert_allclose(metadata_features(iter(films), table, sites_of(table)), expected)
    plain = metadata_features(films, pd.DataFrame(index=range(3)))
    np.testing.assert_allclose(plain[:, 1:4], [[1.5, 0.03, 0.02], [1, 0.03, 0.03], [2, 0.02, 0.01]])


def test_a_baseline_can_read_the_site() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (60, 1)).astype(float)
    films = [np.full((8, 8), 9, np.uint8)] * 60
    table = pd.DataFrame({"site": np.where(labels[:, 0] == 1, "ward", "clinic")})
    fitted = fit_baseline("metadata", Labelled(films, table, labels))
    assert fitted.sites == ("clinic", "ward")
    assert auroc(labels[:, 0], fitted.score(films, table)[:, 0]) == 1.0
    elsewhere = fitted.score(films[:2], pd.DataFrame({"site": ["abroad", None]}))
    assert elsewhere[0] == elsewhere[1]


def test_hog_squeezes_and_does_not_see_a_change_of_contrast() -> None:
    film = striped(1, 0).films[0]
    small = np.asarray(Image.fromarray(film).resize((128, 128), Image.Resampling.BOX))
    (found,) = hog_features([film], pd.DataFrame(index=[0]))
    np.testing.assert_allclose(found, hog(small, pixels_per_cell=(8, 8), cells_per_block=(2, 2)), atol=1e-6)
    (half,) = hog_features([(film // 2).astype(np.uint8)], pd.DataFrame(index=[0]))
    assert np.abs(half - found).mean() < 0.01


def test_fitting_in_the_span_of_the_films_is_the_same_regression() -> None:
    rng = np.random.default_rng(1)
    features, new = rng.normal(size=(30, 80)), rng.normal(size=(9, 80))
    labels = (features[:, 0] + rng.normal(size=30) > 0).astype(float)
    basis = _span(features)
    assert basis is not None
    assert _span(features.T) is None
    plain, turned = _regression(features, labels, 0.1), _regression(_rotated(features, basis), labels, 0.1)
    near = plain.predict_proba(new), turned.predict_proba(_rotated(new, basis))
    np.testing.assert_allclose(*near, atol=1e-4)


def test_scores_do_not_depend_on_blocks_of_films(monkeypatch: pytest.MonkeyPatch) -> None:
    train = striped(20, 0)
    fitted = fit_baseline("hog", train)
    whole = fitted.score(train.films, train.table)
    monkeypatch.setattr("hilum.baselines.BLOCK", 7)
    np.testing.assert_allclose(fitted.score(iter(train.films), train.table), whole, atol=1e-12)
    with pytest.raises(ValueError, match="more films than the 19 rows"):
        fitted.score(train.films, train.table[:19])


def test_blank_labels_are_skipped_per_finding() -> None:
    train = striped(60, 0)
    holes = train.labels.copy()
    holes[:20, 0] = np.nan
    labels_of_the_rest = Labelled(train.films[20:], train.table[20:], train.labels[20:])
    scaler_apart = fit_baseline("hog", Labelled(train.films, train.table, holes)).score(train.films, train.table)
    rest = fit_baseline("hog", labels_of_the_rest).score(train.films, train.table)
    full = fit_baseline("hog", train).score(train.films, train.table)
    np.testing.assert_array_equal(scaler_apart[:, 1], full[:, 1])
    np.testing.assert_allclose(scaler_apart[:, 0], rest[:, 0], atol=0.05)  # the scaler saw 20 films more


def test_a_finding_without_both_classes_scores_a_constant_and_says_so() -> None:
    train = striped(20, 0)
    train.labels[:, 0] = 0
    train.labels[:, 1] = np.nan
    baseline = fit_baseline("metadata", train, findings=["Mass", "Hernia"])
    scores = baseline.score(train.films, train.table)
    assert (scores == [0, 0.5]).all()
    assert [note.split(":")[0] for note in baseline.notes] == ["Mass", "Hernia"]
    assert "0 positives and 20 negatives" in baseline.notes[0]


def test_validation_chooses_the_strength_or_a_note_says_that_it_could_not() -> None:
    train, val = striped(40, 0), striped(20, 1)
    chosen = fit_baseline("hog", train, val)
    assert not chosen.notes
    blank = Labelled(val.films, val.table, np.full((20, 2), np.nan))
    note = fit_baseline("hog", train, blank, findings=["Mass", "Hernia"]).notes
    assert note[0] == "Mass: C = 0.001, since validation cannot choose it."


def test_wrong_input_is_refused() -> None:
    train = striped(6, 0)
    with pytest.raises(ConfigError, match=r"unknown baseline 'hogs'.*Did you mean 'hog'"):
        fit_baseline("hogs", train)
    with pytest.raises(ValueError, match="6 films but 5 rows"):
        fit_baseline("hog", Labelled(train.films, train.table[:5], train.labels))
    with pytest.raises(ValueError, match="labels must be"):
        fit_baseline("hog", Labelled(train.films, train.table, train.labels[:, 0]))
    with pytest.raises(ValueError, match="uint8"):
        fit_baseline("metadata", Labelled([np.zeros((4, 4))], train.table[:1], train.labels[:1]))


@pytest.mark.slow
def test_the_tuberculosis_films_give_the_known_number(shared: Path) -> None:
    folder = shared / "data" / "shenzhen_tb"
    table = pd.read_csv(folder / "manifest.csv")

    def films(rows: pd.DataFrame) -> Iterator[np.ndarray]:
        return (np.asarray(Image.open(folder / path).convert("L")) for path in rows["image"])

    def part(split: str) -> Labelled:
        rows = table[table["split"] == split]
        return Labelled(films(rows), rows, rows[["tuberculosis"]].to_numpy(float))

    test = table[table["split"] == "test"]
    baseline: Baseline = fit_baseline("hog", part("train"), part("val"))
    judged = bootstrap(
        test[["tuberculosis"]],
        baseline.score(films(test), test),
        test["patient_id"],
        findings=["Tuberculosis"],
    ).estimate("auroc", "Tuberculosis")
    assert str(judged).startswith("0.92")
    assert (judged.low, judged.high) == pytest.approx((0.86, 0.97), abs=0.02)
