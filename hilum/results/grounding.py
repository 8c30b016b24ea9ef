"""The results of grounding as a page and as Markdown: every way of making a map side by side, and what each adds.

Maps are of sentences, of a classifier's queries, or of any head (`results["of"]`); the numbers are the same, the words
are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hilum.results.markdown import table
from hilum.results.page import as_text, environment, number, percent, said

WAYS: Final = {
    "without_prior": "Without position prior",
    "with_prior": "With position prior",
    "prior_alone": "Position prior alone",
    "rollout": "Attention rollout",
    "gradient": "Attention by gradient",
    "cam": "Grad-CAM",
    "query": "Query of the finding",
    "class_token": "Class token of the encoder",
    "centre": "Centre of the film",
}
HINTS: Final = {  # what a reader must know of the maps, and of their differences
    "sentences": (
        "The last rows know nothing of the sentence: a model has to beat them.",
        "The position prior does not depend on the film: what it adds is not understanding.",
    ),
    "queries": (
        "A query has learned its finding from labels of whole films, never from a box. The class token looks at the "
        "same places whatever the finding, the centre at the same place on every film: a query has to beat both.",
        "Query minus class token is what the head has learned about places beyond the encoder's own attention.",
    ),
    "maps": (
        "The head has learned its findings from labels of whole films, never from a box. The class token looks at the "
        "same places whatever the finding, the centre at the same place on every film: a map has to beat both.",
        "A map minus the centre is what it tells beyond where films are interesting on the whole.",
    ),
}
METRICS: Final = {
    "miou": "mIoU",
    "dice": "Dice",
    "cnr": "CNR",
    "cnr_abs": "|CNR|",
    "pointing": "Pointing",
}
COMPARED: Final = {name: METRICS[name] for name in METRICS if name != "cnr_abs"}  # five columns are too wide a page


@dataclass(frozen=True)
class Example:
    """One question with its pictures."""

    title: str
    phrase: str
    pictures: tuple[tuple[str, str], ...]  # (caption, data: address)


def grounding_page(
    results: Mapping[str, Any], examples: Sequence[Example], averages: Sequence[tuple[str, str]] = ()
) -> str:
    """The HTML page; one file, with its pictures inside.

    Args:
        results: of `hilum ground`.
        examples: questions with their maps.
        averages: (caption, data: address) of maps over many films on one.
    """
    return (
        environment()
        .get_template("grounding.html.j2")
        .render(
            results=results,
            context=results["context"],
            ways=WAYS,
            metrics=METRICS,
            compared=COMPARED,
            hints=HINTS[results["of"]],
            examples=examples,
            averages=averages,
        )
    )


def grounding_markdown(results: Mapping[str, Any]) -> str:
    """The same numbers as Markdown tables."""
    boot, counts = results["bootstrap"], results["counts"]
    parts = [
        f"# {results['context']['title']}",
        f"{counts['questions']:,} questions on {counts['films']:,} films of {counts['patients']:,} patients"
        f"{', WEAK BOXES' if results['weak'] else ''}; half of the boxes cover less than "
        f"{percent(counts['median_box_share'])} of the film. Value [low, high]: {100 * boot['confidence']:g} % "
        f"percentile interval of {boot['draws']:,} patient-level bootstrap draws, seed {boot['seed']}.",
    ]
    for average, text in (("micro", "Mean over questions"), ("macro", "Mean over categories")):
        rows = [[WAYS[way], *(said(entry[m][average]) for m in METRICS)] for way, entry in results["ways"].items()]
        parts += [f"## {text}", table(("", *METRICS.values()), rows)]
    parts += ["## Paired differences", _differences(results), "## IoU at each threshold", _thresholds(results)]
    parts += ["## By category", _categories(results)]
    if results.get("averages"):
        parts += ["## Maps of many films on one", _averages(results)]
    parts += ["## How it was made", _made(results)]
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(parts) + "\n"


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """A line a way for the terminal, and what the prior adds."""
    counts, weak = results["counts"], " (weak boxes)" if results["weak"] else ""
    lines = [f"{counts['questions']:,} questions on {counts['films']:,} films{weak}"]
    for way, entry in results["ways"].items():
        numbers = ", ".join(
            f"{METRICS[metric]} {said(entry[metric]['micro'])}" for metric in ("miou", "cnr", "pointing")
        )
        empty = f"; {entry['empty']:,} empty predictions" if entry["empty"] else ""
        lines.append(f"{WAYS[way]}: {numbers}{empty}")
    for row in results["differences"]:
        gaps = ", ".join(f"{METRICS[m]} {said(row[m]['micro'], signed=True)}" for m in ("miou", "cnr", "pointing"))
        lines.append(f"{WAYS[row['first']]} − {WAYS[row['second']].lower()}: {gaps}")
    for one in results.get("averages") or ():
        lost = sum(one["left_out"].values())
        lines.append(f"{one['finding']}: averaged over {one['films']:,} on the anchor, {lost:,} left out")
    return lines


def _differences(results: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{WAYS[row['first']]} − {WAYS[row['second']].lower()}",
            average,
            *(said(row[m][average], signed=True) for m in COMPARED),
        ]
        for row in results["differences"]
        for average in ("micro", "macro")
    ]
    return table(("", "Average", *COMPARED.values()), rows)


def _thresholds(results: Mapping[str, Any]) -> str:
    first = next(iter(results["ways"].values()))
    rows = [
        [WAYS[way], *(number(value) for value in entry["iou"].values()), f"{entry['empty']:,}"]
        for way, entry in results["ways"].items()
    ]
    return table(("", *first["iou"], "Empty"), rows)


def _categories(results: Mapping[str, Any]) -> str:
    rows = [
        [name, WAYS[way], f"{row['miou']['n']:,}", *(said(row[metric]) for metric in METRICS)]
        for way, entry in results["ways"].items()
        for name, row in entry["categories"].items()
    ]
    return table(("Category", "", "Questions", *METRICS.values()), sorted(rows, key=lambda row: row[0]))


def _averages(results: Mapping[str, Any]) -> str:
    rows = [
        [
            one["finding"],
            f"{one['films']:,}",
            "; ".join(f"{count:,} {reason}" for reason, count in one["left_out"].items()) or "none",
            f"{one['patients_with_it']:,}",
        ]
        for one in results["averages"]
    ]
    return table(("Finding", "Films averaged", "Left out", "Patients with it"), rows)


def _made(results: Mapping[str, Any]) -> str:
    rows = [[key.replace("_", " "), as_text(value)] for key, value in results["context"].items()]
    rows += [[f"version of {name}", value] for name, value in results["versions"].items()]
    return table(("", ""), rows)
