"""Maps of new films on disk: raw numbers, and the film with the map over it, a picture a finding."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.evaluation.features import Runner
from hilum.evaluation.prediction.explained import Explained
from hilum.evaluation.prediction.maps import Way, film_maps, names_of
from hilum.evaluation.prediction.new_films import NewFilms
from hilum.evaluation.prediction.original import Placed
from hilum.films import decode
from hilum.heads.grounding import on_film
from hilum.metrics.grounding import min_max
from hilum.results.pictures import overlay, png, thumbnail
from hilum.schema import Preprocessing

Floats = NDArray[np.float64]

FOLDER: Final = "maps"  # maps/<film>.npz, maps/<film>/<finding>.png
SIDE: Final = 512  # pixels of the longer side of a picture
NO_BOX: Final = np.zeros((0, 4))


@dataclass(frozen=True)
class Shown:
    """The maps of one film for the results page."""

    row: int
    film: Image.Image
    maps: dict[str, Image.Image]  # finding -> picture


def write_maps(
    model: Explained,
    way: Way,
    films: NewFilms,
    place: Path,
    *,
    wanted: Sequence[str] = (),
    runner: Runner,
    shown: int = 0,
) -> list[Shown]:
    """Write the maps of every film, film by film; the files are not synced one by one, the folder is moved as a whole.

    Args:
        model: whose maps.
        way: of making them.
        films: the films.
        place: the output folder; `FOLDER` is made in it.
        wanted: only of these findings.
        runner: device, batch size and so on.
        shown: how many of the films are handed back for the page.

    Returns:
        Pictures of the first `shown` films.
    """
    names, kept = names_of(model, way, wanted), list[Shown]()
    paths, record = films.manifest.paths(), model.preprocessing
    (place / FOLDER).mkdir()
    for row, maps in enumerate(film_maps(model, films.manifest, way, wanted=wanted, runner=runner)):
        film, placed = decode(paths[row]), films.placed[row]
        pictures = dict(zip(names, laid_over(film, maps, placed, record), strict=True))
        folder = place / FOLDER / films.names[row]
        folder.with_name(f"{films.names[row]}.npz").write_bytes(raw(maps, names, way, film.shape, placed))
        folder.mkdir()
        for name, picture in pictures.items():
            (folder / f"{name.replace(' ', '-')}.png").write_bytes(png(picture))
        if row < shown:
            kept.append(Shown(row, in_ratio(thumbnail(placed.crop(film, film.shape), SIDE), placed), pictures))
    return kept


def laid_over(
    film: NDArray[np.uint8], maps: Floats, placed: Placed, record: Preprocessing, side: int = SIDE
) -> list[Image.Image]:
    """Maps over the film as it came, red above the middle of each map's range.

    Args:
        film: (H, W) stored picture.
        maps: (M, S, S).
        placed: where the film lies in it.
        record: how the stored picture became the encoder's input.
        side: longer side of the pictures, pixels.

    Returns:
        M pictures.
    """
    shrink = min(1.0, side / max(film.shape))
    shape = (max(1, round(film.shape[0] * shrink)), max(1, round(film.shape[1] * shrink)))
    under = placed.crop(film, film.shape)
    heats = on_film(maps, shape, record.resize, seen=record.seen)
    over = (min_max(placed.crop(heat, film.shape)) for heat in heats)
    return [in_ratio(overlay(under, heat, NO_BOX, side), placed) for heat in over]


def in_ratio(picture: Image.Image, placed: Placed) -> Image.Image:
    """A picture of the film stretched to the ratio of its own sides; the longer one stays."""
    side = max(picture.size)
    scale = side / max(placed.height, placed.width)
    return picture.resize((max(1, round(placed.width * scale)), max(1, round(placed.height * scale))))


def raw(maps: Floats, names: Sequence[str], way: str, stored: tuple[int, ...], placed: Placed) -> bytes:
    """The maps of a film as an .npz file.

    Args:
        maps: (M, S, S) over the encoder's square input; kept as float32 `maps`.
        names: M findings.
        way: how they were made.
        stored: height and width of the picture that the encoder's transform was given.
        placed: the film's own height and width, `film`, and its `place` in that picture: top, left, rows, columns.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        maps=maps.astype(np.float32),
        names=np.array(list(names)),
        way=np.array(way),
        stored=np.array(stored),
        film=np.array([placed.height, placed.width]),
        place=np.array([placed.top, placed.left, placed.rows, placed.columns]),
    )
    return content.getvalue()
