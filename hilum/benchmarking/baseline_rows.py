"""What needs no network, below the encoders of a table: read from the judged run that was measured beside it.

Each task judges its own baselines and writes them in its own form; a table says who reads which. Whether the best
encoder beats the best baseline is told in one sentence where it is not shown.

Source: Newcombe 1998 (Statistics in Medicine 17:873) for the interval of a difference from two intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any, Final

from hilum.benchmarking.over_seeds import Standing
from hilum.metrics.estimate import interval_text
from hilum.results.page import said
from hilum.results.segmentation import BLIND

TITLES: Final = {
    "metadata": "how the film was taken (metadata)",
    "hog": "edges of the film (HOG)",
    "centre-prior": "mean training boxes on every film",
    **{way: title[0].lower() + title[1:] for way, title in BLIND.items()},
}


@dataclass(frozen=True)
class Read:
    """One baseline as a judged run tells it; an estimate, and the paired difference run minus baseline."""

    estimate: Mapping[str, Any]
    difference: Mapping[str, Any] | None
    note: str = ""


def of_scores(results: Mapping[str, Any], metric: str) -> dict[str, Read]:
    """Baselines of a classifier, which are judged by AUROC alone."""
    told = results.get("baselines", {}) if metric == "auroc" else {}
    return {
        name: Read(entry["macro"]["auroc"], entry["macro"]["difference"], entry["note"]) for name, entry in told.items()
    }


def of_masks(results: Mapping[str, Any], metric: str) -> dict[str, Read]:
    """What is drawn without a look at the film."""
    told = results["macro"].get(metric, {}).get("blind", {})
    return {name: Read(entry["value"], entry["difference"]) for name, entry in told.items()}


def of_boxes(results: Mapping[str, Any], metric: str) -> dict[str, Read]:
    """The mean training boxes; sensitivities and AR have no paired difference."""
    macro = results["macro"]
    if metric not in macro.get("baseline", {}):
        return {}
    return {"centre-prior": Read(macro["baseline"][metric], macro["difference"].get(metric))}


READERS: Final[dict[str, Callable[[Mapping[str, Any], str], dict[str, Read]]]] = {  # tasks that know baselines
    "classify": of_scores,
    "segment": of_masks,
    "detect": of_boxes,
}


def baseline_rows(task: str, metric: str, standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """The baselines of one table, best first.

    They depend on films, labels and share, not on the encoder, so one run of seed 0 is judged beside them. Their
    metrics are defined by the truth alone, so they rest on the findings that the encoders rest on.

    Args:
        task: a name of `hilum.evaluation.tasks.TASKS`.
        metric: of the table; larger is better for all that baselines are judged by.
        standings: the encoders of the table.

    Returns:
        Plain JSON values: `name`, `title`, the estimate's fields, `note`, and `beside`: the `encoder` and `seed` that
        were judged with it, the `difference` of that run minus the baseline (None: not paired) and whether it is the
        encoder's `only_run`. Empty where nothing was judged with baselines.
    """
    if task not in READERS:
        return []
    found: list[dict[str, Any]] = []
    for one in standings:
        run = dict(zip(one.seeds, one.runs, strict=True)).get(0)
        rows = [] if run is None else [
            {
                "name": name,
                "title": TITLES.get(name, name),
                **read.estimate,
                "note": read.note,
                "beside": {
                    "encoder": one.encoder, "seed": 0, "difference": read.difference, "only_run": one.seeds == (0,),
                },
            }
            for name, read in READERS[task](run.results, metric).items()
        ]  # fmt: skip
        found = rows if len(rows) > len(found) else found  # drawing nothing stands beside every run, the rest once
    return sorted(found, key=lambda row: (row["value"] is None, -(row["value"] or 0.0)))


def not_beaten(rows: Sequence[Mapping[str, Any]], baselines: Sequence[Mapping[str, Any]]) -> str | None:
    """The sentence that warns where the best encoder is not shown to beat the best baseline; None where it is.

    Args:
        rows: encoders of a table, best first.
        baselines: of `baseline_rows`.
    """
    if not rows or not baselines or rows[0]["value"] is None or baselines[0]["value"] is None:
        return None
    best, other = rows[0], baselines[0]
    gap, how = _lead(best, other)
    if gap["low"] is not None and gap["low"] > 0:
        return None
    verdict = "does not beat" if gap["value"] <= 0 else "is not shown to beat"
    return (
        f"The best encoder, {best['encoder']} with {best['value']:.3f}, {verdict} what needs no network: "
        f"{other['title']} has {said(other)}, the difference is "
        f"{interval_text(gap['value'], gap['low'], gap['high'], signed=True)} ({how})."
    )


def _lead(best: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Encoder minus baseline: paired where this very run was judged beside it, else from the two intervals."""
    beside = other["beside"]
    if beside["difference"] is not None and beside["only_run"] and beside["encoder"] == best["encoder"]:
        return beside["difference"], "paired"
    value, ends = best["value"] - other["value"], (best["low"], best["high"], other["low"], other["high"])
    if None in ends:
        return {"value": value, "low": None, "high": None}, "without an interval"
    low = value - hypot(best["value"] - best["low"], other["high"] - other["value"])
    high = value + hypot(best["high"] - best["value"], other["value"] - other["low"])
    return {"value": value, "low": low, "high": high}, "the two intervals taken as independent, which widens it"
