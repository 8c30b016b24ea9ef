"""Where MedIM's masks look, in pictures and in one number: the share of attention on the findings' boxes.

Paper: MedIM, https://doi.org/10.1007/978-3-031-43907-0_2, Fig. 2 (attention and mask of words and of one sentence). The
number is ours: attention inside the boxes of a film, as a share of all, divided by the boxes' share of the film's area.
Attention without aim gives 1. The mean map over films, which knows no film, is scored beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from hilum.films import decode
from hilum.heads.grounding import box_mask, boxes_on_input
from hilum.manifest import Manifest
from hilum.methods.medim.method import MedIM
from hilum.methods.medim.views import PIECE_WORDS, SENTENCE_WORDS, TERM_WORDS, MedIMViews
from hilum.schema import HAS_REPORT, IMAGE, REPORT_GROUP, TOKENS

BATCH: Final = 32
NAMES: Final = {"word": "KWM", "sent": "SDM"}


@dataclass(frozen=True)
class Look:
    """What the method does with one film and its report."""

    row: int  # of the manifest
    film: npt.NDArray[np.uint8]  # (S, S) as the encoder sees it
    shape: tuple[int, int]  # (H, W) of the stored film
    terms: str  # the words of terms that are read
    sentence: str  # the sentence drawn
    attention: dict[str, npt.NDArray[np.float64]]  # head -> (rows, columns), sums to the number of words
    hidden: dict[str, npt.NDArray[np.bool_]]  # head -> (rows, columns)
    drawn: dict[str, npt.NDArray[np.uint8]]  # head -> (S, S) what the decoder makes of the masked map


def plain_views(method: MedIM) -> MedIMViews:
    """The method's views without random crop, jitter and blur: the film as the encoder is used."""
    still = replace(method.config, crop=(1.0, 1.0), jitter_chance=0.0, blur_chance=0.0)
    return MedIMViews(still, method.tokenizer, method.backbone.config.patches)


@torch.no_grad()
def look_at(method: MedIM, manifest: Manifest, texts: Sequence[str], rows: Sequence[int], *, seed: int) -> list[Look]:
    """What the method does with some films of a manifest.

    Args:
        method: in evaluation mode.
        manifest: the films.
        texts: one a film of the manifest: the report's chosen sections.
        rows: which films.
        seed: key of the sentence and of the noise of each film.
    """
    views, paths, found = plain_views(method), manifest.paths(), []
    device = next(method.parameters()).device
    for start in range(0, len(rows), BATCH):
        chunk = rows[start : start + BATCH]
        films = [decode(paths[row]) for row in chunk]
        samples = [
            views(film, np.random.default_rng([seed, row]), texts[row]) for film, row in zip(films, chunk, strict=True)
        ]
        batch = {key: torch.stack([sample[key] for sample in samples]).to(device) for key in samples[0]}
        batch[HAS_REPORT] = torch.tensor([bool(texts[row]) for row in chunk], device=device)
        batch[REPORT_GROUP] = torch.arange(len(chunk), device=device)
        restored = method.restore(batch)
        for place, row in enumerate(chunk):
            found.append(
                _look(method, row, films[place].shape, {k: v[place] for k, v in batch.items()}, restored, place)
            )
    return found


