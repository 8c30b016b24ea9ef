"""The same results as Markdown tables, for a repository, an issue or a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from hilum.results.page import METRIC_NAMES, UNTOLD, as_text, number, p_text, percent, said, widest_gaps

SHOWN: Final = ("auroc", "auprc", "brier", "ece")


def markdown(results: Mapping[str, Any]) -> str:
    """Render results as Markdown; numbers read `0.853 [0.812, 0.891]`."""
    boot = results["bootstrap"]
    parts = [
        f"# {results['context'].get('title', 'Results')}",
        f"Value [low, high]: {100 * boot['confidence']:g} % percentile interval of {boot['draws']:,} "
        f"patient-level bootstrap draws, seed {boot['seed']}.",
        "## Ranking",
        _ranking(results),
        _long_tail(results["long_tail"]),
        "## At a threshold",
        _operating(results),
    ]
    if results["undefined"]:
        parts += ["## Undefined", _undefined(results)]
    if results["unscored"]:
        parts.append(f"Labelled but not scored: {', '.join(results['unscored'])}.")
    for name, entry in results.get("baselines", {}).items():
        parts += [f"## Against the baseline {name}", entry["note"], _baseline(entry)]
    for entry in results.get("comparisons", []):
        parts += [f"## {entry['first']} against {entry['second']}", _comparison(entry)]
    if results["subgroups"]:
        parts += ["## Subgroups", _subgroups(results["subgroups"])]
    parts += ["## Cohort", _cohort(results["cohort"]), "## How it was made", _made(results)]
    if results.get("notes"):
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _ranking(results: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{row['n']:,}",
            f"{row['n_patients']:,}",
            f"{row['n_positive']:,}",
            percent(row["prevalence"]),
            said(row["auroc"]),
            said(row["auprc"]),
            said(row["brier"]),
            said(row["ece"]),
        ]
        for name, row in results["findings"].items()
    ]
    macro = results["macro"]
    rows.append([f"**Macro** ({len(macro['findings'])})", *[""] * 4, *map(said, (macro[name] for name in SHOWN))])
    head = ("Finding", "Images", "Patients", "Positive", "Prevalence", "AUROC", "AUPRC", "Brier", "ECE")
    return table(head, rows)


def _long_tail(entry: Mapping[str, Any]) -> str:
    """By prevalence; nothing where all findings are in one bin."""
    bins = [one for one in entry["bins"] if one["findings"]]
    if len(bins) < 2:
        return ""
    rows = [[one["name"], ", ".join(one["findings"]), said(one["auroc"]), said(one["auprc"])] for one in bins]
    heading = f"### By prevalence on {entry['counted_on']}"
    return f"{heading}\n\n" + table(("Prevalence", "Findings", "AUROC", "AUPRC"), rows)


def _subgroups(entry: Mapping[str, Any]) -> str:
    """The largest gap of each attribute."""
    rows = [
        [
            *(name, finding, _level(row, "best"), _level(row, "worst")),
            *(said(row["gap"], signed=True), p_text(row["gap"]["p"]), p_text(row["holm"])),
        ]
        for name, (finding, row) in widest_gaps(entry).items()
    ]
    told = f"The largest gap in AUROC of each attribute; p from {entry['permutations']:,} permutations."
    return f"{told}\n\n" + table(("Attribute", "Finding", "Best", "Worst", "Gap", "p", "Holm"), rows)


def _level(row: Mapping[str, Any], which: str) -> str:
    return f"{row[which]} {number(row['levels'][row[which]]['value'])}"


def _operating(results: Mapping[str, Any]) -> str:
    rows = []
    for name, row in [*results["findings"].items(), ("**Macro**", results["macro"])]:
        for place in ("at_validation_threshold", "at_0.5"):
            own = "each its own" if name == "**Macro**" else number(row.get("threshold"))
            threshold = "0.5" if place == "at_0.5" else f"{own} (validation)"
            rows.append([name, threshold, *(said(row[place][metric]) for metric in row[place])])
    return table(("Finding", "Threshold", "F1", "Accuracy", "Sensitivity", "Specificity"), rows)


def _undefined(results: Mapping[str, Any]) -> str:
    rows = [
        [entry["finding"], entry["reason"], *(str(entry[key]) for key in ("n_positive", "n_negative", "n_blank"))]
        for entry in results["undefined"]
    ]
    return table(("Finding", "Reason", "Positive", "Negative", "Blank"), rows)


def _baseline(entry: Mapping[str, Any]) -> str:
    rows = [
        [name, said(row["auroc"]), said(row["difference"], signed=True), p_text(row["difference"]["p"])]
        for name, row in [*entry["findings"].items(), ("**Macro**", entry["macro"])]
    ]
    return table(("Finding", "AUROC of the baseline", "Model − baseline", "p"), rows)


def _comparison(entry: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            METRIC_NAMES[metric],
            said(row["first"]),
            said(row["second"]),
            said(row["difference"], signed=True),
            p_text(row["difference"]["p"]),
        ]
        for metric in ("auroc", "auprc")
        for name, row in [*entry[metric]["findings"].items(), ("**Macro**", entry[metric]["macro"])]
    ]
    return table(("Finding", "Metric", entry["first"], entry["second"], "Difference", "p"), rows)


def _cohort(cohort: Mapping[str, Any]) -> str:
    rows = [["All", f"{cohort['patients']:,}", f"{cohort['images']:,}"]]
    for heading, levels in cohort["groups"].items():
        rows += [[f"{heading}: {row['level']}", f"{row['patients']:,}", f"{row['images']:,}"] for row in levels]
    rows += [
        [f"With {name}", f"{row['positive_patients']:,}", f"{row['positive_images']:,}"]
        for name, row in cohort["findings"].items()
    ]
    age = cohort["age"]
    if age is None or age["median"] is None:
        years = ""
    else:
        (low, high), (first, last) = age["quartiles"], age["range"]
        years = (
            f"Age in years: median {age['median']:g} (quartiles {low:g} to {high:g}, range {first:g} to {last:g}; "
            f"unknown for {age['unknown_patients']} patients).\n\n"
        )
    return years + table(("", "Patients", "Images"), rows)


def _made(results: Mapping[str, Any]) -> str:
    told = {key: value for key, value in results["context"].items() if key not in UNTOLD}
    rows = [[key.replace("_", " "), as_text(value)] for key, value in told.items()]
    rows += [[f"version of {name}", value] for name, value in results["versions"].items()]
    return table(("", ""), rows)
