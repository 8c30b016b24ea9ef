"""Terms: which words of a report name anatomy, findings, devices or places.

A term has one or more words and is found in singular and plural, the longest first. The list that ships with the
package is our own; a MeSH list of the user's can take its place. MedIM's released rule (single words, letter for
letter) is kept for comparison: it misses plurals and every term of two words.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from hilum.errors import ConfigError

Rule = Literal["phrases", "released"]

_TOKEN = re.compile(r"[^\W_]+")
_FIX = "Give a text file with one term a line, or a CSV with a column 'term'"
# (ending of the singular, endings of its plurals): English, then the Latin and Greek of anatomy
_PLURALS = (
    ("y", ("ies",)),
    ("x", ("xes",)),
    ("s", ("ses",)),
    ("ch", ("ches",)),
    ("sh", ("shes",)),
    ("sis", ("ses",)),
    ("us", ("i",)),
    ("um", ("a",)),
    ("on", ("a",)),
    ("a", ("ae", "ata")),
    ("ax", ("aces",)),
    ("ex", ("ices",)),
    ("ix", ("ices",)),
    ("nx", ("nges",)),
    ("", ("s",)),
)


class Terms:
    """A word list that finds its terms in reports.

    Args:
        entries: the terms; case, hyphens and punctuation do not matter.
        rule: "phrases": terms of any number of words, singular and plural, longest first. "released": only entries of
            one word, matched letter for letter (lower case), as MedIM's code does.

    Raises:
        ConfigError: no usable entry.
    """

    def __init__(self, entries: Iterable[str], *, rule: Rule = "phrases") -> None:
        self.rule = rule
        listed = sorted({" ".join(entry.lower().split()) for entry in entries} - {""})
        if rule == "released":
            phrases = [(entry,) for entry in listed if " " not in entry]
        else:
            phrases = [tuple(_TOKEN.findall(entry)) for entry in listed]
        phrases = [phrase for phrase in phrases if phrase]
        if not phrases:
            raise ConfigError("the word list has no usable term", where="terms", fix=_FIX)
        self._base = _bases({word for phrase in phrases for word in phrase}) if rule == "phrases" else {}
        unified = {tuple(self._base.get(word, word) for word in phrase) for phrase in phrases}
        self._by_first: dict[str, list[tuple[str, ...]]] = {}
        for phrase in sorted(unified, key=lambda phrase: (-len(phrase), phrase)):
            self._by_first.setdefault(phrase[0], []).append(phrase)

    @classmethod
    def read(cls, path: str | Path, *, rule: Rule = "phrases") -> Terms:
        """Read a list: a CSV with a column `term`, or text with one entry a line; lines that start with # are comments.

        A line with commas is a MeSH heading: "Carcinoma, Bronchogenic" is "bronchogenic carcinoma"; under the released
        rule each of its parts is an entry of its own.

        Raises:
            ConfigError: absent, not text, or without a usable term.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ConfigError(f"cannot be read ({error.strerror})", where=str(path), fix=_FIX) from error
        except UnicodeDecodeError as error:
            raise ConfigError("is not UTF-8 text", where=str(path), fix=_FIX) from error
        return cls(_entries(text, rule), rule=rule)

    @classmethod
    def english(cls) -> Terms:
        """Our own list of chest radiology, loaded once."""
        return _english()

    def __len__(self) -> int:
        return sum(map(len, self._by_first.values()))

    def find(self, words: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Mark the words that belong to a term.

        Args:
            words: W words in order; a hyphenated word counts as its parts, a word of signs alone ends a phrase.

        Returns:
            (W,) bool.
        """
        found = np.zeros(len(words), dtype=bool)
        if self.rule == "released":
            found[:] = [word.lower() in self._by_first for word in words]
            return found
        tokens, owners = self._tokens(words)
        position = 0
        while position < len(tokens):
            step = 1
            for phrase in self._by_first.get(tokens[position], ()):
                if len(phrase) == 1 or tuple(tokens[position : position + len(phrase)]) == phrase:
                    step = len(phrase)
                    found[owners[position] : owners[position + step - 1] + 1] = True
                    break
            position += step
        return found

    def _tokens(self, words: Sequence[str]) -> tuple[list[str], list[int]]:
        """The parts of all words in the form that the list uses, and the word each part belongs to."""
        tokens: list[str] = []
        owners: list[int] = []
        for number, word in enumerate(words):
            word = word.lower()
            parts = (word,) if word.isalnum() else (_TOKEN.findall(word) or ("",))
            for part in parts:
                tokens.append(self._base.get(part, part))
                owners.append(number)
        return tokens, owners


@cache
def _english() -> Terms:
    text = files("hilum.transforms.text").joinpath("terms_en.txt").read_text(encoding="utf-8")
    return Terms(_entries(text, "phrases"))


def _entries(text: str, rule: Rule) -> Iterator[str]:
    """The terms that the text of a list names."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    header = [name.strip().lower() for name in lines[0].split(",")] if lines else []
    if "term" in header:
        column = header.index("term")
        yield from (row[column] for row in csv.reader(lines[1:]) if len(row) > column)
        return
    for line in lines:
        parts = [part.strip() for part in line.split(",") if part.strip()]
        if rule == "released":
            yield from parts
        else:
            yield " ".join(reversed(parts))


def _bases(words: Iterable[str]) -> dict[str, str]:
    """Every singular and plural form of the listed words -> one form that stands for all of them."""
    base: dict[str, str] = {}
    for word in sorted(words):
        forms = _forms(word)
        stands = base.get(word, word)
        for form in (word, *forms):
            base.setdefault(form, stands)
    return base


def _forms(word: str) -> list[str]:
    """Plurals of a singular and singulars of a plural; some are no words, which does no harm."""
    if len(word) < 3 or not word.isalpha():
        return []
    forms = []
    for singular, plurals in _PLURALS:
        if word.endswith(singular):
            forms += [word[: len(word) - len(singular)] + plural for plural in plurals]
        for plural in plurals:
            stem = word.removesuffix(plural)
            sure = plural == "i" or len(plural) > 1 or (plural == "s" and _is_plural(word))
            if sure and stem != word and len(stem) >= (2 if len(plural) > 2 else 3):
                forms.append(stem + singular)
    return forms


def _is_plural(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
