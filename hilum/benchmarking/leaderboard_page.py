"""The leaderboard as files: JSON for programs, Markdown for text, HTML for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hilum.benchmarking.drawings import bars_by_prevalence, dots_by_finding, label_counts, label_efficiency
from hilum.metrics.estimate import interval_text
from hilum.results.markdown import table
from hilum.results.page import environment, p_text, said
from hilum.run_folder import write_atomic

COLOURS = 12  # of pretrained encoders; random weights are grey, which is the one after them


def write_leaderboard(folder: Path, results: Mapping[str, Any], name: str = "leaderboard") -> Path:
    """Write `leaderboard.json`, `.md` and `.html`, each whole or not at all; returns the page."""
    content = {
        "json": json.dumps(results, indent=2, allow_nan=False, ensure_ascii=False) + "\n",
        "md": as_markdown(results),
        "html": as_page(results),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for kind, text in content.items():
        write_atomic(folder / f"{name}.{kind}", text)
    return folder / f"{name}.html"


def as_page(results: Mapping[str, Any]) -> str:
    """The page, with its style and drawings inside."""
    colours = palette(results["encoders"])
    drawn = {
        entry["key"]: {
            "efficiency": label_efficiency(entry, colours),
            "findings": dots_by_finding(entry, colours) if len(entry["findings"]) > 1 else None,
            "prevalence": bars_by_prevalence(entry, colours),
        }
        for entry in results["tasks"]
    }
    judged = {name for entry in results["tasks"] for name in entry["findings"]}
    counted = {
        data: drawing
        for data, labels in results["labels"].items()
        if (drawing := label_counts(labels, [name for name in labels if name in judged])) is not None
    }
    made = environment()
    made.filters.update(count=count_text, p=p_text, place=place_text)
    made.globals.update(share=share_text, value=value_text, marks=marks)
    return made.get_template("benchmark.html.j2").render(
        results=results, colours=colours, drawn=drawn, counted=counted, glance=glance(results), data=data_text
    )


def palette(encoders: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Encoder -> colour of the page, in the order in which they were named; random weights are grey."""
    found, number = {}, 0
    for encoder in encoders:
        random = encoder["weights"] == "random"
        found[encoder["name"]] = COLOURS if random else number % COLOURS
        number += not random
    return found


def glance(results: Mapping[str, Any]) -> dict[str, Any]:
    """The first table: encoders by mean place, each task at its largest share of labels."""
    columns = []
    for entry in results["tasks"]:
        last = entry["tables"][-1]
        rows = {row["encoder"]: row for row in last["rows"]}
        values = [row["value"] for row in rows.values() if row["value"] is not None]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        shade = {
            name: round(40 * _goodness(row["value"], low, high, higher=entry["metric"]["higher"]))
            for name, row in rows.items()
            if row["value"] is not None
        }
        baseline = next((row for row in last.get("baselines", []) if row["value"] is not None), None)  # the best one
        columns.append(
            {"entry": entry, "fraction": last["fraction"], "rows": rows, "shade": shade, "baseline": baseline}
        )
    return {"columns": columns, "places": results["places"]}


def as_markdown(results: Mapping[str, Any]) -> str:
    """The same as text; numbers read `0.853 [0.812, 0.891]`."""
    boot = results["bootstrap"]
    parts = [
        f"# {results['title']}",
        f"{runs_text(results['asked']['seeds']).capitalize()} [95 % percentile interval of {boot['draws']:,} draws of "
        f"patients]. p: {boot['permutations']:,} paired permutations of patients where the metric has such a test, "
        "else the share of bootstrap draws; Holm over the encoders of a table. † may have seen test films, ‡ has seen "
        "them, ? is not known.",
    ]
    for entry in results["tasks"]:
        parts.append(f"## {entry['key']}")
        where = f"{entry['metric']['title']} on {entry['items']:,} {entry['noun']} of {entry['patients']:,} patients"
        parts.append(f"{where}, {entry['data']}.")
        for block in entry["tables"]:
            if block["fraction"] is not None:
                parts.append(f"### {share_text(block['fraction'])} of the labels")
            parts.append(_table(results, entry, block))
            if block.get("baselines"):
                parts.append("Without a place: what needs no network, and the run named minus it, paired.")
            if block.get("warning"):
                parts.append(f"**{block['warning']}**")
            if block["undefined"]:
                told = ", ".join(f"{name} ({why})" for name, why in block["undefined"].items())
                parts.append(f"Left out of the mean: {told}.")
    parts += ["## Encoders", _encoders(results), "## What each of them sees", _pixels(results)]
    parts += ["## Has it seen the test films?", _overlaps(results)]
    if results["failed"]:
        failed = [f"- {row['cell']} ({row['which']}): {row['error']}" for row in results["failed"]]
        parts += ["## Failed", "\n".join(failed)]
    return "\n\n".join(parts) + "\n"


