"""A comparison as an HTML page, as Markdown and as lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hilum.results.difference_plot import Differences, difference_plot
from hilum.results.markdown import table
from hilum.results.page import as_text, environment, p_text, said

TESTS: Final = {  # key of a category's row -> heading
    "permutation": "Permutation p",
    "holm": "Holm",
    "bh": "BH",
    "delong": "DeLong p",
}
OPENED: Final = 1  # tables by category that are shown unfolded: those of the deciding metric
SAME: Final = "the same for all"


def paired_page(results: Mapping[str, Any]) -> str:
    """The HTML page; one file with its plots inside."""
    plots: dict[str, list[Differences | None]] = {}
    for name, entry in list(results["metrics"].items())[:OPENED]:
        plots[name] = [
            difference_plot(
                pair, higher=entry["higher"], several=len(entry["categories"]) > 1, margin=results["margin"]
            )
            for pair in entry["pairs"]
        ]
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            results=results,
            context=results["context"],
            plots=plots,
            tests=TESTS,
            origins=origins(results),
        )
    )


def paired_markdown(results: Mapping[str, Any]) -> str:
    """The same numbers as Markdown tables."""
    boot, counts = results["bootstrap"], results["counts"]
    parts = [
        f"# {results['context']['title']}",
        "\n".join(f"- {verdict}" for verdict in results["verdicts"]),
        f"{counts['items']:,} {counts['noun']} of {counts['patients']:,} patients. Value [low, high]: "
        f"{100 * boot['confidence']:g} % percentile interval of {boot['draws']:,} patient-level bootstrap draws, seed "
        f"{boot['seed']}; {results['permutations']:,} permutations.",
        "## Numbers",
        _numbers(results),
        "## Differences",
        _differences(results),
    ]
    for entry in results["metrics"].values():
        if len(entry["categories"]) > 1:
            parts += [f"## {entry['title']} by finding", *(_by_category(entry, pair) for pair in entry["pairs"])]
    parts += ["## How they were made", _made(results)]
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(parts) + "\n"


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """What the shell prints: the verdicts, then a line a metric and pair."""
    lines = list(results["verdicts"])
    for entry in results["metrics"].values():
        for number, pair in enumerate(entry["pairs"], start=1):
            macro = pair["macro"]
            p = "" if macro["permutation"] is None else f", permutation p {p_text(macro['permutation'])}"
            one, two = entry["runs"][0]["macro"], entry["runs"][number]["macro"]
            other = f" minus {results['runs'][number]['name']}" if len(entry["pairs"]) > 1 else ""
            gap = f"{said(one)} - {said(two)} = {said(macro['difference'], signed=True)}"
            lines.append(f"  {entry['title']}{other}: {gap}{p}")
    return [*lines, *(note for note in results["notes"] if note.startswith("ONLY"))]


def origins(results: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """How each run came about, a row a fact: (name, one text a run), those that differ first."""
    runs = [{"task": run["task"], "folder": run["folder"], **run["context"]} for run in results["runs"]]
    names = [name for name in dict.fromkeys(name for run in runs for name in run) if name != "command"]
    rows = [(name.replace("_", " "), [as_text(run.get(name, "–")) for run in runs]) for name in names]
    return sorted(rows, key=lambda row: len(set(row[1])) == 1)


def _numbers(results: Mapping[str, Any]) -> str:
    entries = results["metrics"].values()
    rows = []
    for number, run in enumerate(results["runs"]):
        rank = next(iter(entries))["runs"][number]["rank"]
        place = "–" if rank is None else f"{rank['mean']:.1f} [{rank['low']:.1f}, {rank['high']:.1f}]"
        rows.append([run["name"], *(said(entry["runs"][number]["macro"]) for entry in entries), place])
    return table(("", *(entry["title"] for entry in entries), "Rank"), rows)


def _differences(results: Mapping[str, Any]) -> str:
    rows = []
    for entry in results["metrics"].values():
        for pair in entry["pairs"]:
            macro, across = pair["macro"], pair["across"]
            cells = [
                f"{pair['first']} − {pair['second']}",
                entry["title"],
                said(macro["difference"], signed=True),
                p_text(macro["difference"]["p"]),
                p_text(macro["permutation"]),
                "–" if across is None else p_text(across["p"]),
            ]
            if results["margin"] is not None:
                cells.append(macro["non_inferiority"]["verdict"])
            rows.append(cells)
    head = ["", "Metric", "Difference", "Bootstrap p", "Permutation p", "p across findings"]
    if results["margin"] is not None:
        head.append(f"Margin {results['margin']:g}")
    return table(head, rows)


def _by_category(entry: Mapping[str, Any], pair: Mapping[str, Any]) -> str:
    runs = {run["name"]: run for run in entry["runs"]}
    some = list(pair["categories"].values())
    tests = {key: name for key, name in TESTS.items() if key in some[0]}
    rows = [
        [
            name or "All",
            said(runs[pair["first"]]["categories"][name]),
            said(runs[pair["second"]]["categories"][name]),
            said(row["difference"], signed=True),
            *(p_text(row[key]) for key in tests),
        ]
        for name, row in pair["categories"].items()
    ]
    return table(("Finding", pair["first"], pair["second"], "Difference", *tests.values()), rows)


def _made(results: Mapping[str, Any]) -> str:
    head = ("", *(run["name"] for run in results["runs"]))
    rows = [[name, *texts] for name, texts in origins(results)]
    rows += [[f"version of {name}", *[value] * len(results["runs"])] for name, value in results["versions"].items()]
    return table(head, rows)
