"""The evaluation transform and the normalisation that all paths share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hilum.schema import Preprocessing
from hilum.transforms.image import OwnRange, denormalise, normalise, prepare_film, resize, to_own_range

RECORD = Preprocessing(size=16)


def test_normalise_is_the_formula() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    got = normalise(images, RECORD)
    assert got.shape == (1, 3, 16, 16)
    for channel in range(3):
        want = (np.arange(256) / 255 - RECORD.mean[channel]) / RECORD.std[channel]
        np.testing.assert_allclose(got[0, channel].flatten().numpy(), want, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(denormalise(got, RECORD), (images / 255).expand(-1, 3, -1, -1))


def test_a_float_batch_is_taken_as_it_is() -> None:
    images = torch.randn(2, 3, 16, 16)
    assert normalise(images, RECORD) is images


@pytest.mark.parametrize("shape", [(16, 16), (40, 25), (9, 30)])
@pytest.mark.parametrize("rule", ["squeeze", "shortest", "pad"])
@pytest.mark.parametrize("antialias", [True, False])
def test_every_rule_gives_the_square(shape: tuple[int, int], rule: str, antialias: bool) -> None:
    record = replace(RECORD, resize=rule, antialias=antialias, channels=1, mean=(0.0,), std=(1.0,))
    film = np.random.default_rng(0).random(shape, dtype=np.float32)
    got = prepare_film(film, record)
    assert got.shape == (1, 16, 16)
    assert got.dtype is torch.float32
    assert 0 <= got.min() <= got.max() <= 1  # bicubic overshoot is cut


def test_a_film_of_the_right_size_is_only_normalised() -> None:
    film = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    from_bytes = prepare_film(film, RECORD)
    torch.testing.assert_close(from_bytes, normalise(torch.from_numpy(film)[None, None], RECORD)[0])
    torch.testing.assert_close(prepare_film(film / np.float32(255), RECORD), from_bytes)


def test_where_the_rules_put_the_film() -> None:
    record = replace(RECORD, channels=1, mean=(0.0,), std=(1.0,))
    wide = np.ones((8, 32), dtype=np.float32)
    wide[:, :8] = 0.0  # the left quarter is dark
    boxed = prepare_film(wide, replace(record, resize="pad"))[0]
    assert boxed[:6].max() == 0  # letterbox above
    assert boxed[7:9, 8:].min() > 0.9
    cut = prepare_film(wide, replace(record, resize="shortest"))[0]
    assert cut.min() > 0.9  # the centre crop loses the dark quarter
    squeezed = prepare_film(wide, record)[0]
    assert squeezed[:, :3].max() < 0.1
    assert squeezed[:, 5:].min() > 0.9


def test_antialiasing_averages_what_it_drops() -> None:
    stripes = np.zeros((64, 64), dtype=np.float32)
    stripes[:, ::4] = 1.0
    smooth = resize(stripes, 16, 16, RECORD)
    plain = resize(stripes, 16, 16, replace(RECORD, antialias=False))
    assert smooth[:, 1:-1].std() < 0.01
    assert smooth.mean() == pytest.approx(0.25, abs=0.02)
    assert abs(plain.mean() - 0.25) > 0.1


def test_minmax_gives_each_film_its_own_range_on_either_path() -> None:
    record = replace(RECORD, rescale="minmax")
    rng = np.random.default_rng(0)
    films = np.stack([rng.integers(30, 90, (16, 16)), rng.integers(0, 256, (16, 16)), np.full((16, 16), 200)])
    films = films.astype(np.uint8)[:, None]
    got = normalise(torch.from_numpy(films), record)
    grey = denormalise(got, record)
    for number, film in enumerate(films[:2, 0].astype(float)):
        want = (film - film.min()) / (film.max() - film.min())
        np.testing.assert_allclose(grey[number].numpy(), np.broadcast_to(want, (3, 16, 16)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grey[2], torch.zeros(3, 16, 16), rtol=0, atol=1e-6)  # constant: 0, not NaN
    for number, film in enumerate(films[:, 0]):
        torch.testing.assert_close(prepare_film(film, record), got[number], rtol=1e-5, atol=1e-6)


def test_a_film_with_its_own_range_is_stretched_before_anything_else() -> None:
    record = replace(RECORD, rescale="minmax-film", channels=1, mean=(0.0,), std=(1.0,), resize="shortest")
    film = np.random.default_rng(0).integers(30, 90, (16, 40), dtype=np.uint8)
    film[0, 0], film[0, 1] = 10, 210  # outside the crop, yet of the film
    seen = prepare_film(film, record)[0].numpy()
    np.testing.assert_allclose(seen, (film[:, 12:28].astype(float) - 10) / 200, atol=1e-6)
    levels = prepare_film(film, replace(record, eight_bit=True))[0].numpy()
    np.testing.assert_allclose(levels, np.floor((film[:, 12:28].astype(float) - 10) / 200 * 255) / 255, atol=1e-6)
    constant = prepare_film(np.full((16, 20), 77, np.uint8), replace(record, eight_bit=True))
    assert constant.abs().max() == 0


def test_training_views_of_such_films_are_stretched_too() -> None:
    film = np.array([[50, 100], [75, 150]], np.uint8)
    seen: list[np.ndarray] = []

    def views(film: np.ndarray, rng: int, truth: str) -> dict[str, torch.Tensor]:
        seen.append(film)
        return {truth: torch.tensor(rng)}

    assert OwnRange(views)(film, 3, truth="boxes") == {"boxes": torch.tensor(3)}
    assert np.array_equal(seen[0], to_own_range(film))
    assert seen[0].tolist() == [[0, 127], [63, 255]]


def test_a_second_resize_keeps_what_overshoots() -> None:
    record = replace(RECORD, size=12, resize_to=16, reduce="resize", channels=1, mean=(0.0,), std=(1.0,))
    film = np.zeros((16, 16), np.uint8)
    film[:, 9:] = 255
    seen = prepare_film(film, record)
    assert seen.shape == (1, 12, 12)
    assert seen.max() > 1.05
    assert prepare_film(255 - film, record).min() < -0.05
    plain = prepare_film(film, replace(record, resize_to=None, reduce="crop"))
    assert 0 <= plain.min() <= plain.max() <= 1


def test_a_rim_of_the_mean_is_almost_nought() -> None:
    record = replace(RECORD, resize="pad", fill="mean", eight_bit=True)
    seen = prepare_film(np.full((8, 32), 255, np.uint8), record)
    rim = seen[:, :5].reshape(3, -1).numpy()
    want = (np.rint(np.array(RECORD.mean) * 255) / 255 - RECORD.mean) / RECORD.std
    np.testing.assert_allclose(rim, np.broadcast_to(want[:, None], rim.shape), atol=1e-6)
    assert seen[:, 7:9].min() > 2


def test_eight_bits_round_between_and_after() -> None:
    film = np.random.default_rng(0).random((40, 40), dtype=np.float32)
    record = replace(RECORD, channels=1, mean=(0.0,), std=(1.0,), eight_bit=True)
    levels = prepare_film(film, record) * 255
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    torch.testing.assert_close(prepare_film(np.rint(film * 255).astype(np.uint8), record) * 255, levels)
    assert (prepare_film(film, replace(record, eight_bit=False)) * 255 - levels).abs().max() < 1.6
