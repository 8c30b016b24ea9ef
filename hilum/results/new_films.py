"""What a model says of new films, as a page and as Markdown: no truth, so no metric; one row a film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from hilum.results.markdown import table as markdown_table
from hilum.results.page import as_text, environment

ROWS: Final = 200  # films listed on the page; the files have all
PICTURES: Final = 6  # maps shown of a film, the highest scores first
COLUMNS: Final = {  # prefix of a column -> how its numbers are written
    "score.": "{:.3f}",
    "area.": "{:.2%}",
    "boxes.": "{:d}",
}
MEANING: Final = {
    "classify": "Probability of each finding; bold from the threshold on that validation films chose.",
    "survive": "Risk of each endpoint, higher for who is at risk; bold from the threshold on that validation subjects "
    "chose. Findings: probabilities.",
    "segment": "Share of the film that is drawn; the masks are in masks/.",
    "detect": "Boxes from the threshold on; all boxes with their scores are in boxes.json.",
}


@dataclass(frozen=True)
class FilmMaps:
    """One film with its maps, as data: addresses."""

    film: str
    picture: str
    maps: Mapping[str, str]  # finding -> picture


@dataclass(frozen=True)
class Cell:
    """One number of the table."""

    text: str
    called: bool


def new_films_page(results: Mapping[str, Any], table: pd.DataFrame, maps: Sequence[FilmMaps] = ()) -> str:
    """The HTML page; one file, with its pictures inside.

    Args:
        results: of `hilum predict`.
        table: one row a film, with a column of numbers a name.
        maps: films with pictures.
    """
    return (
        environment()
        .get_template("new_films.html.j2")
        .render(
            results=results,
            context=results["context"],
            meaning=MEANING[results["of"]],
            rows=film_rows(results, table, ROWS),
            listed=min(ROWS, len(table)),
            maps=[_most(one, results, table) for one in maps],
        )
    )


def new_films_markdown(results: Mapping[str, Any], table: pd.DataFrame) -> str:
    """The same as Markdown."""
    counts, names = results["counts"], results["names"]
    rows = [
        [film, *(f"**{cell.text}**" if cell.called else cell.text for cell in cells)]
        for film, cells in film_rows(results, table, ROWS)
    ]
    more = f" The first {ROWS:,} are listed." if len(table) > ROWS else ""
    parts = [
        f"# {results['context']['title']}",
        f"{counts['films']:,} films, {counts['unread']:,} more could not be read. {MEANING[results['of']]}{more}",
        markdown_table(("Film", *names), rows),
    ]
    if results["unread"]:
        unread = ([one["film"], one["reason"]] for one in results["unread"])
        parts += ["## Could not be read", markdown_table(("Film", "Reason"), unread)]
    made = [[key.replace("_", " "), as_text(value)] for key, value in results["context"].items()]
    parts += ["## How it was made", markdown_table(("", ""), made)]
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(parts) + "\n"


def film_rows(results: Mapping[str, Any], table: pd.DataFrame, most: int) -> list[tuple[str, list[Cell]]]:
    """Film and cells, one a name, of the first films of the table."""
    part, found = table.head(most), list[list[Cell]]()
    for name in results["names"]:
        prefix, form = next((prefix, form) for prefix, form in COLUMNS.items() if prefix + name in table)
        values = part[prefix + name].tolist()
        flags = part[f"called.{name}"].fillna(0).tolist() if f"called.{name}" in part else [0] * len(part)
        found.append([Cell(form.format(value), bool(flag)) for value, flag in zip(values, flags, strict=True)])
    return [(str(film), [column[row] for column in found]) for row, film in enumerate(part["image_id"])]


def _most(one: FilmMaps, results: Mapping[str, Any], table: pd.DataFrame) -> tuple[FilmMaps, list[tuple[str, str]]]:
    """A film with (caption, picture) of the maps of its highest scores, beside their thresholds."""
    film = table[table["image_id"] == one.film].iloc[0]

    def above(name: str) -> float:
        return float(film[f"score.{name}"]) - float(results["thresholds"].get(name, 0.5))

    if any(f"score.{name}" not in table for name in one.maps):  # one map for every finding
        return one, list(one.maps.items())
    chosen = sorted(one.maps, key=above, reverse=True)[:PICTURES]
    return one, [(f"{name} {film[f'score.{name}']:.3f}", one.maps[name]) for name in chosen]
