"""The results of drawn masks: Dice in every convention side by side, beside each what needs no look at the film.

That is to draw nothing, and to draw the mean mask of the training films in the same place on every film.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.metrics.resample import Resample
from hilum.metrics.segmentation import Pixels, Pooled, dice_all, dice_positive, iou_positive, pooled_scores
from hilum.results.classification import software_versions
from hilum.results.markdown import table
from hilum.results.page import as_text, environment, number, percent, said

Floats = NDArray[np.float64]

VALUE: Final = "value."  # prefix of a metric's column in items.parquet
PLACE: Final = ("mean_mask.both", "mean_mask.drawn")  # pixels of the mean mask, which is the same on every film
PIXELS: Final = ("pixels.both", "pixels.drawn", "pixels.true", "pixels.known")
METRICS: Final = {
    "dice_positive": "Dice, films with the finding",
    "dice_all": "Dice, all films, empty = 1",
    "dice_pooled": "Dice, pixels of all films pooled",
    "dice_classes": "mDice, finding and background pooled",
    "iou": "IoU, films with the finding",
}
POOLED: Final = ("dice_pooled", "dice_classes")
BLIND: Final = {"nothing": "Nothing drawn", "mean_mask": "Mean mask"}
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
        Plain JSON values without NaN: `findings` (name -> counts, cut, `scores`: metric -> `model`, `blind`: way ->
        `value` and paired `difference`), `macro` (the same scores, means over findings), `counts`, `bootstrap`,
        `versions`, `context`.
    """
    patients = items["patient_id"].to_numpy(str)
    category = items["category"].to_numpy(str)
    pixels = Pixels(*(items[name].to_numpy(np.float64) for name in PIXELS))
    blind = {"nothing": pixels.nothing()}
    if PLACE[0] in items:
        both, drawn = (items[name].to_numpy(np.float64) for name in PLACE)
        blind["mean_mask"] = Pixels(both, drawn, pixels.true, pixels.known)
    resample = Resample(patients, draws=draws, seed=seed, confidence=confidence)
    columns = _columns(items, pixels)
    others = {way: _columns(items.iloc[:, :0], of) for way, of in blind.items()}
    pooled = {
        way: pooled_scores(pixels, of, patients, category, draws=draws, seed=seed, confidence=confidence)
        for way, of in blind.items()
    }
    findings: dict[str, Any] = {}
    for name in dict.fromkeys(category):
        here = category == name
        scores = {
            metric: _means(resample, np.where(here, values, np.nan), {w: c.get(metric) for w, c in others.items()})
            for metric, values in columns.items()
        }
        scores |= {metric: _pooled({w: of[metric][name] for w, of in pooled.items()}) for metric in POOLED}
        findings[name] = {**_counts(pixels.rows(here), patients[here]), **cuts[name], "scores": _ordered(scores)}
    macro = {
        metric: _means(resample, values, {w: c.get(metric) for w, c in others.items()}, category)
        for metric, values in columns.items()
    }
    macro |= {metric: _pooled({w: of[metric][""] for w, of in pooled.items()}) for metric in POOLED}
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
            ways=ways(results),
        )
    )


def headline(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scores that come first: of the only finding, or the means over findings."""
    findings = results["findings"]
    scores: Mapping[str, Any] = next(iter(findings.values()))["scores"] if len(findings) == 1 else results["macro"]
    return scores


def ways(results: Mapping[str, Any]) -> dict[str, str]:
    """The blind ways that were measured, with their headings."""
    return {way: BLIND[way] for way in results["macro"]["dice_all"]["blind"]}


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
    blind = ways(results)
    heads = [text for name in blind.values() for text in (name, f"Model − {name.lower()}")]
    for title, counted, scores in sections:
        rows = [
            [
                {**METRICS, **DISTANCES}[metric],
                said(score["model"]),
                *(text for way in blind for text in _blind_cells(score["blind"].get(way))),
                f"{score['model']['n']:,}",
            ]
            for metric, score in scores.items()
        ]
        parts += [f"## {title}", table(("", "Model", *heads, counted), rows)]
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
    """A line a finding for the terminal, what drawing nothing and the mean mask score beside it."""
    lines = []
    for name, entry in results["findings"].items():
        positive, every = entry["scores"]["dice_positive"], entry["scores"]["dice_all"]
        usual = positive["blind"].get("mean_mask")
        beside = f" (mean mask {number(usual['value']['value'])})" if usual else ""
        lines.append(
            f"{name}: Dice {said(positive['model'])} on {entry['positive']:,} films with it{beside}; empty = 1: "
            f"{said(every['model'])} on {entry['films']:,} films "
            f"(drawing nothing {number(every['blind']['nothing']['value']['value'])})"
        )
    return lines


def _blind_cells(entry: Mapping[str, Any] | None) -> tuple[str, str]:
    return ("–", "–") if entry is None else (said(entry["value"]), said(entry["difference"], signed=True))


def _columns(items: pd.DataFrame, pixels: Pixels) -> dict[str, Floats]:
    """Metric -> value of each item."""
    found = {"dice_positive": dice_positive(pixels), "dice_all": dice_all(pixels), "iou": iou_positive(pixels)}
    measured = [name for name in DISTANCES if VALUE + name in items]
    return found | {name: items[VALUE + name].to_numpy(np.float64) for name in measured}


def _means(
    resample: Resample, model: Floats, others: Mapping[str, Floats | None], category: Any | None = None
) -> dict[str, Any]:
    """Mean of a model's items (over findings, where categories are given) beside those of the blind ways."""
    known = ~np.isnan(model)
    mean = resample.mean if category is None else lambda values: resample.macro(values, category)
    blind = {}
    for way, values in others.items():
        if values is not None:
            here = np.where(known, values, np.nan)
            gap = resample.difference(model, here, category)
            blind[way] = {"value": mean(here).to_json(), "difference": gap.to_json()}
    return {"model": mean(model).to_json(), "blind": blind}


def _pooled(pooled: Mapping[str, Pooled]) -> dict[str, Any]:
    model = next(iter(pooled.values())).model.to_json()
    blind = {w: {"value": of.other.to_json(), "difference": of.difference.to_json()} for w, of in pooled.items()}
    return {"model": model, "blind": blind}


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