def _look(
    method: MedIM, row: int, shape: tuple[int, ...], sample: dict[str, Any], restored: dict[str, Any], place: int
) -> Look:
    """One film's part of a batch, on the CPU."""
    grid = method.backbone.config.grid
    masks = {head: mask for head, (mask, _) in restored.items()}
    drawings = {head: drawing[place].mean(0) / 2 + 0.5 for head, (_, drawing) in restored.items()}
    pieces, numbers = sample[TOKENS].tolist(), sample[PIECE_WORDS].tolist()

    def said(marked: torch.Tensor) -> str:
        kept = [piece for piece, number in zip(pieces, numbers, strict=True) if number >= 0 and marked[number]]
        return method.tokenizer.decode(kept)

    return Look(
        row=row,
        film=sample[IMAGE][0].cpu().numpy(),
        shape=(int(shape[0]), int(shape[1])),
        terms=said(sample[TERM_WORDS]),
        sentence=said(sample[SENTENCE_WORDS]),
        attention={head: mask.attention[place].double().cpu().numpy().reshape(grid) for head, mask in masks.items()},
        hidden={head: mask.hidden[place].cpu().numpy().reshape(grid) for head, mask in masks.items()},
        drawn={head: (255 * d.clamp(0, 1)).round().byte().cpu().numpy() for head, d in drawings.items()},
    )


def lift(attention: npt.NDArray[np.float64], inside: npt.NDArray[np.bool_]) -> float:
    """How many times more attention lies in an area than without aim.

    Args:
        attention: (rows, columns), not negative.
        inside: (S, S) bool; each cell's attention counts by the share of the cell that is inside.

    Returns:
        1 without aim; NaN without attention or area.
    """
    if not attention.sum() or not inside.any():
        return float("nan")
    share = shares(inside, attention.shape)
    return float((attention * share).sum() / attention.sum() / share.mean())


def shares(inside: npt.NDArray[np.bool_], grid: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The share of each cell of a grid that lies in an area (S, S): (rows, columns) in [0, 1]."""
    fine = inside.repeat(grid[0], axis=0).repeat(grid[1], axis=1)  # any side divides now
    height, width = inside.shape
    mean: npt.NDArray[np.float64] = fine.reshape(grid[0], height, grid[1], width).mean(axis=(1, 3))
    return mean


def lifts(looks: Sequence[Look], boxes: pd.DataFrame, manifest: Manifest, resize: str) -> pd.DataFrame:
    """The lift of every film that has boxes, by mask, with that of the mean map of all these looks beside it.

    Args:
        looks: of `look_at`.
        boxes: of `match_films`: row, x, y, w, h in pixels of a picture of width x height.
        manifest: the films.
        resize: how films become the encoder's input.

    Returns:
        Columns image_id, patient_id, mask (KWM, SDM), lift, lift_of_mean_map.
    """
    found = []
    by_row = dict(iter(boxes.groupby("row")))
    for head, name in NAMES.items():
        asked = [look for look in looks if head in look.attention and look.attention[head].any()]
        mean = np.mean([look.attention[head] / look.attention[head].sum() for look in asked], axis=0) if asked else None
        for look in asked:
            if look.row in by_row and mean is not None:
                inside = boxes_inside(by_row[look.row], look, resize)
                film = manifest.table.iloc[look.row]
                numbers = {"lift": lift(look.attention[head], inside), "lift_of_mean_map": lift(mean, inside)}
                found.append({"image_id": film["image_id"], "patient_id": film["patient_id"], "mask": name, **numbers})
    return pd.DataFrame(found, columns=["image_id", "patient_id", "mask", "lift", "lift_of_mean_map"])


def boxes_inside(boxes: pd.DataFrame, look: Look, resize: str) -> npt.NDArray[np.bool_]:
    """The union of a film's boxes on the encoder's input: (S, S) bool."""
    side = look.film.shape[0]
    return box_mask(boxes_of(boxes, look, resize), (side, side))


def boxes_of(boxes: pd.DataFrame, look: Look, resize: str) -> npt.NDArray[np.float64]:
    """A film's boxes on the encoder's input: (B, 4) left, top, width, height in pixels."""
    height, width = look.shape
    across = width / boxes["width"].fillna(width).to_numpy()
    down = height / boxes["height"].fillna(height).to_numpy()
    scaled = boxes[["x", "y", "w", "h"]].to_numpy() * np.stack([across, down, across, down], axis=1)
    return boxes_on_input(scaled, look.shape, look.film.shape[0], resize)  # type: ignore[arg-type]
