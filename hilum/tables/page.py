"""A filled table for people: our number with its interval under the published one, flags as footnotes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2

from hilum.results.markdown import table
from hilum.results.page import as_text, environment

TEMPLATES: Final = Path(__file__).with_name("templates")


def as_markdown(results: Mapping[str, Any]) -> str:
    """The table as Markdown: `published / ours [low, high]` in each cell, footnotes below."""
    head = ["", "", *(f"{column['group']} {column['key']}".strip() for column in results["columns"])]
    rows = []
    for row in results["rows"]:
        cells = []
        for column, cell in zip(results["columns"], row["cells"], strict=True):
            ours = ours_text(cell["ours"], column["scale"])
            cells.append(published_text(cell["published"], results["flags"]) + (f" / {ours}" if ours else ""))
        rows.append([row["setting"], row["method"], *cells])
    parts = [f"# {results['title']}", results["source"] + "."]
    if results["warning"]:
        parts.append(f"**{results['warning']}**")
    parts += [legend(results), table(head, rows)]
    if results["flags"]:
        parts.append("\n".join(f"[{number}] {reason}." for number, reason in enumerate(results["flags"], start=1)))
    if absent := reasons(results):
        parts += ["## Cells without a number of ours", "\n".join(f"- {text}" for text in absent)]
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    parts += ["## Data", table(("", "Split", "Published films", "Films here", "Known defects"), data_rows(results))]
    parts += ["## Protocol", table(("Data", "Task", "Preset", "Over it"), job_rows(results))]
    return "\n\n".join(parts) + "\n"


def as_page(results: Mapping[str, Any]) -> str:
    """The table as one HTML file, its style inside."""
    made = environment()
    assert made.loader is not None
    made.loader = jinja2.ChoiceLoader([jinja2.FileSystemLoader(TEMPLATES), made.loader])
    made.filters.update(ours=ours_text, short=short_key)
    marks = {reason: number for number, reason in enumerate(results["flags"], start=1)}
    return made.get_template("paper_table.html.j2").render(
        results=results,
        marks=marks,
        legend=legend(results),
        absent=reasons(results),
        data_rows=data_rows(results),
        job_rows=job_rows(results),
        groups=groups(results["columns"]),
        blocks=blocks(results["rows"]),
        published=lambda number: published_text(number, ()),
    )


def legend(results: Mapping[str, Any]) -> str:
    """What stands in a cell."""
    boot = results["bootstrap"]
    runs = len(results["seeds"])
    over = f", mean of {runs} runs ± their standard deviation" if runs > 1 else ""
    return (
        f"Published number (its own interval, ± spread over runs), then ours{over} with the 95 % interval of "
        f"{boot['draws']:,} draws of patients."
    )


def published_text(number: Mapping[str, Any] | None, flags: Sequence[str]) -> str:
    """As printed, with the number of its footnote, or a dash."""
    if number is None:
        return "–"
    mark = f" [{list(flags).index(number['flag']) + 1}]" if number["flag"] and flags else ""
    return f"{number['printed']}{mark}"


def ours_text(ours: Mapping[str, Any] | None, scale: float) -> str:
    """`86.2 ± 0.4 [84.1, 88.0]` on the table's scale; "undefined" without a value, "" where nothing was asked."""
    if ours is None:
        return ""
    if ours["value"] is None:
        return "undefined"
    digits = 1 if scale == 100 else 3
    spread = "" if ours["spread"] is None else f" ± {scale * ours['spread']:.{digits}f}"
    near = "" if ours["low"] is None else f" [{scale * ours['low']:.{digits}f}, {scale * ours['high']:.{digits}f}]"
    return f"{scale * ours['value']:.{digits}f}{spread}{near}"


def reasons(results: Mapping[str, Any]) -> list[str]:
    """Why cells of ours have no number: a line a reason, with the cells it concerns."""
    found: dict[str, list[str]] = {}
    for row in results["rows"]:
        for column, cell in zip(results["columns"], row["cells"], strict=True):
            if cell["ours"] is not None and cell["ours"]["value"] is None:
                place = ", ".join(part for part in (row["setting"], row["method"], column["key"]) if part)
                found.setdefault(cell["ours"]["reason"], []).append(place)
    return [f"{reason}: {'; '.join(places)}" for reason, places in found.items()]


def data_rows(results: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Data sets with their splits, their films as published and as found, and their defects."""
    return [
        (
            entry["title"],
            entry["split"],
            *(
                " / ".join("–" if count is None else f"{count:,}" for count in counts or ())
                for counts in (entry["counts"], entry["films"])
            ),
            "; ".join(entry["defects"]) or "none known",
        )
        for entry in results["data_sets"]
    ]


def job_rows(results: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Jobs with their protocols."""
    return [
        (
            job["data"] + ("" if job["judged"] == job["data"] else f", judged on {job['judged']}"),
            job["task"],
            job["preset"] or "–",
            ", ".join(f"{key}={as_text(value)}" for key, value in job["options"].items()) or "–",
        )
        for job in results["jobs"]
    ]


def groups(columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Headings above the columns and how many columns each spans; empty where no column has one."""
    spans: list[tuple[str, int]] = []
    for column in columns:
        if spans and spans[-1][0] == column["group"]:
            spans[-1] = (column["group"], spans[-1][1] + 1)
        else:
            spans.append((column["group"], 1))
    return spans if any(name for name, _ in spans) else []


def short_key(column: Mapping[str, Any]) -> str:
    """A column's key without the data set that its heading already names."""
    key: str = column["key"]
    return key.removeprefix(f"{column['group'].split(',')[0]} ")


def blocks(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows by setting, in order."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["setting"], []).append(row)
    return found
