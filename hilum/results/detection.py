"""The results of found boxes: COCO's averages and sensitivities by finding, beside what needs no film at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from hilum.metrics.detection.bootstrap import DETECTION_METRICS, NO_BOX, DetectionBootstrap, bootstrap_detection
from hilum.metrics.detection.froc import FrocCurve, froc_curve
from hilum.metrics.detection.matching import rank
from hilum.metrics.detection.tables import read_scenes
from hilum.results.classification import software_versions
from hilum.results.markdown import table
from hilum.results.notes import draws_note
from hilum.results.page import as_text, environment, number, p_text, said
from hilum.results.panels import LEFT, SIDE, TOP, Panel, Tick

AVERAGES: Final = {"ap50": "AP50", "ap": "AP (0.5:0.95)", "ar": "AR"}
SENSITIVITIES: Final = {
    "sensitivity@0.25": "Sensitivity at 0.25",
    "sensitivity@0.5": "at 0.5",
    "sensitivity@1": "at 1 false positive an image",
}
NAMES: Final = {**AVERAGES, **SENSITIVITIES}
COMPARED: Final = ("ap50", "ap")  # paired with the baseline
MOST_FALSE: Final = 2.0  # false positives an image at the right end of the plot


@dataclass(frozen=True)
class Example:
    """One film with its pictures."""

    title: str
    pictures: tuple[tuple[str, str], ...]  # (caption, data: address)


def detection_results(
    found: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    findings: Sequence[str],
    baseline: pd.DataFrame | None,
    context: Mapping[str, Any],
    thresholds: Mapping[str, float],
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Judge found boxes with a patient-level bootstrap.

    Args:
        found: the table of found boxes (`hilum.metrics.detection.tables`).
        truth: the table of true ones.
        findings: in the order shown.
        baseline: boxes of the baseline in the form of `found`; None: none is shown.
        context: how the boxes were found; any JSON-like values, shown in this order.
        thresholds: finding -> score from which a box is shown, chosen on validation.
        draws: bootstrap replicates.
        seed: of the draws.
        confidence: coverage of the intervals.

    Returns:
        Plain JSON values without NaN: `findings` (name -> boxes, images, threshold, `model`: metric -> estimate, and
        `baseline` and `difference` where there is one), `macro` (the same, means over findings with a true box),
        `counts`, `undefined`, `bootstrap`, `versions`, `notes`, `context`.
    """
    resampling: dict[str, Any] = {"draws": draws, "seed": seed, "confidence": confidence}
    model = bootstrap_detection(found, truth, categories=findings, **resampling)
    other = None if baseline is None else bootstrap_detection(baseline, truth, categories=findings, **resampling)
    entries = {}
    for row, name in enumerate(model.findings):
        about = {"boxes": model.boxes[row], "images": model.images[row], "threshold": thresholds.get(name)}
        entries[name] = {**about, **_scores(model, other, name)}
    return {
        "task": "detection",
        "findings": entries,
        "macro": {"findings": [name for name in entries if entries[name]["boxes"]], **_scores(model, other)},
        "undefined": [{"finding": name, "reason": NO_BOX} for name in entries if not entries[name]["boxes"]],
        "counts": {
            "images": model.n,
            "patients": model.n_patients,
            "boxes": sum(model.boxes),
            "images_with_boxes": int(truth.loc[truth["category"].isin(list(findings)), "image_id"].nunique()),
            "found": len(found),
        },
        "bootstrap": {"unit": "patient", **resampling},
        "versions": software_versions(),
        "notes": draws_note(draws),
        "context": dict(context),
    }  # fmt: skip


def detection_page(
    results: Mapping[str, Any], found: pd.DataFrame, truth: pd.DataFrame, baseline: pd.DataFrame | None,
    examples: Sequence[Example] = (),
) -> str:  # fmt: skip
    """The HTML page; one file, with its plots and pictures inside."""
    panels = froc_panels(results, found, truth, baseline)
    return (
        environment()
        .get_template("detection.html.j2")
        .render(
            results=results,
            context=results["context"],
            groups=(AVERAGES, SENSITIVITIES),
            panels=panels,
            examples=examples,
        )
    )


