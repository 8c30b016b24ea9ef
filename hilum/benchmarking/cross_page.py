"""The train × test matrices as files: JSON for programs, Markdown for text, HTML for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hilum.benchmarking.leaderboard_page import data_text, runs_text
from hilum.results.markdown import table
from hilum.results.page import environment, p_text, said
from hilum.run_folder import write_atomic


def write_cross(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write `cross.json`, `.md` and `.html`, each whole or not at all; returns the page."""
    content = {
        "json": json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n",
        "md": as_markdown(results),
        "html": as_page(results),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in content.items():
        write_atomic(folder / f"cross.{kind}", text)
    return folder / "cross.html"


def as_page(results: Mapping[str, Any]) -> str:
    """The page, with its style inside."""
    made = environment()
    made.filters.update(p=p_text)
    findings = list(dict.fromkeys(name for one in results["sets"] for name in one["findings"]))
    return made.get_template("benchmark_cross.html.j2").render(
        results=results, names=[one["name"] for one in results["sets"]], findings=findings, shade=shade, data=data_text
    )


def shade(value: float | None) -> int:
    """How dark a cell is: chance is white, 1 the darkest, per cent of the accent."""
    return 0 if value is None else round(90 * max(0.0, value - 0.5))


def as_markdown(results: Mapping[str, Any]) -> str:
    """The same as text; the set of training stands before each row, own test part in bold."""
    boot, names = results["bootstrap"], [one["name"] for one in results["sets"]]
    parts = [
        f"# {results['title']}",
        f"AUROC, {runs_text(results['asked']['seeds'])} [95 % percentile interval of {boot['draws']:,} draws of "
        "test patients]; rows are trained on, columns tested on, the own test part in bold. In brackets after it the "
        "paired difference to the classifier that was trained where it is tested.",
    ]
    if results["core"]:
        parts.append(f"Mean over what all sets label: {', '.join(results['core'])}.")
    for encoder, matrix in results["matrices"].items():
        parts.append(f"## {encoder}")
        rows = []
        for train in names:
            cells = [_cell(matrix.get(train, {}).get(test), own=train == test) for test in names]
            rows.append([train, *cells])
        parts.append(table(("Trained on \\ tested on", *names), rows))
        parts.append(_at_thresholds(matrix))
    parts += ["## Sets", _sets(results)]
    if results["failed"]:
        parts += [
            "## Failed",
            "\n".join(f"- {row['cell']} ({row['which']}): {row['error']}" for row in results["failed"]),
        ]
    return "\n\n".join(parts) + "\n"


def _cell(entry: Mapping[str, Any] | None, *, own: bool) -> str:
    if entry is None:
        return "no shared finding"
    text = said(entry["macro"])
    gap = "" if entry["gap"] is None else f" ({said(entry['gap'], signed=True)}, p {p_text(entry['p'])})"
    return f"**{text}**" if own else f"{text}{gap}"


def _at_thresholds(matrix: Mapping[str, Any]) -> str:
    rows = [
        [train, test, finding, *(said(row[key]) for key in row)]
        for train, tests in matrix.items()
        for test, entry in tests.items()
        for finding, row in entry["findings"].items()
    ]
    head = ("Trained on", "Tested on", "Finding", "AUROC", "F1", "Sensitivity", "Specificity")
    return "At the thresholds of the training set's validation part:\n\n" + table(head, rows)


def _sets(results: Mapping[str, Any]) -> str:
    rows = [
        [
            one["name"],
            " / ".join(f"{one['films'][part]:,}" for part in ("train", "val", "test")),
            ", ".join(one["findings"]),
            ", ".join(f"{own} → {common}" for own, common in one["renamed"].items()) or "–",
            ", ".join(f"{name} ({why})" for name, why in one["unfit"].items()) or "–",
            ", ".join(one["alone"]) or "–",
        ]
        for one in results["sets"]
    ]
    told = table(("Set", "Films", "Learned", "Renamed", "Cannot be learned here", "In no other set"), rows)
    rules = [f"{one['name']}: {one['derived']}." for one in results["sets"] if one.get("derived")]
    return "\n\n".join([told, *rules])
