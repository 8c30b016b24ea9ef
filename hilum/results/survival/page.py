"""The results of risk over time as one HTML page, as Markdown, and as lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hilum.results.markdown import table
from hilum.results.page import as_text, environment, number, percent, said
from hilum.results.survival.curves import Curves
from hilum.results.survival.plots import GROUPS, plots_of

REDUCE: Final = {
    "first": "the first film of a person",
    "last": "the last film of a person",
    "mean": "the mean score of a person's films, followed from the last",
}


def survival_page(results: Mapping[str, Any], curves: Mapping[str, Curves]) -> str:
    """The HTML page; one file with its style and plots inside, no script, nothing loaded.

    Args:
        results: of `survival_results`, or of `together`.
        curves: endpoint -> its curves, of `survival_curves`.
    """
    plots = {name: plots_of(entry, curves[name]) for name, entry in results["endpoints"].items()}
    made = environment()
    made.filters.update(days=days, p_value=p_value)
    return made.get_template("survival.html.j2").render(
        results=results, context=results["context"], plots=plots, group_names=GROUPS, reduce_names=REDUCE
    )


def survival_markdown(results: Mapping[str, Any]) -> str:
    """The same numbers as Markdown tables."""
    boot = results["bootstrap"]
    parts = [
        f"# {results['context'].get('title', 'Risk over time')}",
        f"Value [low, high]: {100 * boot['confidence']:g} % intervals; of concordance and AUROC from {boot['draws']:,} "
        f"patient-level bootstrap draws, seed {boot['seed']}; of survival and incidence pointwise on the scale "
        "log(-log).",
    ]
    for name, entry in results["endpoints"].items():
        parts += [f"## {name}", _about(entry), _groups(entry), _log_rank(entry), _discrimination(entry)]
        parts += ["\n".join(f"- {note}" for note in entry["notes"])]
    rows = [[key.replace("_", " "), as_text(value)] for key, value in results["context"].items()]
    rows += [[f"version of {name}", value] for name, value in results["versions"].items()]
    parts += ["## How it was made", table(("", ""), rows)]
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """Lines for the terminal: counts, concordance, and survival of the groups at the horizon."""
    lines = []
    for name, entry in results["endpoints"].items():
        counts = entry["counts"]
        lines.append(f"{name}: {counts['subjects']:,} subjects, {counts['events']:,} events")
        lines.append(f"  C {said(entry['harrell'])} (Harrell), {said(entry['uno'])} (Uno, {days(entry['horizon'])})")
        for group, row in entry["groups"].items():
            if group != "all" or len(entry["groups"]) == 1:
                free = said(row["survival"])
                lines.append(f"  {GROUPS[group].lower()}: {row['subjects']:,} subjects, {free} without the event then")
        lines.append(f"  log-rank {p_text(entry['log_rank'])}")
    return lines


def days(value: float | None) -> str:
    """`365 days`; a dash where there is none."""
    return "–" if value is None else f"{value:,.0f} days" if value >= 10 else f"{value:.3g} days"


def p_value(p: float | None) -> str:
    """Three digits, `< 0.001` below."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_text(log_rank: Mapping[str, Any]) -> str:
    """`p = 0.034`, or why there is none."""
    if log_rank["p"] is None:
        return f"undefined: {log_rank['reason']}"
    shown = p_value(log_rank["p"])
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def _about(entry: Mapping[str, Any]) -> str:
    counts = entry["counts"]
    threshold = "none" if entry["threshold"] is None else number(entry["threshold"])
    rows = [
        ["Subjects (films)", f"{counts['subjects']:,} ({counts['films']:,})"],
        ["Events, of them within the horizon", f"{counts['events']:,}, {counts['events_by_horizon']:,}"],
        ["Competing causes", f"{counts['competing']:,}"],
        ["Censored, of them before the horizon", f"{counts['censored']:,}, {counts['lost_by_horizon']:,}"],
        ["Follow-up unknown, left out", f"{counts['unknown']:,}"],
        ["Median follow-up (reverse Kaplan-Meier)", days(counts["median_follow_up"])],
        ["Horizon", _with(days(entry["horizon"]), entry["horizon_origin"])],
        ["High risk from a score of", _with(threshold, entry["threshold_origin"])],
        ["Score of a subject", REDUCE.get(entry["reduce"], entry["reduce"])],
    ]
    definition = f"{name.capitalize()}.\n\n" if (name := entry["definition"]) else ""
    return definition + table(("", ""), rows)


def _groups(entry: Mapping[str, Any]) -> str:
    head = ["Group", "Subjects", "Events", "Competing", "Censored", f"Without the event at {days(entry['horizon'])}"]
    head += ["Cumulative incidence", "of competing causes"] if entry["competing"] else []
    rows = []
    for group, row in entry["groups"].items():
        counts = [f"{row[key]:,}" for key in ("subjects", "events", "competing", "censored")]
        more = [said(row[key]) for key in ("incidence", "competing_incidence")] if entry["competing"] else []
        rows.append([GROUPS[group], *counts, said(row["survival"]), *more])
    at_risk = [[GROUPS[group], *(f"{n:,}" for n in row["at_risk"])] for group, row in entry["groups"].items()]
    times = ["At risk after days", *(f"{time:g}" for time in entry["at_risk_times"])]
    return table(head, rows) + "\n\n" + table(times, at_risk)


def _log_rank(entry: Mapping[str, Any]) -> str:
    found = entry["log_rank"]
    if found["p"] is None:
        return f"Log-rank test {p_text(found)}."
    return f"Log-rank test of low against high risk: {p_text(found)} (chi-squared {found['statistic']:.2f})."


def _discrimination(entry: Mapping[str, Any]) -> str:
    horizon, binary = days(entry["horizon"]), entry["binary"]
    known = f"{binary['n']:,} subjects known at {horizon}"
    rows = [
        ["Harrell's C", said(entry["harrell"]), "all comparable pairs"],
        ["Uno's C", said(entry["uno"]), f"events before {horizon}, weighted for censoring"],
        ["AUROC, time-dependent", said(entry["auroc"]), f"event by {horizon} against free of it, weighted"],
        ["AUROC, binary", said(binary["auroc"]), f"{known}, {binary['left_out']:,} censored before left out"],
        ["AUPRC, binary", said(binary["auprc"]), f"prevalence {percent(binary['prevalence'])}"],
    ]
    if entry["true_risk"]:
        for key, name in (("harrell", "Harrell's C"), ("uno", "Uno's C")):
            gap = said(entry["true_risk"]["difference"][key], signed=True)
            rows.append([f"{name} of the true risk", said(entry["true_risk"][key]), f"score minus true risk {gap}"])
    return table(("", "Value", ""), rows)


def _with(value: str, origin: str) -> str:
    return f"{value}, {origin}" if origin else value
