"""Where on the film does a sentence point? One similarity a patch, smoothed, and laid over the film.

The ways of three papers, as presets, every step a field of its own:

- `biovil` (https://arxiv.org/abs/2204.09817): cosine of patch and sentence, Gaussian filter of 1.5 patches, bilinear on
  the film's own pixels, thresholds on the cosine itself.
- `gloria` (Huang et al., ICCV 2021; temperature of its code): attention of the sentence's words over the patches, mean
  over words; for encoders that aligned words with patches (medim).
- `maco-paper`, `maco-released` (https://arxiv.org/abs/2309.05904): raw dot product; patches multiplied by a position
  prior, the softmax of learned weights over the patches divided by tau (0.1 in the paper, 0.02 in the code); nearest
  neighbour on the encoder's own input with its padding; scaled to [-1, 1].

Departures: the prior does not depend on the film, so it lifts numbers of any model; the default shows it beside the map
without it and never instead. The release draws the sentences of a phrase anew at each call and drops short ones; here
the phrase is read whole. Numbers that the paper does not state follow the release.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from hilum.errors import CheckpointError, ConfigError
from hilum.lookup import unknown_name
from hilum.metrics.grounding import Empty

Floats = NDArray[np.float64]
Resize = Literal["squeeze", "shortest", "pad", "square"]
Upsampling = Literal["bilinear", "nearest"]
Similarity = Literal["cosine", "dot", "words"]

WORD_TEMPERATURE: Final = 4.0  # of the attention over patches, GLoRIA's code


@dataclass(frozen=True)
class GroundingRule:
    """How a map is made from patch vectors and a sentence vector, and how it is scored."""

    similarity: Similarity = "cosine"  # of a patch with the sentence; "words": attention of its words
    tau: float | None = 0.1  # temperature of the position prior; None: the way knows no prior
    sigma: float = 1.5  # Gaussian filter, patches
    upsampling: Upsampling = "bilinear"
    scaled: bool = True  # the map scaled to [-1, 1] before thresholds
    on: Literal["film", "input"] = "film"  # scored on the film's pixels, or on the encoder's square input
    empty: Empty = "zero"  # what a map with nothing above the threshold scores
    maxima: Literal["share", "any"] = "share"  # pointing game with several hottest pixels

    def __post_init__(self) -> None:
        if self.tau is not None and not self.tau > 0:
            raise ConfigError(
                f"must be more than 0, not {self.tau:g}",
                where="tau",
                fix="The papers use 0.1 and 0.02; smaller values give few positions all the weight",
            )


_MACO: Final = {"similarity": "dot", "upsampling": "nearest", "on": "input", "empty": "undefined", "maxima": "any"}
PRESETS: Final[dict[str, GroundingRule]] = {
    "hilum": GroundingRule(),
    "maco-paper": GroundingRule(**_MACO, tau=0.1),  # type: ignore[arg-type]
    "maco-released": GroundingRule(**_MACO, tau=0.02),  # type: ignore[arg-type]
    "biovil": GroundingRule(tau=None, scaled=False, maxima="any"),
    "gloria": GroundingRule("words", tau=None),
}


def grounding_rule(preset: str) -> GroundingRule:
    """The rule of a preset.

    Raises:
        ConfigError: no such preset; the message lists them.
    """
    if preset not in PRESETS:
        raise unknown_name(preset, list(PRESETS), kind="preset", where="preset")
    return PRESETS[preset]


def similarities(patches: Tensor, sentences: Tensor, *, cosine: bool) -> Floats:
    """Similarity of every patch with every sentence.

    Args:
        patches: (P, E) of one film, row by row, in a square grid.
        sentences: (M, E).
        cosine: unit length on both sides.

    Returns:
        (M, S, S) with S * S = P.

    Raises:
        CheckpointError: P is not a square.
    """
    if cosine:
        patches, sentences = F.normalize(patches, dim=-1), F.normalize(sentences, dim=-1)
    side = grid_side(len(patches))
    found: Floats = (sentences @ patches.T).double().cpu().numpy().reshape(len(sentences), side, side)
    return found


def word_attention(patches: Tensor, words: Tensor, temperature: float = WORD_TEMPERATURE) -> Tensor:
    """GLoRIA's attention of words over patches: softmax over words first, times `temperature`, softmax over patches.

    Args:
        patches: (P, E) of one film, raw.
        words: (W, E) of one sentence, raw.
        temperature: the larger, the fewer patches.

    Returns:
        (W, P), each row summing to 1.
    """
    return torch.softmax(torch.softmax(words @ patches.T, dim=0) * temperature, dim=1)


def word_map(patches: Tensor, words: Tensor) -> Floats:
    """Mean attention of a sentence's words (W, E) over the patches (P, E) of one film: (S, S)."""
    side = grid_side(len(patches))
    found: Floats = word_attention(patches, words).mean(dim=0).double().cpu().numpy().reshape(side, side)
    return found


