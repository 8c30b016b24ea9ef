"""The results of drawn masks: Dice in every convention side by side, and beside each what drawing nothing scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from hilum.metrics.estimate import Difference, Estimate
from hilum.metrics.resample import Resample
from hilum.metrics.segmentation import Pixels, Pooled, dice_all, dice_positive, iou_positive, pooled_scores
from hilum.results.classification import software_versions
from hilum.results.markdown import table
from hilum.results.page import as_text, environment, number, percent, said

VALUE: Final = "value."  # prefix of a metric's column in items.parquet
PIXELS: Final = ("pixels.both", "pixels.drawn", "pixels.true", "pixels.known")
METRICS: Final = {
    "dice_positive": "Dice, films with the finding",
    "dice_all": "Dice, all films, empty = 1",
    "dice_pooled": "Dice, pixels of all films pooled",
    "dice_classes": "mDice, finding and background pooled",
    "iou": "IoU, films with the finding",
}
DISTANCES: Final = {
    "hd95_mm": "95 % surface distance, mm",
    "hd95_pixels": "95 % surface distance, pixels (the manifest has no spacing_mm)",
}


@dataclass(frozen=True)
class Example:
    """One film with its pictures."""

    title: str
    pictures: tuple[tuple[str, str], ...]  # (caption, data: address)


def segmentation_results(
    items: pd.DataFrame,
    *,
    cuts: Mapping[str, Mapping[str, Any]],
    context: Mapping[str, Any],
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Judge measured items with a patient-level bootstrap.

    Args:
        items: one row a film and finding (see `evaluation.segmentation.measure`).
        cuts: finding -> `threshold`, `area` (smallest share of a film), `note`.
        context: how the masks were drawn; any JSON-like values, shown in this order.
        draws: bootstrap replicates.
        seed: of the draws.
        confidence: coverage of the intervals.

    Returns:
        Plain JSON values without NaN: `findings` (name -> counts, cut, `scores`: metric -> `model`, `nothing`,
        `difference`), `macro` (the same scores, means over findings), `counts`, `bootstrap`, `versions`, `context`.
    """
    patients = items["patient_id"].to_numpy(str)
    category = items["category"].to_numpy(str)
    names = list(dict.fromkeys(category))
    pixels = Pixels(*(items[name].to_numpy(np.float64) for name in PIXELS))
    resample = Resample(patients, draws=draws, seed=seed, confidence=confidence)
    pooled = pooled_scores(pixels, patients, category, draws=draws, seed=seed, confidence=confidence)
    columns = _columns(items, pixels)
    findings = {}
    for name in names:
        here = category == name
        scores = {
            metric: _means(resample, np.where(here, model, np.nan), np.where(here, nothing, np.nan))
            for metric, (model, nothing) in columns.items()
        }
        scores |= {metric: _pooled(of[name]) for metric, of in pooled.items()}
        findings[name] = {**_counts(pixels.rows(here), patients[here]), **cuts[name], "scores": _ordered(scores)}
    macro = {metric: _macro(resample, *pair, category) for metric, pair in columns.items()}
    macro |= {metric: _pooled(of[""]) for metric, of in pooled.items()}
    return {
        "task": "segmentation",
        "findings": findings,
        "macro": _ordered(macro),
        "counts": {
            "films": int(items["image_id"].nunique()),
            "patients": int(np.unique(patients).size),
            "items": len(items),
        },
        "bootstrap": {"draws": draws, "seed": seed, "confidence": confidence},
        "versions": software_versions(),
        "context": dict(context),
        "notes": [],
    }


def segmentation_page(results: Mapping[str, Any], examples: Sequence[Example], legend: Sequence[str] = ()) -> str:
    """The HTML page; one file, with its pictures inside.

    Args:
        results: of `segmentation_results`.
        examples: films with truth and what was drawn.
        legend: what the colours of the pictures mean.
    """
    return (
        environment()
        .get_template("segmentation.html.j2")
        .render(
            results=results,
            context=results["context"],
            names={**METRICS, **DISTANCES},
            examples=examples,
            legend=legend,
            headline=headline(results),
        )
    )