def count_text(value: float | None) -> str:
    """A count as `1.2 million`, `44,800`, or `not known`."""
    if value is None:
        return "not known"
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def runs_text(seeds: int) -> str:
    """`mean over 3 runs`, or `one run`."""
    return "one run" if seeds == 1 else f"mean over {seeds} runs"


def share_text(fraction: float | None) -> str:
    """A share of labels as `10 %`; nothing where nothing is learned."""
    return "" if fraction is None else f"{100 * fraction:.4g} %"


def place_text(row: Mapping[str, Any]) -> str:
    """`1 to 3`, or one number where the draws agree."""
    if row["rank_low"] is None:
        return "–"
    low, high = f"{row['rank_low']:g}", f"{row['rank_high']:g}"
    return low if low == high else f"{low} to {high}"


def value_text(row: Mapping[str, Any]) -> str:
    """`0.853 ± 0.004`; without a spread where there was one run."""
    if row["value"] is None:
        return "undefined"
    return f"{row['value']:.3f}" + ("" if row["spread"] is None else f" ± {row['spread']:.3f}")


def marks(results: Mapping[str, Any], encoder: str, task: str) -> str:
    """The sign that warns of test films an encoder may have seen."""
    return str(results["overlaps"].get(encoder, {}).get(task, {}).get("mark", ""))


def data_text(encoder: Mapping[str, Any]) -> str:
    """What an encoder was pretrained on."""
    from hilum.benchmarking.xray_collections import title_of

    if encoder["known"] == "random":
        return "nothing"
    return ", ".join(map(title_of, encoder["pretrained_on"])) or "not known"


def _table(results: Mapping[str, Any], entry: Mapping[str, Any], block: Mapping[str, Any]) -> str:
    rows = []
    for row in block["rows"]:
        gap = row["difference"]
        interval = interval_text(row["value"], row["low"], row["high"]).partition(" ")[2]
        rows.append(
            [
                "–" if row["rank"] is None else str(row["rank"]),
                f"{row['encoder']} {marks(results, row['encoder'], entry['name'])}".strip(),
                value_text(row),
                interval,
                place_text(row),
                "reference" if gap is None else said(gap, signed=True),
                "" if gap is None else p_text(row["p"]),
                "" if gap is None else p_text(row["holm"]),
            ]
        )
    rows += [["–", name, "failed", "", "", "", "", ""] for name in block["absent"]]
    rows += [_baseline(row) for row in block.get("baselines", [])]  # a page of before knows none
    head = (
        "Place", "Encoder", f"{entry['metric']['title']} ± sd", "95 % interval", "Place over draws",
        f"Minus {block['reference']}", "p", "p, Holm",
    )  # fmt: skip
    return table(head, rows)


def _baseline(row: Mapping[str, Any]) -> list[str]:
    beside = row["beside"]
    run = beside["encoder"] if beside["only_run"] else f"{beside['encoder']}, seed {beside['seed']},"
    gap = "" if beside["difference"] is None else f"{run} minus this: {said(beside['difference'], signed=True)}"
    value, _, interval = said(row).partition(" ")
    return ["", row["title"], value, interval, "", gap, "", ""]


def _encoders(results: Mapping[str, Any]) -> str:
    rows = [
        [
            encoder["name"], encoder["network"], f"{encoder['size']} px", count_text(encoder["parameters"]),
            data_text(encoder), count_text(encoder["images_seen"]), count_text(encoder["epochs"]),
            encoder["hours"] or "not known", encoder["source"] or "–",
        ]
        for encoder in results["encoders"]
    ]  # fmt: skip
    head = (
        "Encoder", "Network", "Size", "Parameters", "Pretrained on", "Images seen", "Epochs", "Device-hours", "Source",
    )  # fmt: skip
    return table(head, rows)


def _pixels(results: Mapping[str, Any]) -> str:
    return table(("Encoder", "Its own pixels"), [[one["name"], one["pixels"]] for one in results["encoders"]])


def _overlaps(results: Mapping[str, Any]) -> str:
    rows = [
        [encoder, task, f"{row['text']} {row['mark']}".strip()]
        for encoder, tasks in results["overlaps"].items()
        for task, row in tasks.items()
    ]
    return table(("Encoder", "Task", "What is known"), rows)


def _goodness(value: float, low: float, high: float, *, higher: bool) -> float:
    """0 for the worst, 1 for the best of a column."""
    share = 0.5 if high == low else (value - low) / (high - low)
    return share if higher else 1 - share
