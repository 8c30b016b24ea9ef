"""Sentences: where one ends, which say nothing about the film, and which speak of an earlier one.

A full stop ends a sentence unless it belongs to a number (0.5 cm), an abbreviation (Dr., vs., a.m.) or a list number
(1. 2.). A single newline is layout, not an end; a blank line, a new list item and a section heading are ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hilum.transforms.text.sections import find_sections

# A sentence goes on behind these; behind those of the second set it ends only before a capital or a list number.
_GOES_ON = re.compile(r"drs?|mrs?|ms|prof|st|vs|approx|ca|cf|e\.?g|i\.?e|figs?|resp|incl|excl|avg|viz|pt")
_MAY_END = re.compile(r".|.*\..*|am|pm|etc|md|rn|cm|mm|in|ft|jr|sr|inc|ed|dept|est|max|min|nos|hrs?|sec")
_ITEM = r"[ \t]*(?:\(?\d{1,2}[.)]|[-*•])\s"
_STOP = re.compile(
    rf"""(?P<stop>[.!?]+)["')\]]*(?=\s|$)      # a stop sign before white space
    | (?<=[a-zX_])\.(?=[A-Z][a-z])             # a full stop whose space was forgotten
    | \n[ \t]*\n\s*                            # a blank line
    | \n(?={_ITEM})                            # a list item on a line of its own
    | (?<=[:;])\s+(?=\d{{1,2}}\.\s)            # the first item of a list within the line""",
    re.VERBOSE,
)
_LEAD = re.compile(rf"\A\s*(?:{_ITEM})?")  # never fails, so long runs of white space cost nothing
_LAST_WORD = re.compile(r"[^\s(\[\"']+$")
_MAY_BE_EMPTY = re.compile(r"(?:none|na?|nil|null|nan|unknown|x{4,}|not|as|see)\b|$", re.IGNORECASE)
_NOTHING = (
    r"(?:none|n a|na|nil|null|nan|unknown|x{4,}|not (?:available|given|provided|applicable|stated)|as above|see above)"
)
_EMPTY = re.compile(rf"(?:{_NOTHING}(?: {_NOTHING})*)?")
_WORD = re.compile(r"[^\W_]+")
_BOILERPLATE = re.compile(
    r"""electronically\ (?:signed|verified|approved)
    | \b(?:dictated|signed|verified|transcribed|approved)\ (?:by|on|at)\b
    | \b(?:finali[sz]ed|preliminary|final)\ report\b | \bend\ of\ (?:report|impression)\b | \bpage\ \d+\ of\ \d+
    | \bi\ have\ (?:personally\ )?reviewed\b | \battending\ (?:radiologist|physician)\ (?:has|agrees)\b
    | \b(?:discussed|communicated|relayed|conveyed|telephoned|phoned|paged|e-?mailed|reported|called)\b
      .{0,40}\b(?:with|to|by|via)\b.{0,40}(?:\bdr\b|\bdoctor|\bphysician|\bphone|\btelephone|\bteam\b|\bnurse|\bpager?\b|_{2,}|\bx{4}\b)
    | \bwas\ (?:notified|paged|informed|contacted|telephoned)\b | \bcritical\ results?\b | \bdashboard\b
    | \bthank\ you\ for\ (?:the|this|your)\b""",
    re.IGNORECASE | re.VERBOSE,
)
# A sentence without any of these is none; looking for them first is ten times faster.
_STEMS = (
    *("signed", "verified", "approved", "dictated", "transcribed", "report", "page", "reviewed", "attending", "called"),
    *("discussed", "communicated", "relayed", "conveyed", "phoned", "mailed", "notified", "informed", "contacted"),
    *("critical", "dashboard", "thank"),
)
_PRIOR = re.compile(
    r"""\b(?:priors | previously | earlier | preceding | since | interval | compar(?:ed?|ison|ing) | follow[-\ ]?up
    | (?:prior|previous)(?!\ (?:\w+\ )?(?:granulom|surg|sternot|cabg|trauma|fracture|infect|repair|tubercul|\w+ectom))
    | last\ (?:exam\w*|study|film|radiograph) | as\ before | similar\ to
    | unchanged | no\ (?:\w+\ )?change | (?:has|have)\ (?:not\ )?changed | change\ (?:from|since)
    | (?:is|are|once)\ again | again\ (?:seen|noted|demonstrated|identified|visuali[sz]ed|present|is|are)
    | re-?demonstrat\w+
    | stabl[ey] | persist\w* | ongoing | remain(?:s|ed|ing)? | continue[sd]?\ to | still | new | newly
    | improv\w+ | worse | worsen\w* | progress(?:ed|ion|ing|ive|ively) | resol(?:ved|ving|ution) | regress\w*
    | increas(?:ed|ing) | decreas(?:ed|ing) | enlarging | (?:is|are|appears?)\ (?:larger|smaller) | developed
    | has\ been\ (?:removed|placed|withdrawn|advanced) | removed)\b""",
    re.IGNORECASE | re.VERBOSE,
)


def split_sentences(text: str) -> list[str]:
    """Cut a report, or a section of one, into sentences.

    Returns:
        Sentences without outer spaces, inner white space collapsed, headings, list numbers and bullets removed; blanks
        of de-identification (`___`, XXXX) stay as words. What holds neither letter, digit nor blank is left out.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    parts = (part for section in find_sections(text) for part in _cut(text[section.body : section.end]))
    sentences = (" ".join(_LEAD.sub("", part, count=1).split()) for part in parts)
    return [sentence for sentence in sentences if any(sign.isalnum() or sign == "_" for sign in sentence)]


def is_empty(text: str) -> bool:
    """Whether a text says nothing: blank, "None.", "N/A", only blanks of de-identification or punctuation."""
    first = _WORD.search(text)
    if first is not None and _MAY_BE_EMPTY.match(text, first.start()) is None:
        return False  # nearly all reports: the rest need not be read
    return _EMPTY.fullmatch(" ".join(_WORD.findall(text.lower()))) is not None


def is_boilerplate(sentence: str) -> bool:
    """Whether a sentence speaks of the report, not of the film: signatures, dictation, who was told and when."""
    lower = sentence.lower()
    return any(stem in lower for stem in _STEMS) and _BOILERPLATE.search(sentence) is not None


def mentions_prior(sentence: str) -> bool:
    """Whether a sentence compares with an earlier film, which one image cannot show.

    It knows words of comparison and change. "Stable" of a patient or "new" of a device count too: a mark for counting
    and filtering, wide rather than narrow.
    """
    return _PRIOR.search(sentence) is not None


def _cut(text: str) -> Iterator[str]:
    """The text of one section, cut behind every sentence."""
    start = 0
    for match in _STOP.finditer(text):
        if match["stop"] is None or _ends(text, start, match):
            yield text[start : match.end()]
            start = match.end()
    yield text[start:]


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the stop sign of `match` ends the sentence that began at `start`."""
    if match["stop"] != ".":
        return True
    last = _LAST_WORD.search(text, start, match.start())
    word = last[0].lower() if last else ""
    following = text[match.end() : match.end() + 20].lstrip()[:1]
    if _GOES_ON.fullmatch(word) or (word == "no" and following.isdigit()):
        return False
    if word.isdigit() and len(word) <= 2 and last is not None and not text[start : last.start()].strip(" \t\n(-*•"):
        return False  # the number of a list item
    if _MAY_END.fullmatch(word):
        return not following.islower()
    return True
