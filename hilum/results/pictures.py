"""Films as small pictures for a page or a sheet: grey thumbnails, heat maps over films, boxes drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

BOX: Final = (255, 196, 0)  # amber: seen on grey and on red
RED: Final = (225, 30, 30)
GAP: Final = 6  # pixels between the pictures of a sheet
LINE: Final = 12  # height of a line of text
LINES: Final = 3  # of a caption that are shown


def thumbnail(film: NDArray[np.uint8], side: int) -> Image.Image:
    """A film (H, W) uint8 as an RGB picture whose longer side is `side` pixels."""
    height, width = film.shape
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return (
        Image.fromarray(film)
        .resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
        .convert("RGB")
    )


def overlay(
    film: NDArray[np.uint8], heat: NDArray[np.floating[Any]] | None, boxes: NDArray[Any], side: int
) -> Image.Image:
    """A film with a heat map over it and boxes around the truth.

    Args:
        film: (H, W) uint8.
        heat: (H, W) in [-1, 1], NaN where there is no value; drawn red above 0, the hotter the stronger; None: no map.
        boxes: (B, 4) left, top, width, height in pixels of the film.
        side: longer side of the picture, pixels.
    """
    picture = thumbnail(film, side)
    if heat is not None:
        colour = Image.fromarray(_colours(heat), "RGBA").resize(picture.size, Image.Resampling.BILINEAR)
        picture = Image.alpha_composite(picture.convert("RGBA"), colour).convert("RGB")
    across, down = picture.width / film.shape[1], picture.height / film.shape[0]
    draw = ImageDraw.Draw(picture)
    for left, top, width, height in boxes:
        corners = (left * across, top * down, (left + width) * across - 1, (top + height) * down - 1)
        draw.rectangle(corners, outline=BOX, width=2)
    return picture


def sheet(rows: Sequence[Sequence[tuple[Image.Image, str]]], side: int) -> Image.Image:
    """Pictures with a caption under each, row by row, on white.

    Args:
        rows: of (picture, caption); a caption is wrapped to the width of its picture and cut after `LINES` lines.
        side: width and height kept for each picture, pixels.
    """
    columns = max((len(row) for row in rows), default=1)
    step, drop = side + GAP, side + GAP + LINES * LINE
    page = Image.new("RGB", (columns * step + GAP, max(1, len(rows)) * drop + GAP), "white")
    draw = ImageDraw.Draw(page)
    for i, row in enumerate(rows):
        for j, (picture, caption) in enumerate(row):
            place = (GAP + j * step, GAP + i * drop)
            page.paste(picture, place)
            for number, line in enumerate(_lines(draw, caption, side)):
                draw.text((place[0], place[1] + side + number * LINE), line, fill="black")
    return page


def data_uri(picture: Image.Image) -> str:
    """The picture as a JPEG inside a `data:` address, so that a page needs no other file."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _colours(heat: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """(H, W) in [-1, 1] -> RGBA: red above 0, the hotter the stronger; nothing below, so that the film is seen."""
    picture = np.zeros((*heat.shape, 4), np.uint8)
    picture[..., :3] = RED
    picture[..., 3] = np.rint(np.nan_to_num(heat, nan=0.0).clip(0, 1) * 170)
    return picture


def _lines(draw: ImageDraw.ImageDraw, text: str, width: int) -> list[str]:
    """The first lines of `text` wrapped to a width, in ASCII: the built-in font knows no other signs."""
    lines = [""]
    for word in text.encode("ascii", "replace").decode().split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines[:LINES]
