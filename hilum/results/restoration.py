"""The results of restoring records as a page, as Markdown and as a picture: films and words, hidden, restored, true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hilum.results.markdown import table
from hilum.results.page import as_text, environment, said
from hilum.results.pictures import GAP, LINE, data_uri, thumbnail

CONDITIONS: Final = {
    "own_film": "with its own film",
    "mean_film": "with the mean of the training films in its place",
    "other_film": "with another patient's film in its place",
    "report_alone": "a model trained on reports alone",
}
SUBSETS: Final = {"all": "All hidden words", "terms": "Hidden words that name anatomy, findings, devices or places"}
COLUMNS: Final = {"masked": "What was seen", "reconstructed": "Restored", "original": "Truth"}
SIDE: Final = 260  # pixels of a picture on the sheet
RIGHT, WRONG, TRUE, HIDDEN, PLAIN = (20, 110, 50), (190, 40, 40), (120, 60, 160), (150, 150, 150), (30, 30, 30)


@dataclass(frozen=True)
class Word:
    """One word of a report."""

    truth: str
    restored: str | None  # None where it was visible

    @property
    def right(self) -> bool:
        """Whether a hidden word came back."""
        return self.restored == self.truth


@dataclass(frozen=True)
class Example:
    """One film and its report."""

    title: str
    pictures: Mapping[str, NDArray[np.uint8]]  # original, masked, reconstructed: (S, S) uint8
    words: tuple[Word, ...]

    @property
    def uris(self) -> dict[str, str]:
        """The pictures as `data:` addresses, in the order of the columns."""
        return {name: data_uri(thumbnail(self.pictures[name], SIDE)) for name in COLUMNS}


def restoration_page(results: Mapping[str, Any], examples: Sequence[Example]) -> str:
    """The HTML page; one file, with its pictures inside."""
    return (
        environment()
        .get_template("restoration.html.j2")
        .render(
            results=results,
            context=results["context"],
            conditions=CONDITIONS,
            subsets=SUBSETS,
            columns=COLUMNS,
            examples=examples,
        )
    )


def restoration_markdown(results: Mapping[str, Any]) -> str:
    """The same numbers as Markdown tables."""
    boot = results["bootstrap"]
    parts = [
        f"# {results['context']['title']}",
        f"Value [low, high]: {100 * boot['confidence']:g} % percentile interval of {boot['draws']:,} patient-level "
        f"bootstrap draws, seed {boot['seed']}.",
    ]
    for subset, entry in results["masked_words"].items():
        parts.append(f"## {SUBSETS[subset]}")
        if not entry["words"]:
            parts.append(entry["reason"])
            continue
        rows = [
            [CONDITIONS[name], said(value), said(entry["gain"][name], signed=True) if name in entry["gain"] else ""]
            for name, value in entry["accuracy"].items()
        ]
        parts.append(table((f"Accuracy on {entry['words']:,} words", "Value", "The own film adds"), rows))
    made = [[key.replace("_", " "), as_text(value)] for key, value in results["context"].items()]
    made += [[key.replace("_", " "), f"{value:,}"] for key, value in results["counts"].items()]
    parts += ["## How it was made", table(("", ""), made)]
    parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(parts) + "\n"


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """A line a condition for the terminal."""
    lines = []
    for subset, entry in results["masked_words"].items():
        lines.append(f"{SUBSETS[subset]}: {entry['words']:,}")
        for name, value in entry.get("accuracy", {}).items():
            gain = entry["gain"].get(name)
            adds = f"; the own film adds {said(gain, signed=True)}" if gain is not None else ""
            lines.append(f"  {said(value)} {CONDITIONS[name]}{adds}")
    return lines


def restoration_sheet(examples: Sequence[Example]) -> Image.Image:
    """One picture: a row a film, with three pictures and under each its words, hidden ones in colour."""
    width = len(COLUMNS) * (SIDE + GAP) + GAP
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = [[_wrapped(ruler, _coloured(example.words, name)) for name in COLUMNS] for example in examples]
    heights = [SIDE + LINE * (max(map(len, row)) + 2) + GAP for row in lines]
    page = Image.new("RGB", (width, sum(heights) + GAP), "white")
    draw, top = ImageDraw.Draw(page), GAP
    for example, row, height in zip(examples, lines, heights, strict=True):
        for column, (name, heading) in enumerate(COLUMNS.items()):
            left = GAP + column * (SIDE + GAP)
            page.paste(thumbnail(example.pictures[name], SIDE), (left, top))
            draw.text((left, top + SIDE), f"{heading}: {_ascii(example.title)}", fill=HIDDEN)
            for number, line in enumerate(row[column]):
                for across, text, colour in line:
                    draw.text((left + across, top + SIDE + LINE * (number + 1)), text, fill=colour)
        top += height
    return page


def _coloured(words: Sequence[Word], column: str) -> list[tuple[str, tuple[int, int, int]]]:
    """The words of one column with their colours."""
    found = []
    for word in words:
        if word.restored is None:
            found.append((word.truth, PLAIN))
        elif column == "masked":
            found.append(("[MASK]", HIDDEN))
        elif column == "original":
            found.append((word.truth, TRUE))
        else:
            found.append((word.restored, RIGHT if word.right else WRONG))
    return found


def _wrapped(
    draw: ImageDraw.ImageDraw, words: Sequence[tuple[str, tuple[int, int, int]]]
) -> list[list[tuple[float, str, tuple[int, int, int]]]]:
    """Words as lines no wider than a picture: (distance from the left, text, colour)."""
    lines: list[list[tuple[float, str, tuple[int, int, int]]]] = [[]]
    across = 0.0
    for word, colour in words:
        text = _ascii(word)
        length = draw.textlength(text + " ")
        if across and across + length > SIDE:
            lines.append([])
            across = 0.0
        lines[-1].append((across, text, colour))
        across += length
    return lines


def _ascii(text: str) -> str:
    """The built-in font knows no other signs."""
    return text.encode("ascii", "replace").decode()
