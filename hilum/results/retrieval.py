"""The results of retrieval as a page and as Markdown: recall and ranks beside chance, classes, similar cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hilum.results.markdown import table
from hilum.results.page import as_text, environment, number, said

DIRECTIONS: Final = {
    "image_to_report": "Film → report",
    "report_to_image": "Report → film",
    "image_to_image": "Film → film",
}
HITS: Final = {
    "study": "any item of the study",
    "text": "the study or the same text",
    "pair": "only its own pair",
}


@dataclass(frozen=True)
class Case:
    """One film with what is known of it, for the sheet of similar cases."""

    title: str  # image id, or what was asked for
    picture: str | None  # data: address
    text: str  # its report
    note: str  # rank, score, labels


@dataclass(frozen=True)
class SimilarCases:
    """A query and what was found, best first."""

    query: Case
    found: tuple[Case, ...]


def retrieval_page(results: Mapping[str, Any], cases: Sequence[SimilarCases]) -> str:
    """The HTML page; one file, with its pictures inside."""
    return (
        environment()
        .get_template("retrieval.html.j2")
        .render(results=results, context=results["context"], directions=DIRECTIONS, hits=HITS, cases=cases)
    )


def retrieval_markdown(results: Mapping[str, Any]) -> str:
    """The same numbers as Markdown tables."""
    boot = results["bootstrap"]
    parts = [
        f"# {results['context']['title']}",
        f"Value [low, high]: {100 * boot['confidence']:g} % percentile interval of {boot['draws']:,} patient-level "
        f"bootstrap draws, seed {boot['seed']}. Tied items count as the mean over all their orders.",
    ]
    for direction, entry in results["directions"].items():
        parts += [f"## {DIRECTIONS[direction]}", _ranks(entry)]
    for direction, entry in results["classes"].items():
        if entry:
            parts += [f"## {DIRECTIONS[direction]}: share of the first {results['class_k']} with the query's finding"]
            parts += [_classes(entry)]
    parts += ["## How it was made", _made(results)]
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(parts) + "\n"


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """A line a direction for the terminal: recall at 10 and median rank by study, gallery and chance."""
    lines = []
    for direction, entry in results["directions"].items():
        study = entry["study"]
        if not study["queries"]:
            lines.append(f"{DIRECTIONS[direction]}: {study['reason']}")
            continue
        recall, rank = study["recall"]["10"], study["median_rank"]
        lines.append(
            f"{DIRECTIONS[direction]}: R@10 {said(recall)}, chance {number(recall['chance'])}; median rank "
            f"{rank['value']:.1f} of {study['gallery']:,}, {study['queries']:,} queries"
        )
    return lines


def _ranks(entry: Mapping[str, Any]) -> str:
    rows = []
    for hit, row in entry.items():
        if not row["queries"]:
            rows.append([HITS[hit], "0", "–", *["–"] * 4])
            continue
        recalls = [f"{said(value)}, chance {number(value['chance'])}" for value in row["recall"].values()]
        rank = row["median_rank"]
        median = f"{_rank(rank['value'])} [{_rank(rank['low'])}, {_rank(rank['high'])}], chance {_rank(rank['chance'])}"
        rows.append([HITS[hit], f"{row['queries']:,}", f"{row['gallery']:,}", *recalls, median])
    return table(("A hit is", "Queries", "Gallery", "R@1", "R@5", "R@10", "Median rank"), rows)


def _classes(entry: Mapping[str, Any]) -> str:
    rows = [[name, f"{row['n']:,}", said(row), number(row["chance"])] for name, row in entry.items()]
    return table(("Class", "Queries", "Share", "Chance"), rows)


def _made(results: Mapping[str, Any]) -> str:
    rows = [[key.replace("_", " "), as_text(value)] for key, value in results["context"].items()]
    rows += [[f"version of {name}", value] for name, value in results["versions"].items()]
    return table(("", ""), rows)


def _rank(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"
