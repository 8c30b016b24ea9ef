"""Language: how much of some reports our English word lists know, to warn when they know little.

The terms alone do not tell: half of them are Latin that every language shares, and a note on a patient's history has
few. Together with the common words of English reports they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

from hilum.transforms.text.terms import Terms

FOREIGN: Final = 0.6  # a larger share of unknown words is hardly English; docs/reports.md has measured shares

_WORD = re.compile(r"[^\W\d_]+|\.")
_BLANK = re.compile(r"[xX]{4,}")


def unknown_words(texts: Iterable[str]) -> float:
    """Share of the words that are neither part of an English term of radiology nor common in English reports.

    Numbers, signs and blanks of de-identification do not count.

    Args:
        texts: reports; a few hundred are enough.

    Returns:
        0 to 1; 0 for no words at all. Above `FOREIGN` a warning is due.
    """
    terms, common = Terms.english(), _common()
    unknown = total = 0
    for text in texts:
        words = [word for word in _WORD.findall(text) if not _BLANK.fullmatch(word)]
        for word, is_term in zip(words, terms.find(words), strict=True):
            total += word != "."
            unknown += word != "." and not is_term and word.lower() not in common
    return unknown / total if total else 0.0


@cache
def _common() -> frozenset[str]:
    lines = files("hilum.transforms.text").joinpath("common_en.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