def grid_side(patches: int) -> int:
    """S of a square grid of S * S patches.

    Raises:
        CheckpointError: not a square number.
    """
    side = isqrt(patches)
    if side * side != patches:
        raise CheckpointError(
            f"the encoder gives {patches} patch vectors, which is no square grid",
            where="encoder",
            fix="Grounding needs an encoder of square films",
        )
    return side


def position_prior(weights: Tensor, tau: float) -> Floats:
    """MaCo's importance of each position: softmax(w / tau) over the patches, (P,) -> (S, S), summing to 1."""
    side = grid_side(weights.numel())
    found: Floats = torch.softmax(weights.detach().flatten().double().cpu() / tau, dim=0).numpy().reshape(side, side)
    return found


def centre_prior(side: int) -> Floats:
    """A map that knows nothing but where the middle of a film is: a Gaussian of a quarter of the film, (S, S)."""
    place = (np.arange(side) + 0.5) / side - 0.5
    line = np.exp(-(place**2) / (2 * 0.25**2))
    found: Floats = line[:, None] * line[None]
    return found


def smooth(grids: Floats, sigma: float) -> Floats:
    """Gaussian filter of each map, (M, S, S); reflected at the edges."""
    found: Floats = gaussian_filter(grids, sigma=(0, sigma, sigma)) if sigma > 0 else grids
    return found


def upsample(grids: Floats, height: int, width: int, how: Upsampling) -> Floats:
    """(M, S, S) -> (M, height, width)."""
    grown = F.interpolate(
        torch.from_numpy(grids)[:, None],
        size=(height, width),
        mode=how,
        align_corners=False if how == "bilinear" else None,
    )
    found: Floats = grown[:, 0].numpy()
    return found


def on_film(
    grids: Floats, shape: tuple[int, int], resize: Resize, how: Upsampling = "bilinear", *, seen: float = 1.0
) -> Floats:
    """Lay maps over the film they were made from, undoing how it became the encoder's square input.

    Args:
        grids: (M, S, S).
        shape: (H, W) of the film.
        resize: the rule of the encoder's preprocessing record.
        how: between patches.
        seen: side of the centre crop as a share of what was resized, `Preprocessing.seen` (BioViL: 480 / 512).

    Returns:
        (M, H, W); NaN where the encoder did not see the film.
    """
    height, width = shape
    whole = {"squeeze": shape, "pad": (max(shape),) * 2}.get(resize, (min(shape),) * 2)
    rows, columns = (int(seen * side) for side in whole)
    grown = upsample(grids, rows, columns, how)
    found = np.full((len(grids), height, width), np.nan)
    (down, above), (across, beside) = _middles(height, rows), _middles(width, columns)
    found[:, down, across] = grown[:, above, beside]
    return found


def _middles(film: int, seen: int) -> tuple[slice, slice]:
    """Where a film's side and what was seen of it overlap about their middle: on the film, on what was seen."""
    if seen <= film:
        start = (film - seen) // 2
        return slice(start, start + seen), slice(0, seen)
    start = (seen - film) // 2
    return slice(0, film), slice(start, start + film)


def boxes_on_input(boxes: Floats, shape: tuple[int, int], size: int, resize: Resize) -> Floats:
    """Boxes in pixels of the encoder's square input, floored as in MaCo's evaluation.

    Args:
        boxes: (B, 4) left, top, width, height in pixels of the film.
        shape: (H, W) of the film.
        size: pixels a side of the input.
        resize: how the film became square.

    Returns:
        (B, 4) whole numbers.
    """
    height, width = shape
    down = across = size / (max if resize == "pad" else min)(height, width)
    left = top = 0.0
    if resize == "squeeze":
        down, across = size / height, size / width
    else:
        left, top = (np.floor((size - np.floor(side * down)) / 2) for side in (width, height))
    scaled = boxes * np.array([across, down, across, down])
    found: Floats = np.floor(scaled) + np.array([left, top, 0, 0])
    return found


def box_mask(boxes: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """True inside any of the boxes (B, 4); edges at the nearest pixel, parts outside the picture cut off."""
    mask = np.zeros(shape, bool)
    for left, top, width, height in boxes:
        ends = [round(max(0.0, float(end))) for end in (left, left + width, top, top + height)]
        mask[ends[2] : ends[3], ends[0] : ends[1]] = True
    return mask
