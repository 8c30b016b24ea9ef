"""Which films are learned from: known masks, their counts and sizes, negatives drawn by lot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hilum.errors import ManifestError
from hilum.evaluation.segmentation.films import MaskedFilms, balanced, check_teachable, masked_films, with_mask_labels
from hilum.labels import nested_fraction
from hilum.manifest import Manifest
from hilum.manifest.masks import read_masks


@pytest.fixture
def films(masked_data: Path) -> MaskedFilms:
    manifest = Manifest.read(masked_data)
    return MaskedFilms(manifest, read_masks(manifest, ("Mass", "Effusion")))


def test_rows_stay_with_their_masks(films: MaskedFilms) -> None:
    val = masked_films(films, films.manifest.select(split="val"))
    ids = list(films.manifest.table["image_id"])
    for row, image in enumerate(val.image_ids):
        np.testing.assert_array_equal(val.masks(row), films.masks(ids.index(image)))
        assert val.size(row) == (64, 64)
        assert val.spacing(row) == (2.0, 2.0)


def test_films_without_a_known_mask_are_left_out(films: MaskedFilms) -> None:
    stated = films.masks.stated.copy()
    stated[:5] = np.nan
    less = MaskedFilms(films.manifest, type(films.masks)(films.findings, films.masks.pieces, stated))
    assert len(masked_films(less, films.manifest)) == len(films) - 5
    stated[:] = np.nan
    with pytest.raises(ManifestError, match="no known mask of Mass, Effusion on any of 48 films"):
        masked_films(less, films.manifest)


def test_counts_and_label_columns_say_what_is_drawn(films: MaskedFilms) -> None:
    masks, empty = films.counts()["Mass"]
    assert (masks, empty) == (39, 9)
    assert sum(films.counts()["Effusion"]) < 48  # some are unknown
    labelled = with_mask_labels(films)
    np.testing.assert_array_equal(labelled.labels(("Mass", "Effusion")), films.masks.stated)
    small, large = (nested_fraction(labelled, part, 0, ("Mass", "Effusion")) for part in (0.25, 0.5))
    assert set(small.table["image"]) <= set(large.table["image"])


def test_balanced_keeps_all_masks_and_as_many_without(films: MaskedFilms) -> None:
    table = films.manifest.table.iloc[np.arange(48)]
    only_effusion = MaskedFilms(Manifest(table, films.manifest.root), read_masks(films.manifest, ("Effusion",)))
    kept = balanced(only_effusion, seed=1)
    positive = kept.masks.stated[:, 0] == 1
    assert positive.sum() == (only_effusion.masks.stated[:, 0] == 1).sum() == (~positive).sum()
    assert kept.image_ids == balanced(only_effusion, seed=1).image_ids
    assert kept.image_ids != balanced(only_effusion, seed=2).image_ids


def test_a_split_without_a_mask_cannot_teach(films: MaskedFilms) -> None:
    empty = films.take(np.flatnonzero(films.masks.stated[:, 0] == 0))
    with pytest.raises(ManifestError, match="the train split has no mask of Mass"):
        check_teachable(empty, "train")


@pytest.mark.parametrize(
    ("text", "spacing"),
    [("0.14,0.2", (0.14, 0.2)), ("0.5", (0.5, 0.5)), ("", None), ("0,1", None), ("1,2,3", None), ("a,b", None)],
)
def test_spacing_as_manifests_have_it(films: MaskedFilms, text: str, spacing: tuple[float, float] | None) -> None:
    table = films.manifest.table.assign(spacing_mm=text)
    assert MaskedFilms(Manifest(table, films.manifest.root), films.masks).spacing(0) == spacing
    bare = pd.DataFrame(table.drop(columns=["spacing_mm", "width"]))
    assert MaskedFilms(Manifest(bare, films.manifest.root), films.masks).spacing(0) is None
    assert MaskedFilms(Manifest(bare, films.manifest.root), films.masks).size(0) is None
