"""What a report says of one finding: the sentences that affirm it, and the sides and zones they name.

Simple rules, meant for choosing query sentences and for weak labels, not for labelling: a sentence affirms a finding
when it contains one of its terms with no word of denial before it in the same clause. Hedged sentences ("possible
effusion") count as affirmed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from hilum.transforms.text import split_sections, split_sentences

Side = Literal["left", "right"]
Zone = Literal["upper", "middle", "lower"]

SIDE_WORDS: dict[str, tuple[Side, ...]] = {
    "left": ("left",),
    "right": ("right",),
    "bilateral": ("left", "right"),
    "bilaterally": ("left", "right"),
    "both": ("left", "right"),
    "bibasilar": ("left", "right"),
}
ZONE_WORDS: dict[str, Zone] = {
    "upper": "upper",
    "apical": "upper",
    "apex": "upper",
    "apices": "upper",
    "middle": "middle",
    "mid": "middle",
    "lower": "lower",
    "base": "lower",
    "bases": "lower",
    "basal": "lower",
    "basilar": "lower",
    "bibasilar": "lower",
}
_DENIAL = re.compile(r"\b(?:no|without|not|negative for|free of|absence of|clear of|resolved)\b", re.IGNORECASE)
_CLAUSE = re.compile(r";|\bbut\b|\bhowever\b", re.IGNORECASE)  # a comma may go on denying: "no effusion, mass or edema"


class Place(NamedTuple):
    """One place named in a text."""

    side: Side | None  # of the patient
    zone: Zone | None

    def __str__(self) -> str:
        return " ".join(word for word in self if word)


def affirming_sentences(report: str, terms: Iterable[str]) -> list[str]:
    """The sentences of a report that affirm a finding, in order, headings removed, each once.

    Args:
        report: the text, with or without headings.
        terms: words by which the finding is named, matched as whole words in any case.
    """
    names = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(terms, key=len, reverse=True)))})\b", re.IGNORECASE)
    found = []
    for section in split_sections(report).values():
        found += [sentence for sentence in split_sentences(section) if _affirms(sentence, names)]
    return list(dict.fromkeys(found))


def sides_of(text: str) -> frozenset[Side]:
    """The sides named in a text: {"left"}, {"right"}, both, or none."""
    return frozenset(side for word in _words(text) for side in SIDE_WORDS.get(word, ()))


def places_of(text: str) -> list[Place]:
    """The places named in a text, clause by clause: "right upper field, left effusion" names two.

    A zone without a side, or a side without a zone, is a place; a clause with neither names none. "Bilateral" gives one
    place a side.
    """
    found: list[Place] = []
    for clause in re.split(r"[;,.]|\band\b|\bwith\b", text.lower()):
        words = _words(clause)
        sides: list[Side | None] = [side for word in words for side in SIDE_WORDS.get(word, ())]
        zones: list[Zone | None] = [ZONE_WORDS[word] for word in words if word in ZONE_WORDS]
        found += [Place(side, zone) for side in sides or [None] for zone in zones or [None] if side or zone]
    return list(dict.fromkeys(found))


def _affirms(sentence: str, names: re.Pattern[str]) -> bool:
    """Whether a name stands in the sentence without a denial before it in its clause.

    "No effusion or pneumothorax" is one clause and denies both; "no effusion, but a nodule" affirms the nodule.
    """
    clauses = _CLAUSE.split(sentence)
    return any(not _DENIAL.search(clause[: match.start()]) for clause in clauses for match in names.finditer(clause))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
