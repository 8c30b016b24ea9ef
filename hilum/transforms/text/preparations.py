"""Preparations: how a method's paper turned a report into the text that its encoder reads.

Each takes the text (the sections were chosen before) and a generator of random numbers, or None where the result must
not vary: for validation, prompts and queries.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from hilum.transforms.text.sentences import is_boilerplate, is_empty, split_sentences

Preparation = Callable[[str, np.random.Generator | None], str]

_WORD = re.compile(r"\w+")
_NUMBERED = re.compile(r"[0-9]+\.|\.")


def as_it_is(text: str, rng: np.random.Generator | None = None) -> str:
    """MRM: the report as written, headings and all; nothing is drawn."""
    del rng
    return text


def prepare_maco(text: str, rng: np.random.Generator | None = None) -> str:
    """MaCo: pieces between full stops, shuffled, a random number of them kept, in lower case.

    The number is uniform from 1 to all; pieces that are empty or "none" are dropped after the draw, and when nothing
    is left the text's first piece stands in. Decimals are torn apart (0.5), as in the released code. Without a
    generator every piece is kept, in order.

    Args:
        text: any text.
        rng: what shuffles and draws; None for neither.

    Returns:
        "piece. piece." in lower case; "" for a text without any piece.
    """
    pieces = [piece.strip() for piece in text.split(".")]
    kept = pieces
    if rng is not None:
        kept = [pieces[i] for i in rng.permutation(len(pieces))][: int(rng.integers(1, len(pieces) + 1))]
    said = [piece for piece in kept if piece and piece.lower() != "none"]
    said = said or [piece for piece in pieces if piece][:1]
    return " ".join(f"{piece}." for piece in said).lower()


def prepare_medim(text: str) -> tuple[list[str], list[int]]:
    r"""MedIM (and MGCA): the words of a report without punctuation, and the sentence of each.

    Sentences end at a full stop or a list number; sentences of one word are dropped, and so are all letters that are
    not ASCII. Words are runs of \w, lower case.

    Returns:
        W words and W sentence numbers from 0 without gaps; both empty if fewer than three words remain.
    """
    words: list[str] = []
    sentence: list[int] = []
    for part in _NUMBERED.split(" ".join(text.split()).lower()):
        found = _WORD.findall(part)
        if len(found) > 1:
            _add_sentence([word.encode("ascii", "ignore").decode() for word in found], words, sentence)
    return (words, sentence) if len(words) >= 3 else ([], [])


def medim_text(text: str, rng: np.random.Generator | None = None) -> str:
    """The words of `prepare_medim`, one space between them; nothing is drawn."""
    del rng
    return " ".join(prepare_medim(text)[0])


def prepare_tidy(text: str) -> tuple[list[str], list[int]]:
    """Our own: the words of true sentences (decimals and abbreviations whole), of any script, and their sentences.

    Lines about the report rather than the film (signatures, who was told) and blanks of de-identification are left out.

    Returns:
        W words in lower case and W sentence numbers from 0 without gaps.
    """
    words: list[str] = []
    sentence: list[int] = []
    for part in tidy_sentences(text):
        found = _WORD.findall(re.sub(r"_+|\bX{4,}\b", " ", part).lower())
        _add_sentence(found, words, sentence)
    return words, sentence


def tidy_words(text: str, rng: np.random.Generator | None = None) -> str:
    """The words of `prepare_tidy`, one space between them; nothing is drawn."""
    del rng
    return " ".join(prepare_tidy(text)[0])


def tidy_sentences(text: str) -> list[str]:
    """The sentences of a text that speak of the film."""
    return [part for part in split_sentences(text) if not is_boilerplate(part) and not is_empty(part)]


def tidy_text(text: str, rng: np.random.Generator | None = None) -> str:
    """Our own: the sentences that speak of the film, as written and in order; a generator shuffles them."""
    kept = tidy_sentences(text)
    if rng is not None:
        kept = [kept[i] for i in rng.permutation(len(kept))]
    return " ".join(part if part[-1] in ".!?" else f"{part}." for part in kept)


def prepare_clip(text: str, rng: np.random.Generator | None = None) -> str:
    """CLIP and BiomedCLIP: HTML entities resolved (twice, as released), one space between words; nothing is drawn."""
    del rng
    return " ".join(html.unescape(html.unescape(text)).split())


def prepare_cxr_bert(text: str, rng: np.random.Generator | None = None) -> str:
    """BioViL: the text without the marks that end it (! ? .), as its inference code does; nothing is drawn."""
    del rng
    return text.rstrip("!?.")


def prepare_gloria(text: str, rng: np.random.Generator | None = None) -> str:
    r"""GLoRIA: the words (runs of \w) of all sentences in lower case, ASCII letters alone; nothing is drawn.

    Sentences end at a full stop or a list number, and those of one word are dropped. Departure: where every sentence
    has one word they are kept, since a query of one word would be an empty text.
    """
    del rng
    parts = [_WORD.findall(part) for part in _NUMBERED.split(text.lower())]
    said = [part for part in parts if len(part) > 1] or parts
    words = [word.encode("ascii", "ignore").decode() for part in said for word in part]
    return " ".join(word for word in words if word)


def _add_sentence(found: list[str], words: list[str], sentence: list[int]) -> None:
    """Append the words of one sentence that are not empty, under the next number."""
    number = sentence[-1] + 1 if sentence else 0
    said = [word for word in found if word]
    words += said
    sentence += [number] * len(said)


PREPARATIONS: Final[Mapping[str, Preparation]] = {
    "mrm": as_it_is,
    "maco": prepare_maco,
    "medim": medim_text,
    "tidy": tidy_text,
    "tidy words": tidy_words,
    "clip": prepare_clip,
    "biomedclip": prepare_clip,
    "cxr-bert": prepare_cxr_bert,
    "gloria": prepare_gloria,
}
