"""What MedIM asks of a film and its report: an augmented view, word pieces, terms, one sentence, and noise for masks.

All draws are made here, from the sample's own generator, so the same film of the same epoch is masked alike on any
number of devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from hilum.methods.medim.config import Config
from hilum.schema import IMAGE, MASK_NOISE, TOKEN_MASK, TOKENS
from hilum.transforms.text.preparations import prepare_medim, prepare_tidy
from hilum.transforms.text.terms import Terms
from hilum.transforms.text.wordpiece import WordPiece
from hilum.transforms.views import Box, as_image, crop_resize

PIECE_WORDS: Final = "piece_words"  # (B, T) int64: number of the word each piece belongs to, -1 for none
TERM_WORDS: Final = "term_words"  # (B, T) bool, by word: belongs to a term
SENTENCE_WORDS: Final = "sentence_words"  # (B, T) bool, by word: belongs to the sentence drawn

BLUR: Final = (0.1, 2.0)  # range of the standard deviation, pixels (SimCLR)
LONG_SENTENCE: Final = 3  # sentences of more words are preferred


@dataclass(frozen=True)
class FilmDraw:
    """The numbers behind one view of a film."""

    box: Box
    brightness: float  # factor
    contrast: float  # factor about the mean grey
    blur: float  # standard deviation in pixels; 0 for none


@dataclass(frozen=True)
class MedIMViews:
    """The transform a training film and its report go through."""

    config: Config
    tokenizer: WordPiece
    cells: int  # P of the feature map

    def __call__(self, film: np.ndarray, rng: np.random.Generator, text: str) -> dict[str, Tensor]:
        """Film (H, W) uint8 and report -> named tensors.

        Returns:
            `image` (1, S, S) uint8, `mask_noise` (2, P) float32, `tokens`, `token_mask`, `piece_words` (T,) int64,
            `term_words`, `sentence_words` (T,) bool.
        """
        square = pad_square(film) if self.config.framing == "pad" else film
        pixels = apply_film_draw(square, self.draw(rng, *square.shape), self.config.image_size)
        noise = rng.random((2, self.cells), dtype=np.float32)
        return {IMAGE: as_image(pixels), MASK_NOISE: torch.from_numpy(noise), **self.read(text, rng)}

    def draw(self, rng: np.random.Generator, height: int, width: int) -> FilmDraw:
        """Draw the numbers of one view of a film of height x width pixels."""
        config = self.config
        side = rng.uniform(*config.crop)
        left, top = rng.uniform(0, 1 - side, 2)
        jittered = rng.random() < config.jitter_chance
        brightness, contrast = rng.uniform(1 - config.jitter, 1 + config.jitter, 2) if jittered else (1.0, 1.0)
        blur = rng.uniform(*BLUR) if rng.random() < config.blur_chance else 0.0
        box = (
            round(left * width),
            round(top * height),
            max(round((left + side) * width), round(left * width) + 1),
            max(round((top + side) * height), round(top * height) + 1),
        )
        return FilmDraw(box, float(brightness), float(contrast), float(blur))

    def read(self, text: str, rng: np.random.Generator) -> dict[str, Tensor]:
        """A report as word pieces, with its terms and one sentence marked, by word."""
        words, sentences = (prepare_medim if self.config.preparation == "medim" else prepare_tidy)(text)
        if self.config.sentences == "some" and words:
            words, sentences = draw_some(words, sentences, rng)
        pieces = self.tokenizer.encode(words, self.config.length)
        kept = int(pieces.words.max()) + 1
        marked = np.zeros((2, self.config.length), dtype=bool)
        marked[0, :kept] = terms_of(self.config).find(words)[:kept]
        marked[1, :kept] = draw_sentence(np.array(sentences[:kept], dtype=np.int64), rng.random())
        return {
            TOKENS: torch.from_numpy(pieces.ids),
            TOKEN_MASK: torch.from_numpy(pieces.mask),
            PIECE_WORDS: torch.from_numpy(pieces.words),
            TERM_WORDS: torch.from_numpy(marked[0]),
            SENTENCE_WORDS: torch.from_numpy(marked[1]),
        }


def draw_some(words: list[str], sentences: list[int], rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """The words of a random number of sentences, from one to all alike, in their order.

    Args:
        words: W words.
        sentences: number of the sentence of each, from 0 without gaps.
        rng: draws how many, then which.
    """
    count = sentences[-1] + 1
    kept = set(rng.permutation(count)[: int(rng.integers(1, count + 1))].tolist())
    chosen = [place for place, sentence in enumerate(sentences) if sentence in kept]
    return [words[place] for place in chosen], [sentences[place] for place in chosen]


def draw_sentence(sentences: npt.NDArray[np.int64], draw: float) -> npt.NDArray[np.bool_]:
    """Choose a sentence, one of more than three words where there is one.

    Args:
        sentences: (W,) number of the sentence of each word that is read.
        draw: in [0, 1).

    Returns:
        (W,) bool, the words of the chosen one; nothing for no words.
    """
    numbers, lengths = np.unique(sentences, return_counts=True)
    if not len(numbers):
        return np.zeros(0, dtype=bool)
    among = numbers[lengths > LONG_SENTENCE] if (lengths > LONG_SENTENCE).any() else numbers
    chosen: npt.NDArray[np.bool_] = sentences == among[int(draw * len(among))]
    return chosen


_LISTS: dict[tuple[str, str], Terms] = {}  # (file, rule) -> terms, read once a process


def terms_of(config: Config) -> Terms:
    """The word list that a configuration names."""
    key = (config.term_list, config.term_rule)
    if key not in _LISTS:
        ours = Path(str(files("hilum.transforms.text").joinpath("terms_en.txt")))
        _LISTS[key] = Terms.read(config.term_list or ours, rule=config.term_rule)
    return _LISTS[key]


def pad_square(film: np.ndarray) -> np.ndarray:
    """A film (H, W) uint8 in the middle of a black square of its longer side."""
    height, width = film.shape
    side = max(height, width)
    square = np.zeros((side, side), dtype=np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = film
    return square


def apply_film_draw(film: np.ndarray, draw: FilmDraw, size: int) -> np.ndarray:
    """Crop and resize, then regrade and blur: film (H, W) uint8 -> (size, size) uint8."""
    pixels = crop_resize(film, draw.box, size)
    if draw.brightness != 1.0 or draw.contrast != 1.0:
        mean = float(pixels.mean()) * draw.brightness
        levels = (np.arange(256) * draw.brightness - mean) * draw.contrast + mean
        pixels = np.rint(levels).clip(0, 255).astype(np.uint8)[pixels]
    if draw.blur:
        pixels = np.array(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(draw.blur)))
    return pixels
