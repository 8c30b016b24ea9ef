"""Truth and n models side by side, film by film, as in Fig. 4 of MRM (https://arxiv.org/abs/2301.13155)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from hilum.evaluation.features import Runner
from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.evaluation.segmentation.model import TrainedSegmenter
from hilum.films import decode
from hilum.manifest.masks import resize_nearest
from hilum.metrics.segmentation import Pixels, count_pixels, dice_all
from hilum.results.pictures import thumbnail

SIDE: Final = 250  # pixels of a picture
FILMS: Final = 8
COLOURS: Final = {  # of findings, in order; seen on grey, told apart by most colour-blind readers (Okabe and Ito 2008)
    "orange": (230, 159, 0),
    "blue": (86, 180, 233),
    "green": (0, 158, 115),
    "yellow": (240, 228, 66),
    "vermilion": (213, 94, 0),
    "purple": (204, 121, 167),
}
FILL: Final = 0.35  # share of the colour inside a mask; its outline is opaque


@dataclass(frozen=True)
class Panel:
    """One film as truth and models have it."""

    title: str
    pictures: tuple[tuple[str, Image.Image], ...]  # (caption, picture): film, truth, then a model each


def choose_rows(films: MaskedFilms, seed: int, count: int = FILMS) -> NDArray[np.intp]:
    """Rows by lot: the findings take turns, and a quarter of the places is for films without any."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(films))
    stated = films.masks.stated
    with_it = [[row for row in shuffled if stated[row, k] == 1] for k in range(stated.shape[1])]
    without = [row for row in shuffled if not (stated[row] == 1).any()]
    wanted = count - min(len(without), count // 4)
    chosen: list[int] = []
    for turn in range(max(map(len, with_it), default=0)):
        chosen += [rows[turn] for rows in with_it if turn < len(rows) and rows[turn] not in chosen]
    found = list(dict.fromkeys(chosen))[:wanted]
    return np.array([*found, *without[: count - len(found)]], dtype=np.intp)


def mask_panels(
    films: MaskedFilms, models: Mapping[str, TrainedSegmenter], runner: Runner, *, side: int = SIDE
) -> list[Panel]:
    """Each film plain, with its true masks, and with those of every model.

    Args:
        films: few; all are drawn.
        models: name -> segmenter; findings are matched by name.
        runner: where they run.
        side: longer side of a picture, pixels.
    """
    drawn = {name: list(model.probabilities(films, runner)) for name, model in models.items()}
    panels = []
    for row, path in enumerate(films.manifest.paths()):
        film = decode(path)
        truth = resize_nearest(films.masks(row), film.shape)
        pictures = [("film", thumbnail(film, side)), ("truth", painted(film, truth == 1, side))]
        for name, model in models.items():
            masks = _masks(model, drawn[name][row], films.findings)
            score = _dice(masks, truth)
            caption = f"{name}, Dice {score:.2f}" if score is not None else name
            pictures.append((caption, painted(film, masks, side)))
        there = [name for k, name in enumerate(films.findings) if (truth[k] == 1).any()]
        panels.append(Panel(f"{films.image_ids[row]}: {', '.join(there) or 'no finding'}", tuple(pictures)))
    return panels


def painted(film: NDArray[np.uint8], masks: NDArray[np.bool_], side: int) -> Image.Image:
    """A film (H, W) uint8 with masks (K, H, W) in their colours, outlined."""
    picture = thumbnail(film, side)
    size = (picture.height, picture.width)
    pixels = np.array(picture, dtype=np.float64)
    for colour, mask in zip(_palette(len(masks)), resize_nearest(masks, size), strict=True):
        rim = binary_dilation(mask) & ~mask
        pixels[mask] = (1 - FILL) * pixels[mask] + FILL * np.array(colour)
        pixels[rim] = colour
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))


def legend(findings: Sequence[str]) -> list[str]:
    """Which finding has which colour, in words."""
    names = list(COLOURS)
    return [f"{finding}: {names[k % len(names)]}" for k, finding in enumerate(findings)]


def _palette(count: int) -> list[tuple[int, int, int]]:
    colours = list(COLOURS.values())
    return [colours[k % len(colours)] for k in range(count)]


def _masks(model: TrainedSegmenter, maps: NDArray[Any], findings: Sequence[str]) -> NDArray[np.bool_]:
    """A model's masks of these findings; nothing for those that it does not draw."""
    own = {name: k for k, name in enumerate(model.record.findings)}
    empty = np.zeros(maps.shape[1:], bool)
    return np.stack([model.record.cut(name).mask(maps[own[name]]) if name in own else empty for name in findings])


def _dice(masks: NDArray[np.bool_], truth: NDArray[np.uint8]) -> float | None:
    """Mean Dice of the film over findings that are known, empty = 1."""
    known = [k for k in range(len(truth)) if (truth[k] <= 1).any()]
    if not known:
        return None
    counts = [count_pixels(masks[k], truth[k] == 1, truth[k] <= 1) for k in known]
    return float(dice_all(Pixels(*(np.array(column, np.float64) for column in zip(*counts, strict=True)))).mean())