def headline(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scores that come first: of the only finding, or the means over findings."""
    findings = results["findings"]
    scores: Mapping[str, Any] = next(iter(findings.values()))["scores"] if len(findings) == 1 else results["macro"]
    return scores


def segmentation_markdown(results: Mapping[str, Any]) -> str:
    """The same numbers as Markdown tables."""
    boot, counts = results["bootstrap"], results["counts"]
    parts = [
        f"# {results['context']['title']}",
        f"{counts['films']:,} films of {counts['patients']:,} patients. Value [low, high]: "
        f"{100 * boot['confidence']:g} % percentile interval of {boot['draws']:,} patient-level bootstrap draws, seed "
        f"{boot['seed']}.",
    ]
    sections = [(name, "Films", entry["scores"]) for name, entry in results["findings"].items()]
    if len(sections) > 1:
        sections.insert(0, ("Mean over findings", "Films × findings", results["macro"]))
    for title, counted, scores in sections:
        rows = [
            [
                {**METRICS, **DISTANCES}[metric],
                said(score["model"]),
                said(score["nothing"]),
                said(score["difference"], signed=True),
                f"{score['model']['n']:,}",
            ]
            for metric, score in scores.items()
        ]
        parts += [f"## {title}", table(("", "Model", "Nothing drawn", "Difference", counted), rows)]
    rows = [
        [
            name,
            f"{entry['films']:,}",
            f"{entry['positive']:,}",
            f"{entry['missed']:,}",
            f"{entry['false_alarms']:,} of {entry['empty']:,}",
            number(entry["threshold"], 2),
            percent(entry["area"]),
        ]
        for name, entry in results["findings"].items()
    ]
    head = ("Finding", "Films", "With it", "Missed whole", "Drawn where there is none", "Threshold", "Smallest area")
    parts += ["## Films and thresholds", table(head, rows), "## How it was made"]
    made = [[key.replace("_", " "), as_text(value)] for key, value in results["context"].items()]
    made += [[f"version of {name}", value] for name, value in results["versions"].items()]
    parts.append(table(("", ""), made))
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(parts) + "\n"


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """A line a finding for the terminal, what drawing nothing scores beside it."""
    lines = []
    for name, entry in results["findings"].items():
        positive, every = entry["scores"]["dice_positive"], entry["scores"]["dice_all"]
        lines.append(
            f"{name}: Dice {said(positive['model'])} on {entry['positive']:,} films with it; empty = 1: "
            f"{said(every['model'])} on {entry['films']:,} films, drawing nothing {number(every['nothing']['value'])}"
        )
    return lines


def _columns(items: pd.DataFrame, pixels: Pixels) -> dict[str, tuple[Any, Any]]:
    """Metric -> value of each item for the model and for drawing nothing."""
    nothing = pixels.nothing()
    found = {
        "dice_positive": (dice_positive(pixels), dice_positive(nothing)),
        "dice_all": (dice_all(pixels), dice_all(nothing)),
        "iou": (iou_positive(pixels), iou_positive(nothing)),
    }
    for name in DISTANCES:
        if VALUE + name in items:
            found[name] = (items[VALUE + name].to_numpy(np.float64), np.full(len(items), np.nan))
    return found


def _means(resample: Resample, model: Any, nothing: Any) -> dict[str, Any]:
    pair = (resample.mean(model), resample.mean(nothing), resample.difference(model, nothing))
    return _entry(*pair)


def _macro(resample: Resample, model: Any, nothing: Any, category: Any) -> dict[str, Any]:
    pair = (resample.macro(model, category), resample.macro(nothing, category))
    return _entry(*pair, resample.difference(model, nothing, category))


def _pooled(pooled: Pooled) -> dict[str, Any]:
    return _entry(*pooled)


def _entry(model: Estimate, nothing: Estimate, difference: Difference) -> dict[str, Any]:
    return {"model": model.to_json(), "nothing": nothing.to_json(), "difference": difference.to_json()}


def _ordered(scores: Mapping[str, Any]) -> dict[str, Any]:
    order = [*METRICS, *DISTANCES]
    return {metric: scores[metric] for metric in order if metric in scores}


def _counts(pixels: Pixels, patients: Any) -> dict[str, Any]:
    """Films of a finding, and how often the whole film was wrong."""
    positive = pixels.true > 0
    return {
        "films": int(positive.size),
        "patients": int(np.unique(patients).size),
        "positive": int(positive.sum()),
        "positive_patients": int(np.unique(patients[positive]).size),
        "empty": int((~positive).sum()),
        "missed": int((positive & (pixels.drawn == 0)).sum()),
        "false_alarms": int((~positive & (pixels.drawn > 0)).sum()),
    }
