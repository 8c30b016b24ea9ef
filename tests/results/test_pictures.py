"""Pictures of films: sizes, the heat and the box where they belong, and sheets that hold their captions."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from hilum.results.pictures import BOX, data_uri, overlay, png, sheet, thumbnail

FILM = np.tile(np.arange(100, dtype=np.uint8), (60, 1))


def test_thumbnails_keep_the_shape_of_the_film() -> None:
    small = thumbnail(FILM, 50)
    assert (small.size, small.mode) == ((50, 30), "RGB")
    assert thumbnail(FILM, 200).size == (200, 120)


def test_heat_is_red_where_it_is_hot_and_nothing_elsewhere() -> None:
    heat = np.full(FILM.shape, -1.0)
    heat[:, 50:] = 1.0
    heat[:10] = np.nan
    picture = np.asarray(overlay(FILM, heat, np.zeros((0, 4)), 100)).astype(int)
    plain = np.asarray(thumbnail(FILM, 100)).astype(int)
    assert (picture[30, 90] - plain[30, 90])[0] > 60
    assert (picture[30, 10] == plain[30, 10]).all()
    assert (picture[2, 90] == plain[2, 90]).all()  # not seen by the encoder


def test_boxes_are_drawn_in_pixels_of_the_film() -> None:
    picture = np.asarray(overlay(FILM, None, np.array([[20.0, 10, 40, 30]]), 200))
    amber = np.argwhere((picture == BOX).all(axis=-1))
    assert amber.min(axis=0).tolist() == [20, 40]
    assert amber.max(axis=0).tolist() == [79, 119]


def test_a_sheet_shows_every_picture_and_wraps_its_caption() -> None:
    picture = thumbnail(FILM, 60)
    page = sheet([[(picture, "a long caption that is wrapped – and cut")], [(picture, ""), (picture, "x" * 200)]], 60)
    assert page.width > 2 * 60
    pixels = np.asarray(page)
    below = pixels[6 + 60 : 6 + 60 + 36, 6:66]
    assert (below < 128).any()
    assert len({tuple(row) for row in np.argwhere(below[..., 0] < 128)[:, :1]}) > 12  # more than one line of text


def test_files_are_what_they_say() -> None:
    address = data_uri(thumbnail(FILM, 40))
    head, body = address.split(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as read:
        assert read.size == (40, 24)
    with Image.open(io.BytesIO(png(thumbnail(FILM, 40)))) as read:
        assert read.format == "PNG"
