"""Sections: which part of a report is what the radiologist saw, concluded, or was told.

Reports name their parts in many ways: `FINDINGS:` at a line's start or in the middle of one long line, `Findings`
alone on a line, `Reason for Exam:` for the indication, `CONCLUSION` for the impression. Every character of the text
belongs to exactly one section, so nothing is lost: what stands before the first heading is the `preamble`, and a
report without any heading is one section named `report`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

REPORT = "report"  # a text without headings, whole
PREAMBLE = "preamble"  # what stands before the first heading
FINDINGS, IMPRESSION, BOTH = "findings", "impression", "findings_impression"

# canonical name -> how reports spell it; lower case, `s?` and the like are regular expressions
HEADINGS: dict[str, tuple[str, ...]] = {
    BOTH: (r"findings?(?: and |\s?[/&,]\s?)impressions?", r"impressions?(?: and |\s?[/&,]\s?)findings?"),
    FINDINGS: (
        r"(?:(?:other|additional|incidental|radiographic|radiological|chest|final) )?findings?",
        r"observations?",
        r"description",
    ),
    IMPRESSION: (
        r"(?:(?:final|overall) )?impressions?",
        r"conclusions?",
        r"summary",
        r"opinion",
        r"interpretation",
        r"(?:final )?diagnosis",
        r"assessment",
    ),
    "indication": (
        r"(?:clinical )?indications?(?: for (?:exam(?:ination)?|study))?",
        r"reason for(?: the| this)? (?:exam(?:ination)?|study|visit|consultation)",
        r"clinical (?:information|info|data|question|details)",
    ),
    "history": (
        r"(?:(?:clinical|patient|medical|brief|relevant|past medical) )?history",
        r"(?:underlying )?medical condition",
    ),
    "comparison": (
        r"comparisons?(?: (?:to|with|exam(?:ination)?s?|stud(?:y|ies)|films?|radiographs?|dates?))?",
        r"(?:prior|previous) (?:exam(?:ination)?s?|stud(?:y|ies)|films?|radiographs?|reports?)",
    ),
    "technique": (r"techniques?", r"(?:technical )?protocol", r"procedure comments", r"views?"),
    "examination": (
        r"(?:(?:type of|reference) )?exam(?:ination)?(?: type)?",
        r"study(?: type)?",
        r"procedure",
    ),
    "date": (r"(?:exam(?:ination)? |study )?date(?: of (?:exam(?:ination)?|study|service))?",),
    "recommendation": (r"recommendations?(?:\s?\(s\))?", r"follow(?: |-)?up"),
    "wet_read": (
        r"wet reads?",
        r"prelim(?:inary)?(?: (?:read|report|findings|impression|interpretation))?",
        r"pfi",
    ),
    "notification": (r"notifications?", r"communications?", r"critical results?", r"discussion"),
    "addendum": (r"addendum(?: \d+)?", r"addenda"),
}
SECTIONS = tuple(name for name in HEADINGS if name != BOTH)

# "PA AND LATERAL CHEST:" names the film, and in old reports it is all the heading that the findings have.
_VIEW = r"single|one|two|three|frontal|lateral|ap|pa|and|upright|supine|erect|semi-?erect|portable|bedside|views?|of|\d"
_FILM = rf"(?:(?:{_VIEW})[ ,/&-]{{1,3}}){{0,8}}chest(?:[ ,/&-]{{1,3}}(?:{_VIEW}|x-?rays?|radiographs?|films?)){{0,8}}"
_SPACE = r"[ \t]+"
_NAMES = "|".join(f"(?P<{name}>{'|'.join(spellings).replace(' ', _SPACE)})" for name, spellings in HEADINGS.items())
# How all of the above begin: most words of a report fail here, before a hundred spellings are tried.
_BEGINS = (
    r"fi|im|ob|de|ot|ad|in|ra|che|ov|co|su|op|di|as|cl|re|pa|me|br|his|un|pr|te|vi|ty|ex|st|da|fo|we|pf|no|cr"
    r"|si|on|tw|th|fr|la|ap|and|up|er|se|po|be|of|\d"
)
_HEADING = re.compile(
    rf"(?<![^\s.;,:!?)\]*_#>-])(?={_BEGINS})(?:{_NAMES}|(?P<film>{_FILM}))"
    r"(?P<aside>[ \t]*\([^()\n]{0,60}\))?[*_]{0,2}[ \t]*"
    r"(?:(?P<colon>:[*_]{0,2})|(?P<dash>[-–—](?=[ \t\n]))|(?P<alone>(?=\r?\n|\Z)))"
)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)  # keeps every position; far faster than a pattern of any case
_MARK = re.compile(r"[:\n–—]|-\s")  # no heading without one of these
_LAYOUT = " \t\r>*#_-•·0123456789.)("  # what may stand before a heading at a line's start


@dataclass(frozen=True)
class Section:
    """One section of a text; `text[start:end]` of all sections in order is the text."""

    name: str  # a key of HEADINGS, PREAMBLE or REPORT
    start: int  # where its heading starts
    body: int  # where the heading (with its colon) has ended
    end: int


def find_sections(text: str) -> list[Section]:
    """Cut a report at its headings.

    A heading is a known name that stands (1) at a line's start, in any case, with a colon; (2) anywhere, capitalised,
    with a colon; (3) behind the end of a sentence, in any case, with a colon; (4) capitalised and alone on a line;
    (5) in capitals at a line's start, with a dash. "PA AND LATERAL CHEST:" in capitals at a line's start opens the
    findings if nothing else does. A sub-heading such as "LUNGS:" is not known and stays inside its section.

    Returns:
        Sections in order, without gaps or overlaps; [] for the empty text.
    """
    if not text:
        return []
    found = list(_headings(text)) if _MARK.search(text) else []
    if not found:
        return [Section(REPORT, 0, 0, len(text))]
    has_findings = any(name in (FINDINGS, BOTH) for name, _, _ in found)
    of_film = "examination" if has_findings else FINDINGS
    ends = [start for _, start, _ in found[1:]] + [len(text)]
    sections = [
        Section(of_film if name == "film" else name, start, body, end)
        for (name, start, body), end in zip(found, ends, strict=True)
    ]
    first = sections[0].start
    return [Section(PREAMBLE, 0, 0, first), *sections] if first else sections


def split_sections(text: str) -> dict[str, str]:
    """The sections of a report by name, headings removed, sections of one name joined by a newline.

    Returns:
        name -> text without outer spaces, in order of first appearance: names are `SECTIONS`, `findings_impression`
        for a section that is both, `preamble` (only if it says something), or `report` alone for a text without
        headings.
    """
    parts: dict[str, list[str]] = {}
    for section in find_sections(text):
        body = text[section.body : section.end].strip()
        if body or section.name not in (PREAMBLE, REPORT):
            parts.setdefault(section.name, []).append(body)
    return {name: "\n".join(body for body in bodies if body) for name, bodies in parts.items()}


def choose_sections(parts: dict[str, str], chosen: Sequence[str]) -> str:
    """The chosen sections of a split report in the order given, one a line; a section that is both counts as either.

    A report without headings cannot be divided and is returned whole.

    Returns:
        The text; "" if the report has headings but none of the chosen sections.
    """
    if set(parts) <= {REPORT}:
        return parts.get(REPORT, "")
    names = [name if parts.get(name) else BOTH if name in (FINDINGS, IMPRESSION) else name for name in chosen]
    return "\n".join(parts[name] for name in dict.fromkeys(names) if parts.get(name))


def _headings(text: str) -> Iterator[tuple[str, int, int]]:
    """(name, start, end) of every heading; a bullet or number before it belongs to it."""
    position, lower = 0, text.translate(_LOWER)
    while match := _HEADING.search(lower, position):
        name = next(name for name in (*HEADINGS, "film") if match[name] is not None)
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        first_in_line = not before.strip(_LAYOUT)
        words = text[slice(*match.span(name))]
        if _is_heading(match, words, name == "film", before, first_in_line):
            yield name, match.start() - (len(before) if first_in_line else 0), match.end()
            position = match.end()
        else:  # "seen in the chest FINDINGS:" is no heading, its last word is
            position = match.start() + 1


def _is_heading(match: re.Match[str], words: str, is_film: bool, before: str, first_in_line: bool) -> bool:
    """Whether what looks like a heading is one, from its case and what stands before it in its line."""
    if is_film:
        return first_in_line and words.isupper() and match["colon"] is not None
    if match["colon"] is not None:
        behind_sentence = before.rstrip()[-1:] in (".", ";", "!", "?")
        return first_in_line or words[0].isupper() or behind_sentence
    if match["dash"] is not None:
        return first_in_line and words.isupper()
    return first_in_line and (words.isupper() or words.istitle())
