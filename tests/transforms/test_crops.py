"""Crops of one film: where they come from, what they look like, and which of their patches are hidden."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hilum.config import override, to_json
from hilum.errors import ConfigError
from hilum.transforms.block_masks import mask_counts
from hilum.transforms.crops import (
    CROP_MASKS,
    GLOBAL_CROPS,
    LOCAL_CROPS,
    NATURAL,
    CropDraw,
    CropRecipe,
    CropViews,
    apply_crop,
    batch_counts,
)
from hilum.transforms.intensity import Grey, RadiographGrey
from hilum.transforms.place import Place

SMALL = CropRecipe(global_size=64, local_size=32)
STYLES = [SMALL, replace(SMALL, style="natural", flip=0.5), replace(SMALL, style="natural", flip=0.5, blur_quirk=True)]


def film(height: int = 90, width: int = 70, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("recipe", STYLES)
def test_shapes_types_and_reproducible_draws(recipe: CropRecipe) -> None:
    views, place = CropViews(recipe, 8), Place(step=3, index=1, count=4, seed=0)
    got = views(film(), np.random.default_rng(7), place)
    assert {key: (tuple(value.shape), value.dtype) for key, value in got.items()} == {
        GLOBAL_CROPS: ((2, 1, 64, 64), torch.uint8),
        LOCAL_CROPS: ((8, 1, 32, 32), torch.uint8),
        CROP_MASKS: ((2, 64), torch.bool),
    }
    views(film(seed=1), np.random.default_rng(8), place)  # nothing is kept between films
    assert equal(got, views(film(), np.random.default_rng(7), place))
    assert not equal(got, views(film(), np.random.default_rng(8), place))
    crops = [*got[GLOBAL_CROPS], *got[LOCAL_CROPS][:, :, :24, :24]]
    assert len({crop.numpy().tobytes() for crop in crops}) == 10


def test_no_local_crops_is_a_recipe_too() -> None:
    got = CropViews(replace(SMALL, locals=0), 8)(film(), np.random.default_rng(0))
    assert got[LOCAL_CROPS].shape == (0, 1, 32, 32)


def test_a_place_changes_the_masks_and_never_the_crops() -> None:
    views = CropViews(SMALL, 8)
    here = views(film(), np.random.default_rng(7), Place(step=3, index=1, count=4, seed=0))
    for place in (None, Place(step=9, index=0, count=2, seed=1), Place(step=3, index=63, count=64, seed=0)):
        there = views(film(), np.random.default_rng(7), place)
        assert torch.equal(here[GLOBAL_CROPS], there[GLOBAL_CROPS])
        assert torch.equal(here[LOCAL_CROPS], there[LOCAL_CROPS])


@pytest.mark.parametrize("recipe", STYLES[:2])
def test_areas_fill_their_ranges(recipe: CropRecipe) -> None:
    rng = np.random.default_rng(0)
    shares: dict[int, list[float]] = {64: [], 32: []}
    for _ in range(400):
        for draw in recipe.draw(rng, 1000, 1000):
            left, top, right, bottom = draw.box
            shares[draw.size].append((right - left) * (bottom - top) / 1e6)
    assert (len(shares[64]), len(shares[32])) == (800, 3200)
    assert 0.319 < min(shares[64]) < 0.33
    assert max(shares[64]) > 0.95
    assert 0.049 < min(shares[32]) < 0.052
    assert 0.318 < max(shares[32]) < 0.321
    assert np.mean(shares[32]) == pytest.approx(0.185, abs=0.006)  # uniform: every try fits


def test_the_draws_follow_the_style() -> None:
    rng = np.random.default_rng(1)
    drawn = [SMALL.draw(rng, 90, 70) for _ in range(200)]
    assert not any(draw.flip or draw.grey.solarize for draws in drawn for draw in draws)
    assert any(draw.grey.window for draws in drawn for draw in draws)
    natural = override(SMALL, NATURAL, where="variant")
    drawn = [natural.draw(rng, 90, 70) for _ in range(500)]
    assert not any(draw.grey.window or draw.grey.gamma != 1 for draws in drawn for draw in draws)
    for number in range(10):  # each crop tosses its own coin
        assert np.mean([draws[number].flip for draws in drawn]) == pytest.approx(0.5, abs=0.1)
    solar = np.mean([[draw.grey.solarize for draw in draws] for draws in drawn], axis=0)
    assert solar[1] == pytest.approx(0.2, abs=0.08)
    assert solar[[0, *range(2, 10)]].max() == 0
    blurs = np.mean([[draw.grey.blur > 0 for draw in draws] for draws in drawn], axis=0)
    assert blurs[0] == 1
    assert blurs[1] == pytest.approx(0.1, abs=0.06)
    assert blurs[2:].mean() == pytest.approx(0.5, abs=0.04)
    slipped = replace(natural, blur_quirk=True)
    blurs = np.mean([[draw.grey.blur > 0 for draw in slipped.draw(rng, 90, 70)] for _ in range(500)], axis=0)
    assert blurs[0] == 0
    assert blurs[1] == pytest.approx(0.9, abs=0.06)


def test_a_marker_on_the_left_stays_left_of_the_one_on_the_right() -> None:
    """Dark film, brighter to the right: a mirrored crop would fall instead of rise."""
    rising = np.tile(np.linspace(30, 220, 70), (90, 1)).astype(np.uint8)
    for seed in range(60):
        got = CropViews(SMALL, 8)(rising, np.random.default_rng(seed))
        for crop in (*got[GLOBAL_CROPS].float(), *got[LOCAL_CROPS].float()):
            half = crop.shape[-1] // 2
            assert crop[..., half:].mean() > crop[..., :half].mean()


def test_a_crop_is_cut_then_mirrored_then_regraded() -> None:
    pixels = np.tile(np.linspace(60, 180, 40).astype(np.uint8), (40, 1))
    plain = CropDraw(40, (0, 0, 40, 40), flip=False, grey=Grey())
    assert np.array_equal(apply_crop(pixels, plain), pixels)
    assert np.array_equal(apply_crop(pixels, replace(plain, flip=True)), pixels[:, ::-1])
    assert np.array_equal(apply_crop(pixels, replace(plain, box=(10, 0, 20, 10), size=10)), pixels[:10, 10:20])
    darker = apply_crop(pixels, replace(plain, grey=Grey(brightness=0.5)))
    assert np.abs(darker - pixels / 2).max() <= 0.5


@pytest.mark.parametrize("films", [1, 6, 7])
def test_counts_of_the_masks_are_those_of_the_whole_batch(films: int) -> None:
    """However a batch is split, its crops lose what one draw for all of them says."""
    views = CropViews(replace(SMALL, locals=0), 8)
    for step in range(12):
        place = Place(step=step, index=0, count=films, seed=5)
        wanted = batch_counts(place, 64, 0.5, (0.1, 0.5))
        assert np.count_nonzero(wanted) == films  # half of the 2 B crops
        order = np.random.default_rng(step).permutation(films)  # any split, any order, any process
        batch_counts.cache_clear()
        lost = np.zeros(2 * films, dtype=int)
        for index in order:
            asked = views.counts(np.random.default_rng(0), replace(place, index=int(index)))
            assert asked == (wanted[index], wanted[films + index])
            got = views(film(), np.random.default_rng([step, int(index)]), replace(place, index=int(index)))
            lost[[index, films + index]] = got[CROP_MASKS].sum(1).numpy()
        assert (lost <= wanted).all()
        assert (lost[wanted == 0] == 0).all()
        assert (wanted - lost).max() <= 3  # the generator gives up a few patches short


def test_counts_are_the_generators_for_twice_the_films() -> None:
    place = Place(step=2, index=0, count=9, seed=3)
    got = batch_counts(place, 196, 0.5, (0.1, 0.5))
    stratified = np.sort(got[got > 0])
    edges = 196 * np.linspace(0.1, 0.5, 10)
    assert ((np.floor(edges[:-1]) <= stratified) & (stratified <= edges[1:])).all()
    assert got.shape == mask_counts(np.random.default_rng(0), 18, 196, probability=0.5, ratio=(0.1, 0.5)).shape
    assert not np.array_equal(got, batch_counts(replace(place, step=3), 196, 0.5, (0.1, 0.5)))
    assert not np.array_equal(got, batch_counts(replace(place, seed=4), 196, 0.5, (0.1, 0.5)))


def test_a_film_alone_loses_patches_from_one_of_its_two_crops() -> None:
    views, sides = CropViews(SMALL, 8), set()
    for seed in range(30):
        lost = views(film(), np.random.default_rng(seed))[CROP_MASKS].sum(1)
        assert (lost == 0).sum() == 1
        sides.add(int(lost.argmax()))
        assert 3 <= lost.max() <= 32
    assert sides == {0, 1}


def test_the_recipe_survives_json() -> None:
    recipe = replace(SMALL, radiograph=RadiographGrey(gamma=0.1), local_scale=(0.1, 0.3))
    back = override(CropRecipe(), json.loads(json.dumps(to_json(recipe))), where="crops")
    assert back == recipe


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"style": "colour"}, "style is 'colour'"),
        ({"blur_quirk": True}, "blur_quirk is a slip of the style natural"),
        ({"locals": -1}, "locals is -1"),
        ({"local_size": 4}, "local_size is 4"),
        ({"global_scale": (0.3, 1.1)}, "global_scale is"),
        ({"local_scale": (0.0, 0.3)}, "local_scale is"),
        ({"flip": 1.5}, "flip is 1.5"),
    ],
)
def test_recipes_without_meaning_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CropRecipe(**values)


@pytest.mark.parametrize(
    ("recipe", "values", "words"),
    [
        (SMALL, {"patch_size": 12}, "global_size is 64 pixels, which patches of 12 do not tile"),
        (replace(SMALL, local_size=40), {"patch_size": 16}, "local_size is 40"),
        (SMALL, {"patch_size": 8, "mask_probability": 2.0}, "mask_probability is 2.0"),
        (SMALL, {"patch_size": 8, "mask_ratio": (0.5, 0.1)}, "mask_ratio is"),
    ],
)
def test_views_without_meaning_are_refused(recipe: CropRecipe, values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CropViews(recipe, **values)