def detection_markdown(results: Mapping[str, Any]) -> str:
    """The same numbers as Markdown tables."""
    boot = results["bootstrap"]
    parts = [
        f"# {results['context'].get('title', 'Boxes')}",
        f"Value [low, high]: {100 * boot['confidence']:g} % percentile interval of {boot['draws']:,} patient-level "
        f"bootstrap draws, seed {boot['seed']}. Sensitivity: share of true boxes hit (IoU 0.5) with so many false "
        "positives an image.",
        "## Found boxes",
        _table(results, "model"),
    ]
    if "baseline" in results["macro"]:
        parts += ["## The baseline: the mean training boxes on every film", _table(results, "baseline")]
        parts += ["## Paired differences, detector minus baseline", _differences(results)]
    if results["undefined"]:
        parts.append("\n".join(f"- {row['finding']}: undefined, {row['reason']}" for row in results["undefined"]))
    rows = [[key.replace("_", " "), as_text(value)] for key, value in results["context"].items()]
    rows += [[f"version of {name}", value] for name, value in results["versions"].items()]
    parts += ["## How it was made", table(("", ""), rows)]
    if results["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}" for note in results["notes"])]
    return "\n\n".join(parts) + "\n"


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """A line for the terminal, and one for each finding that cannot be judged."""
    model, counts = results["macro"]["model"], results["counts"]
    beside = (
        f", baseline {number(results['macro']['baseline']['ap50']['value'])}" if "baseline" in results["macro"] else ""
    )
    line = (
        f"macro AP50 {said(model['ap50'])}{beside}; AP {said(model['ap'])}; AR {said(model['ar'])}; "
        f"{counts['boxes']:,} boxes on {counts['images']:,} films of {counts['patients']:,} patients"
    )
    return [line, *(f"{row['finding']} undefined: {row['reason']}" for row in results["undefined"])]


def froc_panels(
    results: Mapping[str, Any], found: pd.DataFrame, truth: pd.DataFrame, baseline: pd.DataFrame | None
) -> list[Panel]:
    """Free-response ROC of each finding with a true box, the baseline's dashed."""
    names = list(results["findings"])
    sets = [read_scenes(boxes, truth, names) for boxes in (found, baseline) if boxes is not None]
    panels = []
    for row, name in enumerate(names):
        curve = froc_curve(rank(sets[0], row))
        if curve is None:
            continue
        other = froc_curve(rank(sets[1], row)) if len(sets) > 1 else None
        values = (0.0, MOST_FALSE / 2, MOST_FALSE)
        panels.append(
            Panel(
                finding=name,
                kind="froc",
                caption=f"AP50 {said(results['findings'][name]['model']['ap50'])}",
                x_label="false positives an image",
                y_label="sensitivity",
                x_ticks=tuple(Tick(LEFT + SIDE * value / MOST_FALSE, f"{value:g}") for value in values),
                y_ticks=tuple(Tick(TOP + SIDE * (1 - value), f"{value:g}") for value in (0.0, 0.5, 1.0)),
                line=_points(curve),
                reference="" if other is None else _points(other),
                marks=(),
            )
        )
    return panels


def _points(curve: FrocCurve) -> str:
    """SVG points of the steps of a curve, up to the right end of the plot."""
    inside = curve.false_positives <= MOST_FALSE
    across, up = curve.false_positives[inside], curve.sensitivity[inside]
    xs = np.concatenate([[0.0], np.repeat(across, 2), [MOST_FALSE]])
    ys = np.concatenate([np.repeat(np.concatenate([[0.0], up]), 2)])
    said_points: list[str] = []
    for x, y in zip(xs, ys, strict=True):
        point = f"{LEFT + SIDE * x / MOST_FALSE:.1f},{TOP + SIDE * (1 - y):.1f}"
        if not said_points or point != said_points[-1]:
            said_points.append(point)
    return " ".join(said_points)


def _scores(model: DetectionBootstrap, other: DetectionBootstrap | None, finding: str | None = None) -> dict[str, Any]:
    """Every metric of a finding, or the macro means, and of the baseline, and what is between them."""

    def of(rated: DetectionBootstrap) -> dict[str, Any]:
        made = {m: rated.macro(m) if finding is None else rated.estimate(m, finding) for m in DETECTION_METRICS}
        return {metric: estimate.to_json() for metric, estimate in made.items()}

    if other is None:
        return {"model": of(model)}
    differences = {metric: model.difference(other, metric, finding).to_json() for metric in COMPARED}
    return {"model": of(model), "baseline": of(other), "difference": differences}


def _rows(results: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [*results["findings"].items(), (f"**Macro** ({len(results['macro']['findings'])})", results["macro"])]


def _table(results: Mapping[str, Any], side: str) -> str:
    rows = [
        [name, *(f"{entry[key]:,}" if key in entry else "" for key in ("images", "boxes")),
         *(said(entry[side][metric]) for metric in NAMES)]
        for name, entry in _rows(results)
    ]  # fmt: skip
    return table(("Finding", "Images with it", "Boxes", *NAMES.values()), rows)


def _differences(results: Mapping[str, Any]) -> str:
    rows = []
    for name, entry in _rows(results):
        cells = ((said(entry["difference"][m], signed=True), p_text(entry["difference"][m]["p"])) for m in COMPARED)
        rows.append([name, *(text for pair in cells for text in pair)])
    return table(("Finding", *(text for metric in COMPARED for text in (NAMES[metric], "p"))), rows)
